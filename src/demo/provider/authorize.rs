//! The authorization endpoint (RFC 6749 §3.1): a page with the accounts, and the way back.
//!
//! A request from an unknown client, or for an address that is not registered, is answered with a page and never
//! with a redirect; every other mistake is told to the client at its redirect URI.

use std::sync::{Arc, PoisonError};

use askama::Template;
use axum::{
    Form,
    extract::{
        Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use url::Url;

use super::{
    Provider,
    account::{self, ACCOUNTS, Account},
    code::Grant,
};

/// The request as it came: nothing in it is believed until `check`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    response_type: String,
    response_mode: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
    prompt: String,
    login_hint: String,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    account: String,
    #[serde(flatten)]
    asked: Asked,
}

/// Why a request gets no page with accounts.
enum Refusal {
    /// It cannot be known who asks: told to the person.
    Page(&'static str),
    /// Told to the client: error code and description (RFC 6749 §4.1.2.1).
    Client(&'static str, &'static str),
}

#[derive(Template)]
#[template(path = "demo/provider/choose.html")]
struct ChoosePage<'a> {
    asked: &'a Asked,
    asked_by: String,
    accounts: &'static [Account],
}

#[derive(Template)]
#[template(path = "demo/provider/refused.html")]
struct RefusedPage {
    why: &'static str,
}

/// GET: shows the accounts.
pub(super) async fn choose(
    State(provider): State<Arc<Provider>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else {
        return refused("A parameter of the request appears twice or cannot be read.");
    };
    match check(&provider, &asked) {
        Err(refusal) => refusal.answer(&provider, &asked),
        Ok(()) => page(
            StatusCode::OK,
            &ChoosePage {
                asked_by: Url::parse(&asked.redirect_uri)
                    .ok()
                    .and_then(|uri| uri.host_str().map(str::to_owned))
                    .unwrap_or_default(),
                asked: &asked,
                accounts: &ACCOUNTS,
            },
        ),
    }
}

/// POST: somebody has picked an account.
pub(super) async fn chosen(
    State(provider): State<Arc<Provider>>,
    choice: Result<Form<Choice>, FormRejection>,
) -> Response {
    let Ok(Form(Choice { account, asked })) = choice else {
        return refused("The form cannot be read. Go back and choose again.");
    };
    if let Err(refusal) = check(&provider, &asked) {
        return refusal.answer(&provider, &asked);
    }
    let Some(account) = account::find(&account) else {
        return refused("There is no such account. Go back and choose one of the list.");
    };
    let code = super::random_text();
    let now = provider.clock.now();
    let grant = Grant {
        account,
        client_id: asked.client_id.clone(),
        redirect_uri: asked.redirect_uri.clone(),
        code_challenge: asked.code_challenge.clone(),
        nonce: Some(asked.nonce.clone()).filter(|nonce| !nonce.is_empty()),
        authenticated_at: now,
    };
    let mut codes = provider
        .codes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    codes.keep(code.clone(), grant, now);
    drop(codes);
    back(&provider, &asked, &[("code", &code)])
}

fn check(provider: &Provider, asked: &Asked) -> Result<(), Refusal> {
    if asked.client_id != provider.client.id {
        return Err(Refusal::Page(
            "The application is not known here: its client_id is not the one of the demo.",
        ));
    }
    if !provider.client.redirect_uris.contains(&asked.redirect_uri) {
        return Err(Refusal::Page(
            "The application asks to send you to an address that is not registered for it (redirect_uri).",
        ));
    }
    let refuse = |code, description| Err(Refusal::Client(code, description));
    if asked.response_type != "code" {
        return refuse("unsupported_response_type", "response_type must be code");
    }
    if !matches!(&*asked.response_mode, "" | "query") {
        return refuse("invalid_request", "response_mode must be query");
    }
    if !asked.scope.split(' ').any(|scope| scope == "openid") {
        return refuse("invalid_scope", "scope must contain openid");
    }
    // 43 characters: a SHA-256 in base64url (RFC 7636 §4.2).
    if asked.code_challenge_method != "S256" || asked.code_challenge.len() != 43 {
        return refuse(
            "invalid_request",
            "PKCE with code_challenge_method S256 is required",
        );
    }
    let mut prompts = asked.prompt.split(' ').filter(|prompt| !prompt.is_empty());
    if prompts.clone().any(|prompt| prompt == "none") {
        // Nobody is ever signed in here, so a request that allows no page cannot succeed.
        return refuse("login_required", "this provider keeps no session");
    }
    if !prompts.all(|prompt| matches!(prompt, "login" | "select_account" | "consent")) {
        return refuse("invalid_request", "prompt has a value that is not known");
    }
    Ok(())
}

// === impl Refusal ===

impl Refusal {
    fn answer(self, provider: &Provider, asked: &Asked) -> Response {
        match self {
            Self::Page(why) => refused(why),
            Self::Client(error, description) => back(
                provider,
                asked,
                &[("error", error), ("error_description", description)],
            ),
        }
    }
}

/// To the client's redirect URI. `iss` defends it against mix-up (RFC 9207).
fn back(provider: &Provider, asked: &Asked, parameters: &[(&str, &str)]) -> Response {
    let Ok(mut target) = Url::parse(&asked.redirect_uri) else {
        return refused("The address of the application cannot be read (redirect_uri).");
    };
    let mut query = target.query_pairs_mut();
    query.extend_pairs(parameters);
    if !asked.state.is_empty() {
        query.append_pair("state", &asked.state);
    }
    query.append_pair("iss", &provider.issuer);
    drop(query);
    // 303: the browser goes on with GET, whatever method brought it here.
    let mut response = Redirect::to(target.as_str()).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(why: &'static str) -> Response {
    page(StatusCode::BAD_REQUEST, &RefusedPage { why })
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ];
    (status, headers, Html(html)).into_response()
}
