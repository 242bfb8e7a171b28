//! `/sign_out`: ends the session on this host, and the one on the auth host, which would otherwise sign the person
//! in again at once.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};

use super::{
    Endpoint,
    asked::Asked,
    audit,
    page::{Page, leave},
    start::session_of,
};
use crate::{
    policy::Host,
    session::{OpenSession, SignOut, random, set_cookie},
};

/// GET: signs out when the person asked for it on this very site; otherwise asks, so that no other site can sign
/// people out with a link.
pub(super) async fn ask(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    if endpoint.installation.auth_host.as_ref() == Some(&asked.host) {
        return at_auth_host(&endpoint, &asked);
    }
    if is_from_here(&asked) && is_document(&asked) {
        return sign_out(&endpoint, &asked);
    }
    Page::confirm_sign_out(&endpoint, &asked.host).answer(
        &endpoint,
        asked.audience,
        &asked.request_id,
    )
}

/// POST: the button of the page that asks.
pub(super) async fn act(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    let own_origin = endpoint.installation.origin.of(asked.host.as_str());
    let from_here = match (asked.header("sec-fetch-site"), asked.header("origin")) {
        (Some(site), _) => site == b"same-origin",
        (None, Some(origin)) => origin == own_origin.as_bytes(),
        (None, None) => false,
    };
    if from_here {
        return sign_out(&endpoint, &asked);
    }
    Page::confirm_sign_out(&endpoint, &asked.host).answer(
        &endpoint,
        asked.audience,
        &asked.request_id,
    )
}

fn sign_out(endpoint: &Endpoint, asked: &Asked) -> Response {
    let session = session_of(endpoint, asked.jar(), asked.host.as_str());
    let who = session.as_ref().and_then(OpenSession::identity);
    let account = who.map(|who| (who.provider.to_string(), who.subject.to_string()));
    let gone = end_session(endpoint, asked);
    let now = endpoint.clock.now();
    let keys = endpoint.keys.load();
    if let (Some(auth_host), Some(keys)) =
        (&endpoint.installation.auth_host, keys.as_ref().as_ref())
        && *auth_host != asked.host
    {
        let request = SignOut {
            host: asked.host.to_string(),
            account,
            asked_at: now,
        };
        if let Some(sealed) = request.seal(keys, auth_host, now, random) {
            return leave(
                &endpoint.url(auth_host, &format!("/sign_out?request={sealed}")),
                &gone,
            );
        }
    }
    let page = Page::signed_out(endpoint, &asked.host);
    gone.into_iter().fold(page, Page::with_cookie).answer(
        endpoint,
        asked.audience,
        &asked.request_id,
    )
}

fn at_auth_host(endpoint: &Endpoint, asked: &Asked) -> Response {
    let show = |page: Page| page.answer(endpoint, asked.audience, &asked.request_id);
    let now = endpoint.clock.now();
    let keys = endpoint.keys.load();
    let request = keys
        .as_ref()
        .as_ref()
        .and_then(|keys| SignOut::open(asked.parameter("request")?, keys, &asked.host, now));
    let session = session_of(endpoint, asked.jar(), asked.host.as_str());
    let who = session.as_ref().and_then(OpenSession::identity);
    let is_theirs = request
        .as_ref()
        .is_some_and(|request| who.is_none_or(|who| request.is_of(&who)));
    if !is_document(asked) || !(is_theirs || is_from_here(asked)) {
        return show(Page::confirm_sign_out(endpoint, &asked.host));
    }
    let gone = end_session(endpoint, asked);
    let host = request
        .and_then(|request| Host::parse(&request.host))
        .unwrap_or_else(|| asked.host.clone());
    let page = Page::signed_out(endpoint, &host);
    gone.into_iter().fold(page, Page::with_cookie).answer(
        endpoint,
        asked.audience,
        &asked.request_id,
    )
}

/// Whether a page of this very site led here, or the person did without a page.
fn is_from_here(asked: &Asked) -> bool {
    matches!(
        asked.header("sec-fetch-site"),
        Some(b"same-origin" | b"none")
    )
}

/// Whether it is to be shown in a window of its own. Whoever may write a comment can place an image, so an image with
/// this address must sign nobody out. Browsers that do not say are not from here either.
fn is_document(asked: &Asked) -> bool {
    asked
        .header("sec-fetch-dest")
        .is_none_or(|destination| destination == b"document")
}

/// The Set-Cookie lines that end the session of the host that was asked; counted and audited if there was one.
fn end_session(endpoint: &Endpoint, asked: &Asked) -> Vec<String> {
    let session = session_of(endpoint, asked.jar(), asked.host.as_str());
    if let Some(who) = session.as_ref().and_then(OpenSession::identity) {
        endpoint.metrics.sign_outs.inc();
        audit::signed_out(&asked.host, &who);
    }
    [endpoint.names.session, endpoint.names.landed]
        .map(|name| set_cookie(endpoint.names, name, "", Duration::ZERO))
        .into()
}
