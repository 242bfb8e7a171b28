//! A set-up of `deploy/compose`, run from its very files, without containers: the services that have a program here
//! are started with what Compose would have given them, at addresses of this run.
//!
//! What differs from a server: addresses and paths, an OpenID provider of ours in place of Google, and services in
//! place of the images that stand for the user's own.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::{
    Certificate, OidcProvider, PlainNginx, Process, Visitor, Wait, loopback,
    oidc_provider::{RegisteredClient, Settings},
    process::{self, Start, data_folder},
    tools,
};

/// A set-up that runs.
#[derive(Debug)]
pub struct SetUp {
    /// Where `https://` leads.
    pub https: SocketAddr,
    /// Where `http://` leads.
    pub http: SocketAddr,
    /// Where Vestibule listens for nginx, or for everybody where there is none.
    pub vestibule: SocketAddr,
    /// For every host.
    pub certificate: Certificate,
    /// Ours, in place of Google.
    pub provider: OidcProvider,
    program: Process,
    _nginx: Option<PlainNginx>,
}

/// What a set-up is told about this run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The folder in `deploy/compose`.
    pub name: &'a str,
    /// The program under test.
    pub program: &'a Path,
    /// Its hosts.
    pub hosts: &'a [&'a str],
    /// `NAME:PORT` of each service, and where it is.
    pub services: &'a [(&'a str, SocketAddr)],
    /// Another text in place of the set-up's files for nginx.
    pub nginx: Option<&'a str>,
}

/// nginx connects from here, since nothing tells it otherwise.
const FROM_NGINX: &str = "127.0.0.1/32";
const CLIENT_SECRET: &str = "a-secret-of-the-tests";

/// The folder of a set-up.
pub fn folder(name: &str) -> PathBuf {
    tools::repository().join("deploy/compose").join(name)
}

/// What Compose makes of a set-up's `compose.yaml` and `.env`; an `Err` if the specification does not allow it.
pub async fn composed(name: &str, environment: &[(&str, &str)]) -> Result<Value> {
    let mut read = Command::new(tools::program("compose-config")?);
    read.current_dir(folder(name))
        .env_clear()
        .envs(environment.iter().copied());
    let json = process::run(read).await?;
    Ok(serde_json::from_str(&json)?)
}

// === impl SetUp ===

impl SetUp {
    /// Starts it and waits until it serves.
    pub async fn start(run: Run<'_>) -> Result<Self> {
        let compose = composed(run.name, &[("FRONT_SUBNET", FROM_NGINX)]).await?;
        let certificate = Certificate::new(run.hosts)?;
        let data = data_folder(run.name)?;
        let (manifests, provider) = manifests(run, &data).await?;
        let (secrets, state) = (data.join("secrets"), data.join("state"));
        fs::create_dir_all(&secrets)?;
        fs::write(secrets.join("google"), format!("{CLIENT_SECRET}\n"))?;

        let service = compose
            .pointer("/services/vestibule")
            .context("no service vestibule")?;
        let mut listeners = BTreeMap::new();
        let mut start = Start::program("vestibule", run.program)?;
        for argument in service
            .get("command")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            start = start.argument(argument.as_str().unwrap_or_default());
        }
        let environment = service.get("environment").and_then(Value::as_object);
        for (name, value) in environment.context("no environment")? {
            let value = value.as_str().unwrap_or_default();
            let value = match value.split_once(':') {
                Some(("0.0.0.0", port)) => {
                    let address = loopback::free_component_address()?;
                    listeners.insert(port.to_owned(), address);
                    address.to_string()
                }
                _ => value
                    .replace("/etc/vestibule", &manifests.to_string_lossy())
                    .replace("/run/secrets", &secrets.to_string_lossy())
                    .replace(
                        "/certificates/fullchain.pem",
                        &certificate.certificate.to_string_lossy(),
                    )
                    .replace(
                        "/certificates/privkey.pem",
                        &certificate.key.to_string_lossy(),
                    ),
            };
            start = start.environment(name, value);
        }
        let admin = loopback::free_component_address()?.to_string();
        let program = start
            .environment("VESTIBULE_STATE", state.to_string_lossy())
            .environment("VESTIBULE_ADMIN_LISTEN", &admin)
            .start()?;
        healthy(run.program, &program, &admin).await?;

