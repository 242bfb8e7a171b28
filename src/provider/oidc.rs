//! The authorization-code flow (OpenID Connect Core §3.1) with PKCE, as the `oauth2` crate speaks it: the
//! address that the browser is sent to, and the exchange of the code for tokens.

use std::{borrow::Cow, fmt, time::Duration};

use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, StandardErrorResponse, StandardRevocableToken, StandardTokenResponse,
    TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
        BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    AuthorizationRequest, Callback,
    discovery::{ClientAuthentication, Metadata},
    error::ProviderError,
    http::{HttpFailure, Outgoing},
};
use crate::published::{ProviderKind, ProviderSettings};

/// What the token endpoint hands out. No `Debug`: both are secrets.
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: String,
}

type Client = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What OpenID Connect adds to the token response (Core §3.1.3.3).
#[derive(Serialize, Deserialize)]
struct IdTokenField {
    id_token: Option<String>,
}

/// The address to send the browser to.
pub(super) fn authorization_url(
    metadata: &Metadata,
    settings: &ProviderSettings,
    request: &AuthorizationRequest<'_>,
) -> Result<String, ProviderError> {
    if settings.client_secret.is_none() && metadata.lacks_s256 {
        return Err(misconfigured(
            settings,
            "without a client secret PKCE must protect the code, and the provider does not list S256 among its \
             code_challenge_methods_supported; give clientSecretRef",
        ));
    }
    let verifier = PkceCodeVerifier::new(request.pkce_verifier.to_owned());
    if !(43..=128).contains(&request.pkce_verifier.len()) {
        return Err(misconfigured(
            settings,
            "the PKCE verifier has a wrong length",
        ));
    }
    let client = client(metadata, settings, request.redirect_uri)?;
    let mut url = client
        .authorize_url(|| CsrfToken::new(request.state.to_owned()))
        .add_scopes(scopes(settings))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_extra_param("nonce", request.nonce);
    if request.selects_account {
        url = url.add_extra_param("prompt", "select_account");
    }
    if let Some(max_age) = request.max_age {
        url = url.add_extra_param("max_age", seconds(max_age));
    }
    if let Some(hint) = request.login_hint {
        url = url.add_extra_param("login_hint", hint);
    }
    if let ProviderKind::Google { hosted_domains } = &settings.kind
        && let [only] = hosted_domains.as_slice()
    {
        url = url.add_extra_param("hd", &**only);
    }
    let (url, _) = url.url();
    Ok(url.into())
}

