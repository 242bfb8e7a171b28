//! `/callback/PROVIDER`: the provider sends the person back with a code (OIDC Core §3.1.2.5).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{Endpoint, asked::Asked, begin, finish, metrics::SignInResult, page::Page, start};
use crate::{
    policy::{Claim, Identity, Moment},
    provider::{Callback, ProviderError, SignedIn},
    published::ProviderSettings,
    session::{Attempt, AttemptPurpose, NamedFacts, random, set_cookie},
};

/// Longer than any provider's, and than the line in which nginx passes it on.
const LONGEST_CODE: usize = 8 * 1024;

/// Takes the person back.
pub(super) async fn callback(
    State(endpoint): State<Arc<Endpoint>>,
    Path(name): Path<String>,
    asked: Asked,
) -> Response {
    let show = |page: Page| page.answer(&endpoint, asked.audience, &asked.request_id);
    let table = endpoint.table.load_full();
    let Some(provider) = table.provider(&name) else {
        return show(Page::provider_gone(&name));
    };
    let keys = endpoint.keys.load_full();
    let Some(keys) = keys.as_ref() else {
        return show(Page::not_ready());
    };
    let now = endpoint.clock.now();
    let is_plain = !["state", "code", "iss", "error"]
        .iter()
        .any(|name| asked.repeats(name));
    let attempt = asked
        .parameter("state")
        .filter(|_| is_plain)
        .and_then(|state| Attempt::find(asked.jar(), endpoint.names, keys, &asked.host, state, now))
        // The path is the provider's own (RFC 9700 §4.4): an answer on another's path is a mix-up.
        .filter(|(attempt, _)| attempt.provider == *provider.name);
    let Some((attempt, cookie)) = attempt else {
        endpoint
            .metrics
            .sign_in(&provider.name, SignInResult::UnknownAttempt);
        return show(Page::unknown_attempt(&endpoint, &asked.host));
    };
    // Whatever follows, this attempt is used up.
    let used = set_cookie(endpoint.names, &cookie, "", Duration::ZERO);
    let fail = |result: SignInResult, page: Page| {
        endpoint.metrics.sign_in(&provider.name, result);
        page.with_cookie(used.clone())
            .answer(&endpoint, asked.audience, &asked.request_id)
    };
    if let Some(error) = asked.parameter("error") {
        tracing::info!(provider = name, error = word(error), host = %asked.host, request_id = asked.request_id, "the provider ended a sign-in");
        return fail(
            SignInResult::ProviderRefused,
            Page::provider_said_no(&endpoint, &asked.host, provider, error, &attempt),
        );
    }
    let Some(code) = asked.parameter("code").filter(|code| is_code(code)) else {
        return fail(
            SignInResult::ProviderRefused,
            Page::unknown_attempt(&endpoint, &asked.host),
        );
    };
    let redirect_uri = begin::redirect_uri(&endpoint, &asked.host, &provider.name);
    let answer = Callback {
        code,
        iss: asked.parameter("iss"),
        redirect_uri: &redirect_uri,
        nonce: &attempt.secrets.nonce,
        pkce_verifier: &attempt.secrets.pkce_verifier,
        max_age: attempt.max_age.map(Duration::from_secs),
    };
    let signed_in = match endpoint.providers.redeem(provider, &answer).await {
        Ok(signed_in) => signed_in,
        Err(error) => {
            begin::report(&error, &asked);
            let result = match &error {
                ProviderError::Unreachable { .. } => SignInResult::ProviderUnavailable,
                ProviderError::Refused { .. } | ProviderError::NotAdmitted { .. } => {
                    SignInResult::ProviderRefused
                }
                ProviderError::Misconfigured { .. } | ProviderError::Untrusted { .. } => {
                    SignInResult::Untrusted
                }
            };
            return fail(
                result,
                Page::sign_in_failed(&endpoint, &asked.host, provider, &error, &attempt),
            );
        }
    };
    // The provider took its time: what holds by now counts.
    let table = endpoint.table.load_full();
    let Some(provider) = table
        .provider(&name)
        .filter(|current| reads_alike(current, provider))
    else {
        tracing::info!(provider = name, host = %asked.host, request_id = asked.request_id, "an identity provider was changed while somebody signed in; their sign-in does not count");
        return fail(SignInResult::Outdated, Page::provider_changed(&name));
    };
    endpoint
        .metrics
        .sign_in(&provider.name, SignInResult::Success);
    let who = identity(&endpoint, provider, signed_in, now);
    match &attempt.purpose {
        AttemptPurpose::Here { return_to } => {
            finish::land(&endpoint, &asked, keys, &who, return_to, used, false)
        }
        AttemptPurpose::Elsewhere(request) => {
            if let Some(reason) = start::no_sessions(&table, &asked.host) {
                return show(Page::no_sessions(&asked.host, reason).with_cookie(used));
            }
            // The auth host keeps what any host may ask for.
            let mut named = NamedFacts::default();
            for entry in table.hosts() {
                named.groups.extend(entry.named_groups.iter().cloned());
                named.claims.extend(entry.named_claims.iter().cloned());
            }
            let Some(session) = crate::session::issue(&who, &named, keys, &asked.host, now, random)
            else {
                return fail(SignInResult::Untrusted, Page::identity_too_large(provider));
            };
            let session = finish::session_cookie(&endpoint, &session, &who, now);
            finish::hand_over(&endpoint, &asked, keys, request, who, &[used, session])
        }
    }
}

/// Whether what a provider said then would be read as it is now.
fn reads_alike(now: &ProviderSettings, then: &ProviderSettings) -> bool {
    now.issuer() == then.issuer() && now.reading() == then.reading()
}

fn identity(
    endpoint: &Endpoint,
    provider: &ProviderSettings,
    signed_in: SignedIn,
    now: Moment,
) -> Identity<'static> {
    let mut session_id = [0; 16];
    random(&mut session_id);
    let longest = endpoint.installation.max_session;
    let life = provider
        .max_session
        .map_or(longest, |limit| limit.min(longest));
    let claims = signed_in.claims.into_iter().map(|(name, values)| Claim {
        name: name.into(),
        values: values.into_iter().map(Into::into).collect(),
    });
    Identity {
        session_id,
        provider: provider.name.to_string().into(),
        issuer: signed_in.issuer.into(),
        subject: signed_in.subject.into(),
        email: signed_in.email.map(Into::into),
        email_verified: signed_in.email_verified,
        name: signed_in.name.map(Into::into),
        username: signed_in.username.map(Into::into),
        groups: signed_in.groups.into_iter().map(Into::into).collect(),
        groups_complete: true,
        claims: claims.collect(),
        authenticated_at: signed_in.authenticated_at.unwrap_or(now).min(now),
        issued_at: now,
        ends_at: now.after(life),
        reading: Some(provider.reading()),
    }
}

/// Whether this can be an authorization code (RFC 6749, appendix A.11): what is none is not sent off.
fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// An error code as a provider may send it (RFC 6749 §4.1.2.1), cut down to what is safe in a log.
pub(super) fn word(text: &str) -> &str {
    let plain = text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain { text } else { "unreadable" }
}