        let listener = |port: &str| {
            let known = listeners.get(port).copied();
            known.with_context(|| format!("{} does not listen on port {port}", run.name))
        };
        let (https, http, vestibule, nginx) = if compose.pointer("/services/nginx").is_none() {
            let (https, http) = (listener("4443")?, listener("4080")?);
            (https, http, https, None)
        } else {
            let vestibule = listener("4180")?;
            let (https, http) = (
                loopback::free_component_address()?,
                loopback::free_component_address()?,
            );
            let site = site(run, [https, http, vestibule], &certificate)?;
            (
                https,
                http,
                vestibule,
                Some(PlainNginx::start(&site).await?),
            )
        };
        Ok(Self {
            https,
            http,
            vestibule,
            certificate,
            provider,
            program,
            _nginx: nginx,
        })
    }

    /// A GET over TLS from outside.
    pub fn visit(&self, host: &str, target: &str) -> Result<Visitor> {
        Visitor::get(self.https, host, target).trusting(&self.certificate)
    }

    /// What Vestibule has logged.
    pub fn log(&self) -> String {
        self.program.printed()
    }
}

/// The files of the set-up for nginx, with this run's addresses and certificate.
pub fn site(
    run: Run<'_>,
    [https, http, vestibule]: [SocketAddr; 3],
    certificate: &Certificate,
) -> Result<String> {
    let mut text = match run.nginx {
        Some(text) => text.to_owned(),
        None => {
            let mut files: Vec<PathBuf> = fs::read_dir(folder(run.name).join("nginx"))?
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?;
            files.sort();
            let texts = files.iter().map(fs::read_to_string);
            texts.collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    let addresses = [
        ("listen 80;".to_owned(), format!("listen {http};")),
        ("listen 443 ssl".to_owned(), format!("listen {https} ssl")),
        ("vestibule:4180".to_owned(), vestibule.to_string()),
        (
            "/etc/nginx/certificates/fullchain.pem".to_owned(),
            certificate.certificate.display().to_string(),
        ),
        (
            "/etc/nginx/certificates/privkey.pem".to_owned(),
            certificate.key.display().to_string(),
        ),
    ];
    let services = run
        .services
        .iter()
        .map(|(name, address)| (format!("http://{name}"), format!("http://{address}")));
    for (from, to) in addresses.into_iter().chain(services) {
        text = text.replace(&from, &to);
    }
    Ok(text)
}

/// Copies the manifests, with this run's services, and with a provider of ours where they name Google.
async fn manifests(run: Run<'_>, data: &Path) -> Result<(PathBuf, OidcProvider)> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(folder(run.name).join("vestibule"))? {
        let entry = entry?;
        texts.insert(entry.file_name(), fs::read_to_string(entry.path())?);
    }
    let client_id = texts
        .values()
        .flat_map(|text| text.lines())
        .find_map(|line| line.trim().strip_prefix("clientID: "))
        .context("no clientID in the manifests")?;
    let callbacks: Vec<String> = run
        .hosts
        .iter()
        .map(|host| format!("https://{host}/oauth2/callback/google"))
        .collect();
    let callbacks: Vec<&str> = callbacks.iter().map(String::as_str).collect();
    let provider = OidcProvider::start(Settings {
        accounts: accounts(),
        ..Settings::new(RegisteredClient::new(client_id, CLIENT_SECRET, &callbacks))
    })
    .await?;
    let ours = format!(
        "type: OIDC\n  oidc: {{issuerURL: \"{}\"}}",
        provider.issuer()
    );
    let folder = data.join("manifests");
    fs::create_dir_all(&folder)?;
    let mut replaced = 0;
    for (name, text) in &texts {
        let mut text = text.clone();
        if let Some(google) = text
            .lines()
            .find(|line| line.trim().starts_with("google: {"))
        {
            let google = format!("{google}\n");
            text = text.replace(&google, "").replace("type: Google", &ours);
            replaced += 1;
        }
        for (service, address) in run.services {
            text = text.replace(&format!("http://{service}"), &format!("http://{address}"));
        }
        fs::write(folder.join(name), text)?;
    }
    ensure!(replaced == 1, "{replaced} manifests name Google");
    Ok((folder, provider))
}

/// Ann belongs to the example's company, eve does not.
fn accounts() -> BTreeMap<String, Value> {
    let person = |login: &str, domain: &str| {
        let claims = json!({
            "name": login, "email": format!("{login}@{domain}"), "email_verified": true,
        });
        (login.to_owned(), claims)
    };
    BTreeMap::from([
        person("ann", "example.com"),
        person("eve", "elsewhere.example"),
    ])
}

/// Waits until the health check of the Compose file would be content.
async fn healthy(program: &Path, process: &Process, admin: &str) -> Result<()> {
    Wait::seconds(60)
        .watching(process)
        .until("vestibule is healthy", async || {
            let mut check = Command::new(program);
            check.arg("health").env("VESTIBULE_ADMIN_LISTEN", admin);
            process::run(check).await
        })
        .await?;
    Ok(())
}