/// Exchanges the code.
pub(super) async fn redeem(
    outgoing: &Outgoing,
    metadata: &Metadata,
    settings: &ProviderSettings,
    callback: &Callback<'_>,
) -> Result<Tokens, ProviderError> {
    let client = client(metadata, settings, callback.redirect_uri)?;
    let response = client
        .exchange_code(AuthorizationCode::new(callback.code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(callback.pkce_verifier.to_owned()))
        .request_async(outgoing)
        .await
        .map_err(|error| explained(error, settings, callback))?;
    let id_token = response.extra_fields().id_token.clone().ok_or_else(|| {
        misconfigured(
            settings,
            "the token endpoint sent no id_token; is this client registered for OpenID Connect, with the scope openid?",
        )
    })?;
    Ok(Tokens {
        id_token,
        access_token: response.access_token().secret().clone(),
    })
}

fn client(
    metadata: &Metadata,
    settings: &ProviderSettings,
    redirect_uri: &str,
) -> Result<Client, ProviderError> {
    let redirect_uri = RedirectUrl::new(redirect_uri.to_owned())
        .map_err(|_| misconfigured(settings, "the redirect URI is not a URL"))?;
    let mut client = oauth2::Client::new(ClientId::new(settings.client_id.to_string()))
        .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
        .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
        .set_redirect_uri(redirect_uri);
    if let Some(secret) = &settings.client_secret {
        let secret = std::str::from_utf8(secret.expose())
            .map_err(|_| misconfigured(settings, "the client secret is not UTF-8 text"))?;
        let authentication = match metadata.client_authentication {
            ClientAuthentication::Basic => AuthType::BasicAuth,
            ClientAuthentication::Post => AuthType::RequestBody,
            ClientAuthentication::Neither => {
                return Err(misconfigured(
                    settings,
                    "the provider's token_endpoint_auth_methods_supported lists neither client_secret_basic nor \
                     client_secret_post; register a client that has a secret",
                ));
            }
        };
        client = client
            .set_auth_type(authentication)
            .set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    Ok(client)
}

fn scopes(settings: &ProviderSettings) -> Vec<Scope> {
    let mut names = vec!["openid"];
    for scope in &settings.scopes {
        if !names.contains(&&**scope) {
            names.push(scope);
        }
    }
    names
        .into_iter()
        .map(|name| Scope::new(name.to_owned()))
        .collect()
}

fn seconds(span: Duration) -> Cow<'static, str> {
    span.as_secs().to_string().into()
}

fn misconfigured(settings: &ProviderSettings, reason: &str) -> ProviderError {
    ProviderError::Misconfigured {
        provider: settings.name.clone(),
        reason: reason.into(),
    }
}

fn explained(
    error: RequestTokenError<HttpFailure, BasicErrorResponse>,
    settings: &ProviderSettings,
    callback: &Callback<'_>,
) -> ProviderError {
    let provider = settings.name.clone();
    let answer = match error {
        RequestTokenError::Request(failure) => return failure.of(&provider),
        RequestTokenError::ServerResponse(answer) => answer,
        // The error's own text quotes what it could not read, which may be a token.
        RequestTokenError::Parse(error, _) => {
            let path = error.path().to_string();
            let reason =
                format!("the token endpoint's answer is not a token response (at {path:?})");
            return misconfigured(settings, &reason);
        }
        RequestTokenError::Other(_) => {
            return misconfigured(settings, "the token endpoint's answer is not JSON");
        }
    };
    let words = words(&answer, settings, callback);
    match answer.error() {
        code @ (BasicErrorResponseType::InvalidClient
        | BasicErrorResponseType::UnauthorizedClient
        | BasicErrorResponseType::UnsupportedGrantType) => {
            let secret = settings.client_secret.as_ref();
            let hint = if secret.is_some_and(|secret| secret.expose().ends_with(b"\n")) {
                "; the client secret ends in a line break, is that meant?"
            } else {
                ""
            };
            let reason = format!(
                "the token endpoint refused this client ({}): {words}. Compare clientID and the client secret with \
                 what is registered there{hint}",
                code.as_ref()
            );
            misconfigured(settings, &reason)
        }
        code => {
            let code = printable(code.as_ref(), 64);
            let reason = words.into();
            if is_momentary(&code) {
                ProviderError::Unreachable { provider, reason }
            } else {
                ProviderError::Refused {
                    provider,
                    code: code.into(),
                    reason,
                }
            }
        }
    }
}

fn is_momentary(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable" | "server_error" | "slow_down"
    )
}

/// The provider's own words, unless they repeat what must not be in a log.
fn words(
    answer: &StandardErrorResponse<BasicErrorResponseType>,
    settings: &ProviderSettings,
    callback: &Callback<'_>,
) -> String {
    let words = printable(answer.error_description().map_or("", String::as_str), 300);
    let secret = settings
        .client_secret
        .as_ref()
        .map_or("".into(), |secret| String::from_utf8_lossy(secret.expose()));
    let secrets = [&*secret, callback.code, callback.pkce_verifier];
    let tells = secrets
        .iter()
        .any(|secret| !secret.is_empty() && words.contains(secret.trim_end()));
    if words.is_empty() || tells {
        "it gave no description that may be shown".to_owned()
    } else {
        words
    }
}

/// `error` and `error_description` hold printable ASCII (RFC 6749 §5.2); the rest is left out.
fn printable(text: &str, longest: usize) -> String {
    text.chars()
        .filter(|c| (' '..='~').contains(c))
        .take(longest)
        .collect()
}

// === impl IdTokenField ===

impl ExtraTokenFields for IdTokenField {}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTokenField(…)")
    }
}
