//! Set-up A: a central nginx with a server block for each service, which asks Vestibule with `auth_request`. The blocks
//! are those of tests/data/set-up-a.conf, with nothing changed but addresses and files.

mod live;
mod paths;
mod people;
mod rendered;
mod unread;

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::bench::{
    Answer, Browser, Certificate, Echo, OidcProvider, PlainNginx, Process, Visitor, Wait,
    browser::HostRule,
    loopback::free_component_address,
    oidc_provider::{RegisteredClient, Settings},
    process::Start,
};

const BLOCKS: &str = include_str!("../data/set-up-a.conf");
/// What docs/nginx.md adds for rules by path.
const TOLD: &str = "proxy_set_header X-Original-URI $request_uri;";
const PGWEB: &str = "pgweb.example";
const CONCOURSE: &str = "concourse.example";

/// `pgweb.example` for everyone of corp.example, by way of the one provider; `concourse.example` for eve, by way of the
/// other.
struct SetUp {
    pgweb: Echo,
    concourse: Echo,
    corp: OidcProvider,
    _partner: OidcProvider,
    vestibule: Vestibule,
    _nginx: PlainNginx,
    certificate: Certificate,
    https: SocketAddr,
}

/// `vestibule serve` on a folder of its own.
struct Vestibule {
    process: Process,
    folder: TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Vestibule {
    /// Starts it with these files as manifests, and further options.
    async fn start(manifests: &[(&str, String)], options: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        fs::create_dir(folder.path().join("manifests"))?;
        for (name, text) in manifests {
            fs::write(folder.path().join("manifests").join(name), text)?;
        }
        let (listen, admin) = (free_component_address()?, free_component_address()?);
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let process = Start::program("vestibule", Path::new(env!("CARGO_BIN_EXE_vestibule")))?
            .arguments([
                "serve",
                "--manifests",
                &path("manifests"),
                "--state",
                &path("state"),
            ])
            .arguments(["--listen", &listen.to_string()])
            .arguments(["--admin-listen", &admin.to_string()])
            .arguments(options.iter().copied())
            .start()?;
        let vestibule = Self {
            process,
            folder,
            listen,
            admin,
        };
        vestibule.process.prints("the auth endpoint serves").await?;
        Ok(vestibule)
    }

    fn manifest(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("manifests").join(name)
    }

    fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.manifest(file))?;
        ensure!(text.contains(from), "{file} does not contain {from}");
        Ok(fs::write(self.manifest(file), text.replace(from, to))?)
    }
}

impl SetUp {
    /// The blocks as they are written, with `spec.rules` for pgweb.
    async fn start(rules: &str) -> Result<Self> {
        Self::with(rules, &[], BLOCKS).await
    }

    async fn with(rules: &str, options: &[&str], blocks: &str) -> Result<Self> {
        let (corp, partner) = (provider("corp", PGWEB), provider("partner", CONCOURSE));
        let (corp, partner) = (corp.await?, partner.await?);
        let (pgweb, concourse) = (Echo::start().await?, Echo::start().await?);
        let manifests = [
            ("corp.yaml", identity_provider("corp", &corp)),
            ("partner.yaml", identity_provider("partner", &partner)),
            (
                "pgweb.yaml",
                format!("{}{rules}", service(PGWEB, &pgweb, "corp", "corp.example")),
            ),
            (
                "concourse.yaml",
                service(CONCOURSE, &concourse, "partner", "elsewhere.example"),
            ),
        ];
        let vestibule = Vestibule::start(&manifests, options).await?;
        let certificate = Certificate::new(&[PGWEB, CONCOURSE])?;
        let https = free_component_address()?;
        let site = blocks
            .replace("LISTEN", &https.to_string())
            .replace("CERTIFICATE", &certificate.certificate.to_string_lossy())
            .replace("KEY", &certificate.key.to_string_lossy())
            .replace("VESTIBULE", &vestibule.listen.to_string())
            .replace("PGWEB", &pgweb.address().to_string())
            .replace("CONCOURSE", &concourse.address().to_string());
        let nginx = PlainNginx::start(&site).await?;
        Ok(Self {
            pgweb,
            concourse,
            corp,
            _partner: partner,
            vestibule,
            _nginx: nginx,
            certificate,
            https,
        })
    }

    fn visit(&self, host: &str, target: &str) -> Result<Visitor> {
        Visitor::get(self.https, host, target).trusting(&self.certificate)
    }

    async fn browser(&self) -> Result<Browser> {
        let rule = |host: &str| HostRule {
            from: format!("{host}:443"),
            to: self.https,
        };
        Browser::start(&[rule(PGWEB), rule(CONCOURSE)]).await
    }

    /// Signs in as a browser does, and gives the cookies of the session.
    async fn session(&self, host: &str, provider: &OidcProvider, account: &str) -> Result<String> {
        self.session_at(host, provider, account, "/start?x=1").await
    }

    /// The same from another page.
    async fn session_at(
        &self,
        host: &str,
        provider: &OidcProvider,
        account: &str,
        page: &str,
    ) -> Result<String> {
        let answer = self.visit(host, page)?.navigating().send().await?;
        let to_provider = answer
            .location()
            .with_context(|| format!("not sent to the provider: {answer:?}"))?;
        let back = provider.sign_in(to_provider, account).await?;
        let target = back
            .strip_prefix(&format!("https://{host}"))
            .with_context(|| format!("sent back to {back}"))?;
        let landed = self
            .visit(host, target)?
            .navigating()
            .header("cookie", &answer.cookies())
            .send()
            .await?;
        ensure!(landed.location() == Some(page), "{landed:?}");
        Ok(landed.cookies())
    }

    /// A page that a person with these cookies gets.
    async fn page(&self, host: &str, target: &str, cookies: &str) -> Result<Answer> {
        let visit = self.visit(host, target)?.navigating();
        visit.header("cookie", cookies).send().await
    }
}

async fn provider(name: &str, host: &str) -> Result<OidcProvider> {
    let callback = format!("https://{host}/oauth2/callback/{name}");
    let client = RegisteredClient::new("vestibule", "of-the-client", &[&callback]);
    let mut settings = Settings::new(client);
    let groups: Vec<String> = (0..76)
        .map(|number| format!("a-group-with-a-long-name-{number}"))
        .collect();
    let max = json!({
        "name": "Max Many", "email": "max@corp.example", "email_verified": true, "groups": groups,
    });
    settings.accounts.insert("max".to_owned(), max);
    OidcProvider::start(settings).await
}

fn identity_provider(name: &str, provider: &OidcProvider) -> String {
    format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: {name}}}
spec:
  type: OIDC
  oidc: {{issuerURL: '{}'}}
  clientID: vestibule
  clientSecretRef: {{name: {name}-client}}
  scopes: [email, profile, groups]
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}-client}}
stringData: {{client-secret: of-the-client}}
",
        provider.issuer()
    )
}

fn service(host: &str, upstream: &Echo, provider: &str, domain: &str) -> String {
    let name = host.split('.').next().unwrap_or_default();
    format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: {name}}}
spec:
  hosts: [{{host: {host}, upstream: 'http://{}'}}]
  identityProviders: [{provider}]
  allow: [{{emailDomains: [{domain}]}}]
",
        upstream.address()
    )
}
