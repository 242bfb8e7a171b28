//! The token endpoint (RFC 6749 §3.2): a code and its PKCE verifier against an ID token.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use aws_lc_rs::{constant_time, digest};
use axum::{
    Form,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Provider, code::Grant};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Exchange {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// An error of RFC 6749 §5.2.
struct Refusal {
    error: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct IdToken<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    email: &'a str,
    email_verified: bool,
    name: &'a str,
    preferred_username: &'a str,
    groups: &'a [&'a str],
}

const LIFE: Duration = Duration::from_secs(300);

/// POST: exchanges a code.
pub(super) async fn exchange(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: Result<Form<Exchange>, FormRejection>,
) -> Response {
    let answer = match form {
        Err(_) => Err(refusal("invalid_request", "the form cannot be read")),
        Ok(Form(asked)) => redeem(&provider, &headers, &asked),
    };
    match answer {
        Ok(body) => super::json(StatusCode::OK, &body),
        Err(refusal) => refusal.answer(),
    }
}

fn redeem(
    provider: &Provider,
    headers: &HeaderMap,
    asked: &Exchange,
) -> Result<serde_json::Value, Refusal> {
    authenticate(provider, headers, asked)?;
    if asked.grant_type != "authorization_code" {
        return Err(refusal(
            "unsupported_grant_type",
            "grant_type must be authorization_code",
        ));
    }
    let now = provider.clock.now();
    let mut codes = provider
        .codes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let grant = codes.redeem(&asked.code, now);
    drop(codes);
    let grant =
        grant.ok_or_else(|| refusal("invalid_grant", "the code is unknown, used or too old"))?;
    if grant.client_id != provider.client.id || grant.redirect_uri != asked.redirect_uri {
        return Err(refusal(
            "invalid_grant",
            "the code was issued for another redirect_uri",
        ));
    }
    let hash = digest::digest(&digest::SHA256, asked.code_verifier.as_bytes());
    if URL_SAFE_NO_PAD.encode(hash) != grant.code_challenge {
        return Err(refusal(
            "invalid_grant",
            "code_verifier does not match the code_challenge",
        ));
    }
    let id_token =
        id_token(provider, &grant).ok_or_else(|| refusal("server_error", "signing failed"))?;
    Ok(json!({
        "access_token": super::random_text(),
        "token_type": "Bearer",
        "expires_in": LIFE.as_secs(),
        "scope": "openid email profile groups",
        "id_token": id_token,
    }))
}

fn id_token(provider: &Provider, grant: &Grant) -> Option<String> {
    let now = provider.clock.now();
    provider.key.sign(&IdToken {
        iss: &provider.issuer,
        sub: grant.account.username,
        aud: &grant.client_id,
        iat: now.0,
        exp: now.after(LIFE).0,
        auth_time: grant.authenticated_at.0,
        nonce: grant.nonce.as_deref(),
        email: grant.account.email,
        email_verified: true,
        name: grant.account.name,
        preferred_username: grant.account.username,
        groups: grant.account.groups,
    })
}

/// `client_secret_basic` or `client_secret_post`, never both (RFC 6749 §2.3).
fn authenticate(provider: &Provider, headers: &HeaderMap, asked: &Exchange) -> Result<(), Refusal> {
    let unknown = || {
        refusal(
            "invalid_client",
            "the client is unknown or its secret is wrong",
        )
    };
    let basic = headers.get(header::AUTHORIZATION).map(basic_credentials);
    let (id, secret) = match (basic, &asked.client_id, &asked.client_secret) {
        (Some(_), _, Some(_)) => {
            return Err(refusal(
                "invalid_request",
                "two ways of client authentication at once",
            ));
        }
        (Some(credentials), _, None) => credentials.ok_or_else(unknown)?,
        (None, Some(id), Some(secret)) => (id.clone(), secret.clone()),
        (None, ..) => return Err(unknown()),
    };
    let right_secret = constant_time::verify_slices_are_equal(
        secret.as_bytes(),
        provider.client.secret.as_bytes(),
    );
    if id == provider.client.id && right_secret.is_ok() {
        Ok(())
    } else {
        Err(unknown())
    }
}

/// Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
fn basic_credentials(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let (name, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
    Some(name.into_owned())
}

fn refusal(error: &'static str, description: &'static str) -> Refusal {
    Refusal { error, description }
}

// === impl Refusal ===

impl Refusal {
    fn answer(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = super::json(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"example provider\""),
            );
        }
        response
    }
}
