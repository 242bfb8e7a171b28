//! A provider's metadata (OpenID Connect Discovery 1.0, RFC 8414): read once, checked whole, believed about its
//! own issuer only.

use serde_json::{Map, Value};
use url::Url;

use super::{
    error::ProviderError,
    http::{Outgoing, shown},
    json,
    metrics::Operation,
    resolver::is_this_machine,
};

/// What the metadata says that matters here.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    /// Every callback carries `iss` (RFC 9207 §3).
    pub(super) sends_issuer: bool,
    /// It lists the PKCE methods that it knows, and S256 is not among them.
    pub(super) lacks_s256: bool,
    pub(super) client_authentication: ClientAuthentication,
}

/// How the client shows its secret (`token_endpoint_auth_methods_supported`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    /// `client_secret_basic`: what everyone must support, and what counts where nothing is said.
    Basic,
    /// `client_secret_post`: where that alone is listed.
    Post,
    /// A secret is of no use.
    Neither,
}

/// Fetches and checks the metadata of an issuer.
pub(super) async fn discover(outgoing: &Outgoing, issuer: &str) -> Result<Metadata, ProviderError> {
    let misconfigured = |reason: String| ProviderError::Misconfigured {
        provider: outgoing.provider().clone(),
        reason: reason.into(),
    };
    let plain_http = outgoing.lets_plain_http_pass();
    let location = location(issuer, plain_http).map_err(misconfigured)?;
    let document = outgoing
        .document(Operation::Discovery, &location)
        .await
        .map_err(|failure| {
            if failure.is_refusal() {
                misconfigured(format!(
                    "{failure}. Compare spec.oidc.issuerURL with what the provider calls its issuer"
                ))
            } else {
                failure.of(outgoing.provider())
            }
        })?;
    Metadata::read(&document, issuer, plain_http)
        .map_err(|reason| misconfigured(format!("{}: {reason}", shown(&location))))
}

fn location(issuer: &str, plain_http: bool) -> Result<Url, String> {
    let refused = |reason: &str| format!("the issuer {issuer:?} {reason}");
    let url = checked(issuer, plain_http).map_err(refused)?;
    if url.query().is_some() {
        return Err(refused("has a query"));
    }
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration"))
        .map_err(|error| refused(&error.to_string()))
}

fn checked(text: &str, plain_http: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    match url.scheme() {
        "https" => {}
        // Whatever else an issuer on this machine names, no secret and no token crosses a network readable by all.
        "http" if plain_http && stays_here(&url) => {}
        "http" => return Err("is plain http, which is let pass on this machine alone"),
        _ => return Err("is not an https URL"),
    }
    if !url.has_host() {
        return Err("has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password");
    }
    if url.fragment().is_some() {
        return Err("has a fragment");
    }
    Ok(url)
}

fn stays_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_this_machine(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(_)) | None => false,
    }
}

// === impl Metadata ===

impl Metadata {
    fn read(document: &[u8], issuer: &str, plain_http: bool) -> Result<Self, String> {
        let members = json::object(document)
            .ok_or("not a JSON object with each member once; is this the issuer's address?")?;
        match members.get("issuer").and_then(Value::as_str) {
            Some(said) if said == issuer => {}
            said => {
                let said: String = said.unwrap_or_default().chars().take(200).collect();
                return Err(format!(
                    "it says issuer {said:?}, the IdentityProvider says {issuer:?}; both must be equal, octet by octet \
                     (a slash at the end counts)"
                ));
            }
        }
        let optional = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_str()
                .ok_or("is not a string")
                .and_then(|text| checked(text, plain_http))
                .map(Some)
                .map_err(|reason| format!("its {name} {reason}")),
        };
        let required = |name| optional(name)?.ok_or_else(|| format!("it has no {name}"));
        let lists = |name: &str, entry: &str| listed(&members, name, entry);
        let client_authentication = match (
            lists(
                "token_endpoint_auth_methods_supported",
                "client_secret_basic",
            ),
            lists(
                "token_endpoint_auth_methods_supported",
                "client_secret_post",
            ),
        ) {
            (None | Some(true), _) => ClientAuthentication::Basic,
            (_, Some(true)) => ClientAuthentication::Post,
            _ => ClientAuthentication::Neither,
        };
        Ok(Self {
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            userinfo_endpoint: optional("userinfo_endpoint")?,
            sends_issuer: members.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            lacks_s256: lists("code_challenge_methods_supported", "S256") == Some(false),
            client_authentication,
        })
    }
}

