//! The example provider and services, over real sockets.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;
use vestibule::{
    clock::Clock,
    demo::{Demo, Folder},
    policy::{Origin, Scheme},
    published::Installation,
};

const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-4.1";
const CALLBACK: &str = "http://auth.localhost:8080/oauth2/callback/example";

struct Bench {
    demo: Demo,
    http: Client,
    secret: String,
    _folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let demo = start_in(&folder).await;
        let manifest = std::fs::read_to_string(demo.manifests.join("provider.yaml")).unwrap();
        let secret = manifest
            .rsplit_once("client-secret: ")
            .unwrap()
            .1
            .trim()
            .to_owned();
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Self {
            demo,
            http,
            secret,
            _folder: folder,
        }
    }

    /// What Vestibule asks, with some parameters changed.
    fn asked(changes: &[(&'static str, &str)]) -> HashMap<&'static str, String> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let mut asked = HashMap::from([
            ("response_type", "code".to_owned()),
            ("client_id", "vestibule-demo".to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("scope", "openid email".to_owned()),
            ("state", "the state".to_owned()),
            ("nonce", "the nonce".to_owned()),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
        ]);
        for (name, value) in changes {
            asked.insert(name, (*value).to_owned());
        }
        asked
    }

    async fn authorize(&self, changes: &[(&'static str, &str)]) -> Response {
        let url = format!("{}/authorize", self.demo.issuer);
        let url = Url::parse_with_params(&url, Self::asked(changes)).unwrap();
        self.http.get(url).send().await.unwrap()
    }

    async fn choose(&self, account: &str) -> HashMap<String, String> {
        let mut form = Self::asked(&[]);
        form.insert("account", account.to_owned());
        let response = self
            .http
            .post(format!("{}/authorize", self.demo.issuer))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(encoded(&form))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        landed(&response)
    }

    async fn exchange(&self, changes: &[(&'static str, &str)], basic: bool) -> (StatusCode, Value) {
        let mut form = HashMap::from([
            ("grant_type", "authorization_code".to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
        ]);
        let mut request = self.http.post(format!("{}/token", self.demo.issuer));
        if basic {
            request = request.basic_auth("vestibule-demo", Some(&self.secret));
        } else {
            form.insert("client_id", "vestibule-demo".to_owned());
            form.insert("client_secret", self.secret.clone());
        }
        for (name, value) in changes {
            form.insert(name, (*value).to_owned());
        }
        let response = request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(encoded(&form))
            .send()
            .await
            .unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap())
    }
}

async fn start_in(folder: &TempDir) -> Demo {
    let installation = Installation {
        origin: Origin {
            scheme: Scheme::Http,
            port: 8080,
        },
        ..Installation::default()
    };
    let folder = Folder::at(folder.path()).unwrap();
    Demo::start(&folder, &installation, Clock::System)
        .await
        .unwrap()
}

fn encoded(form: &HashMap<&'static str, String>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

/// The parameters that the client gets back.
fn landed(response: &Response) -> HashMap<String, String> {
    let location = response.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    Url::parse(location)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

#[tokio::test]
async fn a_code_becomes_an_id_token_that_the_published_keys_verify() {
    let bench = Bench::start().await;
    let issuer = &bench.demo.issuer;
    let get = async |path: &str| {
        let response = bench
            .http
            .get(format!("{issuer}{path}"))
            .send()
            .await
            .unwrap();
        response.text().await.unwrap()
    };
    let discovery: Value =
        serde_json::from_str(&get("/.well-known/openid-configuration").await).unwrap();
    assert_eq!(discovery["issuer"], **issuer);

    for basic in [true, false] {
        let back = bench.choose("ann").await;
        assert_eq!((&*back["state"], &back["iss"]), ("the state", issuer));
        let (status, tokens) = bench.exchange(&[("code", &back["code"])], basic).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        let keys: JwkSet = serde_json::from_str(&get("/jwks").await).unwrap();
        let mut expected = Validation::new(Algorithm::ES256);
        expected.set_audience(&["vestibule-demo"]);
        expected.set_issuer(&[issuer]);
        let claims = jsonwebtoken::decode::<Value>(
            tokens["id_token"].as_str().unwrap(),
            &DecodingKey::from_jwk(&keys.keys[0]).unwrap(),
            &expected,
        );
        let claims = claims.unwrap().claims;
        assert_eq!(claims["nonce"], "the nonce");
        assert_eq!(claims["email"], "ann@corp.example");
        assert_eq!(claims["email_verified"], true);
        assert_eq!(claims["groups"][1], "grafana-admins");
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_its_redirect_uri_and_its_verifier() {
    let bench = Bench::start().await;
    let code = bench.choose("bob").await["code"].clone();
    assert_eq!(
        bench.exchange(&[("code", &code)], true).await.0,
        StatusCode::OK
    );
    for wrong in [
        (
            "code_verifier",
            "another-verifier-that-is-long-enough-for-rfc-7636",
        ),
        (
            "redirect_uri",
            "http://wiki.localhost:8080/oauth2/callback/example",
        ),
        ("code", &code),
    ] {
        let fresh = bench.choose("bob").await["code"].clone();
        let (status, body) = bench.exchange(&[("code", &fresh), wrong], true).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["error"], "invalid_grant", "{wrong:?}");
    }
}

#[tokio::test]
async fn a_client_with_the_wrong_secret_gets_no_token() {
    let bench = Bench::start().await;
    let code = bench.choose("ann").await["code"].clone();
    let (status, body) = bench
        .exchange(&[("code", &code), ("client_secret", "guessed")], false)
        .await;
    assert_eq!(
        (status, &body["error"]),
        (StatusCode::UNAUTHORIZED, &"invalid_client".into())
    );
    let (status, _) = bench
        .exchange(&[("code", &code), ("client_secret", "x")], true)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        bench.exchange(&[("code", &code)], true).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let bench = Bench::start().await;
    for change in [
        (
            "redirect_uri",
            "http://auth.localhost:8080/oauth2/callback/example/",
        ),
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", ""),
        ("client_id", "somebody-else"),
    ] {
        let response = bench.authorize(&[change]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{change:?}");
        assert!(response.headers().get("location").is_none());
    }
}

#[tokio::test]
async fn other_mistakes_are_told_to_the_client() {
    let bench = Bench::start().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("prompt", "none"), "login_required"),
        (("prompt", "dance"), "invalid_request"),
    ] {
        let back = landed(&bench.authorize(&[change]).await);
        assert_eq!(
            (&*back["error"], &*back["state"]),
            (error, "the state"),
            "{change:?}"
        );
    }
}

#[tokio::test]
async fn the_page_offers_both_accounts_and_quotes_nothing_unescaped() {
    let bench = Bench::start().await;
    let response = bench
        .authorize(&[("prompt", "select_account"), ("state", "\"><script>")])
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let page = response.text().await.unwrap();
    assert!(page.contains("ann@corp.example") && page.contains("bob@corp.example"));
    assert!(page.contains("auth.localhost") && !page.contains("<script>"));
}

#[tokio::test]
async fn a_folder_that_is_used_again_keeps_ports_secret_and_edits() {
    let folder = TempDir::new().unwrap();
    let first = start_in(&folder).await;
    let issuer = first.issuer.clone();
    let wiki = first.manifests.join("wiki.yaml");
    let secret = std::fs::read(first.manifests.join("provider.yaml")).unwrap();
    first.stop().await;
    std::fs::write(&wiki, "# edited").unwrap();
    let second = start_in(&folder).await;
    assert_eq!(second.issuer, issuer);
    assert_eq!(std::fs::read_to_string(&wiki).unwrap(), "# edited");
    assert_eq!(
        std::fs::read(second.manifests.join("provider.yaml")).unwrap(),
        secret
    );
}

#[tokio::test]
async fn a_service_shows_the_identity_headers_it_got() {
    let bench = Bench::start().await;
    let manifest = std::fs::read_to_string(bench.demo.manifests.join("wiki.yaml")).unwrap();
    let port = manifest.rsplit_once("number: ").unwrap().1.trim();
    let get = async |path: &str| {
        let request = bench
            .http
            .get(format!("http://127.0.0.1:{port}{path}"))
            .header("X-Auth-Request-Email", "<ann>@corp.example")
            .header("X-Auth-Request-Groups", "");
        request.send().await.unwrap().text().await.unwrap()
    };
    let page = get("/").await;
    assert!(page.contains("&#60;ann&#62;@corp.example") && page.contains("/oauth2/sign_out"));
    assert!(!page.contains("X-Auth-Request-Groups"));
    let page = get("/page?x=<1>").await;
    assert!(page.contains("/page?x=") && !page.contains("<1>"), "{page}");
    assert!(page.contains("&#60;ann&#62;@corp.example"), "{page}");
    insta::assert_snapshot!(
        get("/api/whoami").await,
        @r#"{"service":"wiki","headers":{"x-auth-request-email":"<ann>@corp.example"}}"#
    );
}
