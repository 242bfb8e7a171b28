//! What is attacked here: the real `vestibule serve` in front of a service, with providers that say what a test wants
//! them to say. Each provider NAME has a host `NAME.corp.test`, where addresses of corp.example and the group `staff`
//! may enter; `both.corp.test` takes the first two.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use url::Url;
use vestibule::{published::KeyRing, session::Keys};

use crate::{
    bench::{
        Answer, Certificate, Echo, Process, Visitor, Wait,
        loopback::free_component_address,
        process::{Start, data_folder},
    },
    provider::lying::{self, Key, Lying, TOKEN, tokens},
};

/// The program, its service, and where both are.
pub(super) struct Serve {
    /// Where people come in.
    pub(super) door: SocketAddr,
    /// Where a proxy would ask.
    pub(super) endpoint: SocketAddr,
    pub(super) service: Echo,
    pub(super) process: Process,
    state: PathBuf,
}

/// A tab that has left for a provider.
#[derive(Clone)]
pub(super) struct Tab {
    pub(super) host: String,
    pub(super) provider: String,
    /// The attempt, as the browser would send it back.
    pub(super) cookies: String,
    pub(super) state: String,
    pub(super) nonce: String,
}

/// What became of a callback.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The Cookie header of a session, and where the browser is sent.
    SignedIn(String, String),
    /// A page with this status and this word for machines.
    Page(u16, String),
}

// === impl Serve ===

impl Serve {
    pub(super) async fn start(providers: &[(&str, String)]) -> Result<Self> {
        Self::open(providers, None).await
    }

    /// The same; with a certificate the door speaks TLS.
    pub(super) async fn open(
        providers: &[(&str, String)],
        certificate: Option<&Certificate>,
    ) -> Result<Self> {
        let service = Echo::start().await?;
        let folder = data_folder("lied-to")?;
        let path = |name: &str| folder.join(name);
        for name in ["manifests", "secrets"] {
            fs::create_dir(path(name))?;
        }
        let mut manifests = String::new();
        let mut protect = |name: &str, providers: &[&str]| {
            let entries = providers.iter().map(|provider| {
                json!([
                    { "provider": provider, "emailDomains": ["corp.example"] },
                    { "provider": provider, "groups": ["staff"] },
                ])
            });
            let entries: Vec<Value> = entries
                .flat_map(|all| all.as_array().cloned().unwrap_or_default())
                .collect();
            let service = json!({
                "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService", "metadata": { "name": name },
                "spec": {
                    "hosts": [{ "host": format!("{name}.corp.test"), "upstream": format!("http://{}", service.address()) }],
                    "identityProviders": providers,
                    "allow": entries,
                },
            });
            manifests.push_str(&format!("---\n{service}\n"));
        };
        for (name, _) in providers {
            protect(name, &[name]);
        }
        if let [(one, _), (two, _), ..] = providers {
            protect("both", &[one, two]);
        }
        for (name, issuer) in providers {
            let provider = json!({
                "apiVersion": "vestibule.dev/v1alpha1", "kind": "IdentityProvider", "metadata": { "name": name },
                "spec": {
                    "type": "OIDC", "oidc": { "issuerURL": issuer }, "clientID": "vestibule",
                    "clientSecretRef": { "name": name }, "scopes": ["email", "profile", "groups"],
                },
            });
            manifests.push_str(&format!("---\n{provider}\n"));
            fs::write(path("secrets").join(name), CLIENT_SECRET)?;
        }
        fs::write(path("manifests").join("all.yaml"), manifests)?;
        let [door, endpoint, admin] = [
            free_component_address()?,
            free_component_address()?,
            free_component_address()?,
        ];
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_vestibule"));
        let mut start = Start::program("lied-to", program)?.argument("serve");
        for (option, value) in [
            ("--manifests", path("manifests").display().to_string()),
            ("--secrets-dir", path("secrets").display().to_string()),
            ("--state", path("state").display().to_string()),
            ("--front-door", door.to_string()),
            ("--listen", endpoint.to_string()),
            ("--admin-listen", admin.to_string()),
        ] {
            start = start.argument(option).argument(value);
        }
        if let Some(certificate) = certificate {
            start = start
                .argument(format!("--tls-cert={}", certificate.certificate.display()))
                .argument(format!("--tls-key={}", certificate.key.display()));
        }
        let process = start.start()?;
        Wait::seconds(60)
            .watching(&process)
            .until("vestibule serves", async || {
                let answer = Visitor::get(admin, "localhost", "/readyz").send().await?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(())
            })
            .await?;
        Ok(Self {
            door,
            endpoint,
            service,
            process,
            state: path("state"),
        })
    }

    /// The session keys, which no attacker has: to make what only a test can make.
    pub(super) fn keys(&self) -> Result<Keys> {
        let mut files = fs::read_dir(&self.state)?;
        let ring = files.find_map(|file| KeyRing::parse(&fs::read(file.ok()?.path()).ok()?).ok());
        Ok(Keys::new(Arc::new(ring.context("no key ring")?)))
    }