/// Whether a list holds an entry; `None` if there is no list.
fn listed(members: &Map<String, Value>, name: &str, entry: &str) -> Option<bool> {
    let list = members.get(name)?.as_array()?;
    Some(list.iter().any(|one| one == entry))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.corp.example/realms/corp";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.corp.example/auth?tenant=corp",
            "token_endpoint": "https://id.corp.example/token",
            "jwks_uri": "https://keys.corp.example/jwks",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    fn read(document: &Value) -> Result<Metadata, String> {
        Metadata::read(document.to_string().as_bytes(), ISSUER, false)
    }

    #[test]
    fn the_location_is_the_issuer_with_the_well_known_path_behind_it() {
        for (issuer, expected) in [
            (
                ISSUER,
                "https://id.corp.example/realms/corp/.well-known/openid-configuration",
            ),
            (
                "https://id.corp.example/",
                "https://id.corp.example/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(location(issuer, false).unwrap().as_str(), expected);
        }
        for issuer in [
            "",
            "id.corp.example",
            "http://id.corp.example",
            "ftp://id.corp.example",
            "https://ann:pw@id.corp.example",
            "https://id.corp.example/?tenant=corp",
            "https://id.corp.example/#corp",
            "file:///etc/passwd",
        ] {
            assert!(location(issuer, false).is_err(), "{issuer}");
        }
        assert!(location("http://127.0.0.1:9000", true).is_ok());
    }

    #[test]
    fn another_issuer_is_refused_with_both_names() {
        for said in [
            json!("https://id.corp.example/realms/corp/"),
            json!("https://ID.corp.example/realms/corp"),
            json!("https://evil.example"),
            json!(null),
            json!([ISSUER]),
        ] {
            let reason = read(&with("issuer", said)).unwrap_err();
            assert!(reason.contains(ISSUER), "{reason}");
        }
    }

    #[test]
    fn endpoints_are_https_urls_without_passwords() {
        for endpoint in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
        ] {
            for bad in [
                json!("http://id.corp.example/x"),
                json!("https://ann:pw@id.corp.example/x"),
                json!("https://id.corp.example/x#y"),
                json!("/x"),
                json!("javascript:alert(1)"),
                json!(5),
            ] {
                let reason = read(&with(endpoint, bad)).unwrap_err();
                assert!(reason.contains(endpoint), "{reason}");
            }
        }
        for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            assert!(read(&with(endpoint, Value::Null)).is_err());
        }
        assert!(read(&with("userinfo_endpoint", Value::Null)).is_ok());
    }

    #[test]
    fn plain_http_goes_no_further_than_this_machine() {
        let issuer = "http://127.0.0.1:9000";
        let read = |endpoint: &str| {
            let mut document = with("token_endpoint", json!(endpoint));
            document["issuer"] = json!(issuer);
            Metadata::read(document.to_string().as_bytes(), issuer, true)
        };
        for here in [
            "http://127.0.0.2:9000/token",
            "http://id.localhost/token",
            "https://id.corp.example/token",
        ] {
            assert!(read(here).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://id.corp.example/token",
            "http://169.254.169.254/token",
            "http://0.0.0.0/token",
            "http://localhost.evil.example/token",
        ] {
            assert!(read(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn the_secret_goes_into_the_body_only_where_that_alone_is_listed() {
        use ClientAuthentication::{Basic, Neither, Post};
        for (methods, expected) in [
            (Value::Null, Basic),
            (json!(["client_secret_post", "client_secret_basic"]), Basic),
            (json!(["private_key_jwt", "client_secret_post"]), Post),
            (json!(["private_key_jwt"]), Neither),
        ] {
            let metadata = read(&with("token_endpoint_auth_methods_supported", methods)).unwrap();
            assert_eq!(metadata.client_authentication, expected);
        }
    }

    #[test]
    fn silence_about_pkce_is_not_a_refusal() {
        assert!(!read(&document()).unwrap().lacks_s256);
        let methods = |list| read(&with("code_challenge_methods_supported", list)).unwrap();
        assert!(!methods(json!(["plain", "S256"])).lacks_s256);
        assert!(methods(json!(["plain"])).lacks_s256);
    }

    #[test]
    fn a_document_that_names_its_issuer_twice_is_refused() {
        let text = document().to_string();
        let twice = text.replacen('{', r#"{"issuer":"https://evil.example","#, 1);
        assert!(Metadata::read(text.as_bytes(), ISSUER, false).is_ok());
        assert!(Metadata::read(twice.as_bytes(), ISSUER, false).is_err());
    }
}
