//! What the front door says when it has no service to ask. It names the host, never what lies behind it.

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use crate::policy::Host;

/// Why a request got no further.
pub(super) enum Problem {
    /// The request itself.
    Unreadable(&'static str),
    /// Its framing is one that nobody speaks here.
    Coding,
    /// Its body is longer than it may be.
    TooLong,
    /// Its body stopped coming.
    Stalled,
    /// No manifest names the host.
    UnknownHost,
    /// No path of the host serves the target.
    NoRoute(Host),
    /// The target has two readings.
    PathUnclear,
    /// Nobody is signed in, and it is a program that asks. With the address for browsers.
    SignInNeeded(String),
    /// Somebody is, and may not enter; or nobody may. With the same.
    Refused(String),
    /// Whoever asked may no longer enter, and the answer had not begun.
    Over(Host),
    /// The host is protected and its policy is not there.
    NoPolicy(Host),
    /// The service cannot be reached.
    Down(Host),
    /// The service does not answer in time.
    Late(Host),
    /// The service's answer is none.
    Nonsense(Host),
    /// The service is this front door.
    Loop(Host),
}

#[derive(Template)]
#[template(path = "front_door/problem.html")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
}

/// The response to a request with this Accept header: a page to browsers, a line to programs.
pub(super) fn show(problem: &Problem, accepted: Option<&HeaderValue>) -> Response<Body> {
    let (status, title, text) = problem.words();
    let wants_page = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"));
    let page = wants_page.then(|| {
        Page {
            title: &title,
            text: &text,
        }
        .render()
        .ok()
    });
    let (kind, body) = match page.flatten() {
        Some(page) => ("text/html; charset=utf-8", page),
        None => ("text/plain; charset=utf-8", format!("{title}. {text}\n")),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    );
    response
}

// === impl Problem ===

impl Problem {
    /// Its name in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Coding => "transfer_coding",
            Self::TooLong => "body_too_large",
            Self::Stalled => "body_stalled",
            Self::UnknownHost => "unknown_host",
            Self::NoRoute(_) => "no_route",
            Self::PathUnclear => "path_unclear",
            Self::SignInNeeded(_) => "sign_in_needed",
            Self::Refused(_) => "refused",
            Self::Over(_) => "over",
            Self::NoPolicy(_) => "no_policy",
            Self::Down(_) => "service_down",
            Self::Late(_) => "service_late",
            Self::Nonsense(_) => "service_broken",
            Self::Loop(_) => "loop",
        }
    }

    fn words(&self) -> (StatusCode, String, String) {
        let (status, title, text) = match self {
            Self::Unreadable(why) => (
                StatusCode::BAD_REQUEST,
                "This request cannot be answered".to_owned(),
                (*why).to_owned(),
            ),
            Self::Coding => (
                StatusCode::NOT_IMPLEMENTED,
                "This request cannot be answered".to_owned(),
                "Its Transfer-Encoding is not chunked alone.".to_owned(),
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "This is too large".to_owned(),
                "What was sent is larger than is taken here. Tell whoever runs this host if it should be taken."
                    .to_owned(),
            ),
            Self::Stalled => (
                StatusCode::REQUEST_TIMEOUT,
                "This request did not arrive".to_owned(),
                "It stopped in the middle. Check the connection, and try again.".to_owned(),
            ),
            Self::UnknownHost => (
                StatusCode::NOT_FOUND,
                "This host is not served here".to_owned(),
                "Check the address. If it is right, no manifest names its host.".to_owned(),
            ),
            Self::NoRoute(host) => (
                StatusCode::NOT_FOUND,
                "Nothing is served at this address".to_owned(),
                format!("{host} has other pages; none of its paths covers this one."),
            ),
            Self::PathUnclear => (
                StatusCode::BAD_REQUEST,
                "This address has more than one reading".to_owned(),
                "Only a part of this host is protected, so addresses with dot segments, double \
                 slashes or encoded slashes are refused."
                    .to_owned(),
            ),
            Self::SignInNeeded(address) => (
                StatusCode::UNAUTHORIZED,
                "Sign-in needed".to_owned(),
                format!("Open {address} in a browser and sign in."),
            ),
            Self::Refused(address) => (
                StatusCode::FORBIDDEN,
                "You may not enter".to_owned(),
                format!("Open {address} in a browser to see why."),
            ),
            Self::Over(host) => (
                StatusCode::FORBIDDEN,
                "You may not enter any more".to_owned(),
                format!(
                    "The session ended, or the policy changed, while {host} was at work. Load the page again to sign in \
                     or to see why."
                ),
            ),
            Self::NoPolicy(host) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{host} is closed"),
                "It is protected, and who may enter is not known at the moment. Try again shortly; \
                 if it stays so, tell whoever runs it."
                    .to_owned(),
            ),
            Self::Down(host) => (
                StatusCode::BAD_GATEWAY,
                format!("{host} does not answer"),
                "The service behind this host is down or cannot be reached. Try again shortly; \
                 if it stays so, tell whoever runs it."
                    .to_owned(),
            ),
            Self::Late(host) => (
                StatusCode::GATEWAY_TIMEOUT,
                format!("{host} takes too long"),
                "The service behind this host did not answer in time. Try again shortly; \
                 if it stays so, tell whoever runs it."
                    .to_owned(),
            ),
            Self::Nonsense(host) => (
                StatusCode::BAD_GATEWAY,
                format!("{host} does not answer properly"),
                "The service behind this host broke off, or its answer could not be understood. \
                 Try again shortly; if it stays so, tell whoever runs it."
                    .to_owned(),
            ),
            Self::Loop(host) => (
                StatusCode::LOOP_DETECTED,
                format!("{host} leads back to itself"),
                "The service behind it is named as this front door itself. Tell whoever runs it.".to_owned(),
            ),
        };
        (status, title, text)
    }
}