    /// A person opens `target` and leaves for the provider.
    pub(super) async fn leave(&self, host: &str, provider: &str, target: &str) -> Result<Tab> {
        let rd: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        self.leave_with(host, provider, &format!("rd={rd}"), "")
            .await
    }

    /// The same, with this query and one more header line.
    pub(super) async fn leave_with(
        &self,
        host: &str,
        provider: &str,
        query: &str,
        redirect: &str,
    ) -> Result<Tab> {
        let target = format!("/oauth2/start?{query}&provider={provider}");
        let mut visit = Visitor::get(self.endpoint, host, &target).navigating();
        if !redirect.is_empty() {
            visit = visit.header("x-auth-request-redirect", redirect);
        }
        let answer = visit.send().await?;
        let location = answer.location().unwrap_or_default();
        ensure!(
            answer.status == 302,
            "{host}{target} answers {}: {}",
            answer.status,
            answer.body
        );
        let url = Url::parse(location)?;
        let parameter = |name: &str| {
            let found = url.query_pairs().find(|(one, _)| one == name);
            found
                .map(|(_, value)| value.into_owned())
                .with_context(|| format!("no {name} in {url}"))
        };
        Ok(Tab {
            host: host.to_owned(),
            provider: provider.to_owned(),
            cookies: answer.cookies(),
            state: parameter("state")?,
            nonce: parameter("nonce")?,
        })
    }

    /// A request to the endpoint with these cookies, from a program, which is told the word for its refusal.
    pub(super) async fn ask(&self, host: &str, target: &str, cookies: &str) -> Result<Answer> {
        let visit = Visitor::get(self.endpoint, host, target);
        visit.header("cookie", cookies).send().await
    }

    /// The browser of this tab comes back with a code, as providers send it.
    pub(super) async fn back(&self, tab: &Tab) -> Result<Outcome> {
        self.back_with(tab, &format!("code=c&state={}", tab.state))
            .await
    }

    /// It comes back with these parameters.
    pub(super) async fn back_with(&self, tab: &Tab, query: &str) -> Result<Outcome> {
        let target = format!("/oauth2/callback/{}?{query}", tab.provider);
        Outcome::of(&self.ask(&tab.host, &target, &tab.cookies).await?)
    }

    /// Whether the front door lets a request with these cookies through to the service.
    pub(super) async fn enters(&self, host: &str, cookies: &str) -> Result<bool> {
        self.service.forget();
        let answer = Visitor::get(self.door, host, "/x")
            .header("cookie", cookies)
            .send()
            .await?;
        let arrived = !self.service.seen().is_empty();
        ensure!(
            arrived == (answer.status == 200),
            "it answers {}",
            answer.status
        );
        Ok(arrived)
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(answer: &Answer) -> Result<Self> {
        let cookies = answer.cookies();
        let session = cookies.split("; ").find(|pair| {
            pair.strip_prefix("__Host-vestibule=")
                .is_some_and(|value| !value.is_empty())
        });
        for name in ["cache-control", "referrer-policy"] {
            ensure!(
                matches!(answer.header(name), Some("no-store" | "no-referrer")),
                "{name} is missing on a {}",
                answer.status
            );
        }
        Ok(match session {
            Some(session) => Self::SignedIn(
                session.to_owned(),
                answer.location().unwrap_or_default().to_owned(),
            ),
            None => {
                let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let word = body["error"].as_str().unwrap_or_default();
                Self::Page(answer.status.as_u16(), word.to_owned())
            }
        })
    }

    /// The session, or an error that says what came instead.
    pub(super) fn session(&self) -> Result<&str> {
        match self {
            Self::SignedIn(session, _) => Ok(session),
            Self::Page(..) => anyhow::bail!("no session but {self:?}"),
        }
    }

    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Page(status, word) if (400..=503).contains(status) && !word.is_empty())
    }
}

pub(super) const CLIENT_SECRET: &str = "the-client-secret-of-the-tests";

/// An honest provider, and claims that let ann in at its hosts.
pub(super) struct Honest {
    pub(super) key: Key,
    pub(super) lying: Lying,
}

// === impl Honest ===

impl Honest {
    pub(super) async fn start(key_id: &str) -> Self {
        let key = Key::new(key_id);
        Self {
            lying: Lying::start(&key).await,
            key,
        }
    }

    pub(super) fn issuer(&self) -> String {
        self.lying.issuer()
    }

    /// The claims of an honest ID token for this tab.
    pub(super) fn claims(&self, tab: &Tab) -> Value {
        let mut claims = self.lying.claims(now());
        claims["nonce"] = json!(tab.nonce);
        claims
    }

    /// Whatever code comes, this ID token is answered.
    pub(super) fn says(&self, token: &str) {
        self.lying.answers(TOKEN, tokens(token));
    }

    /// Whatever code comes, an honest token for this tab is answered.
    pub(super) fn is_honest_to(&self, tab: &Tab) {
        self.says(&self.key.signs(&self.claims(tab)));
    }

    pub(super) fn answers(&self, path: &str, answer: lying::Answer) {
        self.lying.answers(path, answer);
    }
}

pub(super) fn now() -> u64 {
    vestibule::clock::Clock::System.now().0
}
