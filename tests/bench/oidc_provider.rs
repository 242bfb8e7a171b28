//! A certified OpenID provider, panva's oidc-provider, whose accounts need no passwords.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bench::{Answer, Process, Visitor, Wait, loopback, process, tools};

/// What the provider knows and how it behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The clients that may ask it.
    pub clients: Vec<RegisteredClient>,
    /// Its accounts: the claims of each, by the name to sign in with, which is also the `sub`.
    pub accounts: BTreeMap<String, Value>,
    /// Further members of oidc-provider's configuration.
    pub configuration: Value,
    /// Where it listens; `None`: on a free port of this run.
    pub address: Option<SocketAddr>,
}

/// A client, as registered with the provider.
#[derive(Clone, Debug, Serialize)]
pub struct RegisteredClient {
    pub client_id: String,
    pub client_secret: String,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub grant_types: Vec<String>,
    pub response_types: Vec<String>,
}

/// A provider, running or stopped.
#[derive(Debug)]
pub struct OidcProvider {
    settings: Settings,
    address: SocketAddr,
    keys: std::path::PathBuf,
    process: Option<Process>,
}

// === impl RegisteredClient ===

impl RegisteredClient {
    /// A client that may send people back to these addresses.
    pub fn new(id: &str, secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            client_id: id.to_owned(),
            client_secret: secret.to_owned(),
            redirect_uris: redirect_uris.iter().map(|&uri| uri.to_owned()).collect(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: ["authorization_code", "refresh_token"]
                .map(str::to_owned)
                .to_vec(),
            response_types: vec!["code".to_owned()],
        }
    }
}

// === impl Settings ===

impl Settings {
    /// One client, and the accounts of [`people`].
    pub fn new(client: RegisteredClient) -> Self {
        Self {
            clients: vec![client],
            accounts: people(),
            configuration: json!({}),
            address: None,
        }
    }
}

/// Who can sign in unless a test says otherwise: ann (wiki-admins, staff), bob (staff), eve of another
/// company, and mallory, who claims ann's address without having proved it.
pub fn people() -> BTreeMap<String, Value> {
    let person = |login: &str, name: &str, email: &str, verified: bool, groups: &[&str]| {
        let claims = json!({
            "name": name, "preferred_username": login,
            "email": email, "email_verified": verified, "groups": groups,
        });
        (login.to_owned(), claims)
    };
    BTreeMap::from([
        person(
            "ann",
            "Ann Archer",
            "ann@corp.example",
            true,
            &["staff", "wiki-admins"],
        ),
        person("bob", "Bob Baker", "bob@corp.example", true, &["staff"]),
        person("eve", "Eve Elsewhere", "eve@elsewhere.example", true, &[]),
        person("mallory", "Mallory", "ann@corp.example", false, &["staff"]),
    ])
}

// === impl OidcProvider ===

impl OidcProvider {
    /// Starts it and waits until it answers.
    pub async fn start(settings: Settings) -> Result<Self> {
        let address = match settings.address {
            Some(address) => address,
            None => loopback::free_component_address()?,
        };
        let keys = process::data_folder("provider-keys")?.join("keys.json");
        let mut provider = Self {
            settings,
            address,
            keys,
            process: None,
        };
        provider.resume().await?;
        Ok(provider)
    }

    /// The issuer, which is also where it listens.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it; its port then refuses connections.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address and with the same keys. Its sessions are gone.
    pub async fn resume(&mut self) -> Result<()> {
        self.stop();
        let server = tools::repository().join("tests/tools/provider/server.mjs");
        let modules = tools::folder()?.join("provider");
        ensure!(
            modules.join("node_modules/oidc-provider").is_dir(),
            "oidc-provider is not installed: run tests/tools/install"
        );
        let settings = json!({
            "issuer": self.issuer(),
            "host": self.address.ip(), "port": self.address.port(),
            "modules": modules, "keys": self.keys,
            "clients": self.settings.clients,
            "accounts": self.settings.accounts,
            "configuration": self.settings.configuration,
        });
        let process = process::Start::program("oidc-provider", &tools::program("node")?)?
            .argument(server.to_string_lossy())
            .argument(settings.to_string())
            .start()?;
        let address = self.address;
        Wait::seconds(60)
            .watching(&process)
            .until("the provider answers", async || {
                let target = "/.well-known/openid-configuration";
                let answer = Visitor::get(address, &address.to_string(), target)
                    .send()
                    .await?;
                ensure!(answer.status == 200, "discovery answers {}", answer.status);
                Ok(())
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Makes new keys at the next [`OidcProvider::resume`].
    pub fn forget_keys(&self) -> Result<()> {
        Ok(std::fs::remove_file(&self.keys)?)
    }

    /// Does what a browser does at the provider: follows an authorization request, fills the form
    /// for `account`, and gives the address that the person is sent back to.
    pub async fn sign_in(&self, authorization: &str, account: &str) -> Result<String> {
        let mut jar = BTreeMap::new();
        let mut at = authorization.to_owned();
        for _ in 0..8 {
            let Some(target) = at
                .strip_prefix(&self.issuer())
                .or(at.strip_prefix("").filter(|at| at.starts_with('/')))
            else {
                return Ok(at);
            };
            let asked = self.visit(&jar, target);
            let asked = if target.starts_with("/interaction/") {
                let filled = format!("login={account}&act=sign-in");
                asked
                    .method(http::Method::POST)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("content-length", &filled.len().to_string())
                    .body(filled)
            } else {
                asked
            };
            let answer = asked.send().await?;
            keep_cookies(&mut jar, &answer);
            match answer.location() {
                Some(next) => at = next.to_owned(),
                None => bail!(
                    "the provider answers {} at {at}: {}",
                    answer.status,
                    answer.body
                ),
            }
        }
        bail!("the provider redirects without end, last to {at}")
    }

    fn visit(&self, jar: &BTreeMap<String, String>, target: &str) -> Visitor {
        let cookies: Vec<String> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Visitor::get(self.address, &self.address.to_string(), target)
            .header("cookie", &cookies.join("; "))
            .header("accept", "text/html")
    }
}

fn keep_cookies(jar: &mut BTreeMap<String, String>, answer: &Answer) {
    for pair in answer.cookies().split("; ") {
        if let Some((name, value)) = pair.split_once('=') {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}
