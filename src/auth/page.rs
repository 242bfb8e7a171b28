//! What people see, and what programs get instead: one layout, one place that renders it.
//!
//! Plain HTML without script, an inlined style, nothing fetched. The texts of each page stand in `page/texts.rs`.

mod denial;
mod texts;

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{Endpoint, asked::Asked};
use crate::policy::Audience;

/// A page, ready to be shown as HTML to people or as JSON to programs.
pub(super) struct Page {
    status: StatusCode,
    /// A word for machines.
    code: &'static str,
    title: String,
    account: Option<Account>,
    paragraphs: Vec<String>,
    /// The service's owner's words.
    owner_message: Option<String>,
    /// The first one is the likely one.
    actions: Vec<Action>,
    /// What an administrator will ask for.
    facts: Vec<String>,
    cookies: Vec<String>,
    retry_after: Option<u32>,
}

struct Account {
    label: String,
    provider: Option<String>,
}

struct Action {
    label: String,
    href: String,
    kind: ActionKind,
}

enum ActionKind {
    Link,
    /// Leaves the frame that the page is shown in.
    TopLink,
    Post,
}

#[derive(Template)]
#[template(path = "auth/page/page.html")]
struct Layout<'a> {
    page: &'a Page,
    style: &'static str,
    request_id: &'a str,
}

const STYLE: &str = include_str!("page/page.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    STANDARD.encode(digest)
});

// === impl Page ===

impl Page {
    fn new(status: StatusCode, code: &'static str, title: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title: title.into(),
            account: None,
            paragraphs: Vec::new(),
            owner_message: None,
            actions: Vec::new(),
            facts: Vec::new(),
            cookies: Vec::new(),
            retry_after: None,
        }
    }

    fn say(mut self, sentence: impl Into<String>) -> Self {
        self.paragraphs.push(sentence.into());
        self
    }

    fn link(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.actions.push(Action {
            label: label.into(),
            href: href.into(),
            kind: ActionKind::Link,
        });
        self
    }

    fn fact(mut self, fact: impl Into<String>) -> Self {
        self.facts.push(fact.into());
        self
    }

    /// The page with one more Set-Cookie line.
    pub(super) fn with_cookie(mut self, line: String) -> Self {
        self.cookies.push(line);
        self
    }

    fn has_a_button(&self) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| matches!(action.kind, ActionKind::Post))
    }

    /// Renders it for whoever asks.
    pub(super) fn answer(
        self,
        endpoint: &Endpoint,
        audience: Audience,
        request_id: &str,
    ) -> Response {
        let mut response = if audience == Audience::Program {
            let message = self.paragraphs.first().unwrap_or(&self.title);
            let body = serde_json::json!({"error": self.code, "message": message, "requestId": request_id});
            (self.status, axum::Json(body)).into_response()
        } else {
            match (Layout {
                page: &self,
                style: STYLE,
                request_id,
            })
            .render()
            {
                Ok(html) => (self.status, Html(html)).into_response(),
                Err(e) => {
                    tracing::error!(error = %e, "cannot render a page");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        };
        let headers = response.headers_mut();
        guard(headers);
        let policy = content_security_policy(endpoint, self.has_a_button());
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        set_cookies(headers, &self.cookies);
        response
    }
}

/// Sends the browser elsewhere.
pub(super) fn leave(to: &str, cookies: &[String]) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, to);
    guard(headers);
    set_cookies(headers, cookies);
    response
}

/// Whatever else is asked of the public listener.
pub(super) async fn not_found(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    Page::no_such_page(&endpoint, &asked.host).answer(&endpoint, asked.audience, &asked.request_id)
}

/// A page of ours, asked for with a method that it does not have.
pub(super) async fn no_such_method(
    State(endpoint): State<Arc<Endpoint>>,
    asked: Asked,
) -> Response {
    Page::no_such_method().answer(&endpoint, asked.audience, &asked.request_id)
}

fn set_cookies(headers: &mut HeaderMap, cookies: &[String]) {
    for line in cookies
        .iter()
        .filter_map(|line| HeaderValue::from_str(line).ok())
    {
        headers.append(SET_COOKIE, line);
    }
}

/// No answer of ours is kept, guessed at, or tells the next site where the person came from: codes and tickets
/// stand in URLs.
fn guard(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    );
}

/// Nothing but our own style. Frames may show a page that holds nothing to click by mistake but links, of which those
/// that sign in open elsewhere; none may show one with a button, which would do its work wherever it is framed.
fn content_security_policy(endpoint: &Endpoint, has_a_button: bool) -> String {
    let installation = &endpoint.installation;
    // Browsers hold redirects after a form to form-action as well, and signing out goes on to the auth host.
    let auth_host = installation
        .auth_host
        .as_ref()
        .map(|host| installation.origin.of(host.as_str()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self' {}; base-uri 'none'{}",
        *STYLE_HASH,
        auth_host.unwrap_or_default(),
        if has_a_button {
            "; frame-ancestors 'none'"
        } else {
            ""
        }
    )
}
