//! Sending a person away to sign in: to the auth host if there is one, else to the provider.

use std::{sync::Arc, time::Duration};

use axum::response::Response;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Endpoint, asked::Asked, page::Page};
use crate::{
    policy::{Host, Moment, ReturnTo},
    provider::{AuthorizationRequest, ProviderError},
    published::{ProviderSettings, Service},
    session::{Attempt, AttemptPurpose, HandOffRequest, Keys, Secrets, State, random, set_cookie},
};

/// Browsers keep 4096 octets of a cookie, and nginx takes as much for the whole head of an answer, which also says where
/// the provider is; sealing takes a third more.
const LONGEST_CARRIED: usize = 1500;

/// What sign-in must bring.
pub(super) struct Wish<'a> {
    pub(super) provider: &'a Arc<ProviderSettings>,
    pub(super) service: Option<&'a Service>,
    pub(super) return_to: ReturnTo,
    pub(super) switch_account: bool,
    /// A sign-in before this moment is not good enough.
    pub(super) signed_in_since: Option<Moment>,
    /// A proof of identity older than this is not good enough.
    pub(super) max_age: Option<Duration>,
}

/// Sends the person to sign in for the host that was asked.
pub(super) async fn sign_in(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    wish: Wish<'_>,
) -> Response {
    let purpose = AttemptPurpose::Here {
        return_to: carried(&wish.return_to).to_owned(),
    };
    let Some(auth_host) = &endpoint.installation.auth_host else {
        return ask_provider(
            endpoint,
            asked,
            keys,
            wish.provider,
            purpose,
            wish.switch_account,
            wish.max_age,
        )
        .await;
    };
    let now = endpoint.clock.now();
    let attempt = Attempt {
        state: State::new(now, random),
        begun_at: now,
        provider: wish.provider.name.to_string(),
        purpose,
        secrets: Secrets::default(),
        max_age: wish.max_age.map(|age| age.as_secs()),
    };
    let request = HandOffRequest {
        host: asked.host.to_string(),
        state: attempt.state.clone(),
        asked_at: now,
        provider: attempt.provider.clone(),
        service: wish.service.map(|service| service.id.to_string()),
        switch_account: wish.switch_account,
        signed_in_since: wish.signed_in_since,
        max_age: attempt.max_age,
    };
    let Some(sealed) = request.seal(keys, auth_host, now, random) else {
        return Page::not_ready().answer(endpoint, asked.audience, &asked.request_id);
    };
    let to = endpoint.url(auth_host, &format!("/start?request={sealed}"));
    leave_with(endpoint, asked, keys, &attempt, &asked.host, &to)
}

/// Sends the person from the host that was asked to the provider.
pub(super) async fn ask_provider(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    provider: &Arc<ProviderSettings>,
    purpose: AttemptPurpose,
    switch_account: bool,
    max_age: Option<Duration>,
) -> Response {
    let now = endpoint.clock.now();
    let attempt = Attempt {
        state: State::new(now, random),
        begun_at: now,
        provider: provider.name.to_string(),
        purpose,
        secrets: Secrets {
            nonce: random_text(),
            pkce_verifier: random_text(),
        },
        max_age: max_age.map(|age| age.as_secs()),
    };
    let redirect_uri = redirect_uri(endpoint, &asked.host, &provider.name);
    let request = AuthorizationRequest {
        redirect_uri: &redirect_uri,
        state: attempt.state.as_str(),
        nonce: &attempt.secrets.nonce,
        pkce_verifier: &attempt.secrets.pkce_verifier,
        selects_account: switch_account,
        max_age,
        login_hint: None,
    };
    match endpoint
        .providers
        .authorization_url(provider, &request)
        .await
    {
        Ok(url) => leave_with(endpoint, asked, keys, &attempt, &asked.host, &url),
        Err(error) => {
            report(&error, asked);
            Page::provider_unavailable(provider, &error).answer(
                endpoint,
                asked.audience,
                &asked.request_id,
            )
        }
    }
}

/// The redirect URI of a provider on a host: what has to be registered with the provider.
pub(super) fn redirect_uri(endpoint: &Endpoint, host: &Host, provider: &str) -> String {
    endpoint.url(host, &format!("/callback/{provider}"))
}

/// Logs a provider's failure, once, where it is handled.
pub(super) fn report(error: &ProviderError, asked: &Asked) {
    tracing::warn!(error = %error, host = %asked.host, request_id = asked.request_id, "sign-in failed");
}

fn leave_with(
    endpoint: &Endpoint,
    asked: &Asked,
    keys: &Keys,
    attempt: &Attempt,
    host: &Host,
    to: &str,
) -> Response {
    let now = endpoint.clock.now();
    let Some((name, value)) = attempt.seal(endpoint.names, keys, host, now, random) else {
        return Page::not_ready().answer(endpoint, asked.audience, &asked.request_id);
    };
    let mut cookies: Vec<String> = Attempt::surplus(asked.jar(), endpoint.names)
        .iter()
        .map(|name| set_cookie(endpoint.names, name, "", Duration::ZERO))
        .collect();
    cookies.push(set_cookie(endpoint.names, &name, &value, Attempt::life()));
    super::page::leave(to, &cookies)
}

/// As much of a return target as fits in a cookie beside the rest: all of it, or the path alone, or the front page.
fn carried(return_to: &ReturnTo) -> &str {
    let whole = return_to.as_str();
    let path = whole.split('?').next().unwrap_or("/");
    [whole, path]
        .into_iter()
        .find(|text| text.len() <= LONGEST_CARRIED)
        .unwrap_or("/")
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
