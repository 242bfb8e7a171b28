//! A running `vestibule serve` in front of a service, with a front door, an auth endpoint that an nginx would ask, and a
//! provider that does as a test tells it.

mod provider;

use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use vestibule::{
    clock::Clock,
    folder,
    policy::{Host, Moment},
    session::{self, Keys, NamedFacts},
};

pub(crate) use self::provider::{Mood, Provider, pipelined};
use crate::{
    bench::{
        Echo, Process, Wait,
        loopback::free_component_address,
        process::Start,
        raw::{self, RawAnswer},
        tools,
    },
    people::bob,
};

pub(crate) const HOST: &str = "wiki.example";

/// `vestibule serve` with a front door and an auth endpoint that an nginx would ask.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) check: SocketAddr,
    pub(crate) door: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) provider: Provider,
    /// A Cookie line with a session.
    pub(crate) session: String,
    _service: Echo,
    _folder: TempDir,
}

// === impl Running ===

impl Running {
    /// With these options; the process may open so many files.
    pub(crate) async fn start(files: u32, options: &[&str]) -> Result<Self> {
        let (provider, service) = (Provider::start().await?, Echo::start().await?);
        let folder = TempDir::new()?;
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("manifests"))?;
        let manifests = format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: corp}}
spec:
  type: OIDC
  oidc: {{issuerURL: '{issuer}'}}
  clientID: vestibule
  clientSecretRef: {{name: corp-client}}
---
apiVersion: v1
kind: Secret
metadata: {{name: corp-client}}
stringData: {{client-secret: of-the-client}}
---
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: wiki}}
spec:
  hosts: [{{host: {HOST}, upstream: 'http://{upstream}'}}]
  identityProviders: [corp]
  allow: [{{emailDomains: [corp.example]}}]
  rules: [{{access: Public, paths: [{{type: Prefix, value: /pub/}}]}}]
",
            issuer = provider.issuer(),
            upstream = service.address(),
        );
        fs::write(path("manifests/all.yaml"), manifests)?;
        let keys = Keys::new(Arc::new(folder::key_ring(&path("state"))?));
        let host = Host::parse(HOST).context("a host")?;
        let session = session::issue(
            &bob(provider.issuer(), Moment(now().0 - 60)),
            &NamedFacts::default(),
            &keys,
            &host,
            now(),
            session::random,
        )
        .context("a session")?;
        let address = free_component_address;
        let (check, door, admin) = (address()?, address()?, address()?);
        let process = Start::program("serve", &tools::program("prlimit")?)?
            .argument(format!("--nofile={files}:{files}"))
            .argument(env!("CARGO_BIN_EXE_vestibule"))
            .arguments(["serve", "--public-scheme=http", "--insecure-http"])
            .argument("--original-uri-header=X-Original-URI")
            .argument(format!("--manifests={}", path("manifests").display()))
            .argument(format!("--state={}", path("state").display()))
            .argument(format!("--listen={check}"))
            .argument(format!("--front-door={door}"))
            .argument(format!("--admin-listen={admin}"))
            .arguments(options.iter().copied())
            .start()?;
        let running = Self {
            process,
            check,
            door,
            admin,
            provider,
            session: format!("Cookie: vestibule-http={session}"),
            _service: service,
            _folder: folder,
        };
        Wait::seconds(60)
            .watching(&running.process)
            .until("it serves", async || {
                ensure!(running.check().await?.status == 200, "not yet");
                Ok(())
            })
            .await?;
        Ok(running)
    }

    /// What nginx asks for somebody who is signed in.
    pub(crate) async fn check(&self) -> Result<RawAnswer> {
        let lines = [&*self.session, "X-Original-URI: /x"];
        raw::get(self.check, HOST, b"/oauth2/auth", &lines).await
    }

    /// Asks so many checks in a row; says how long the slowest took.
    pub(crate) async fn checks(&self, count: u32) -> Result<Duration> {
        let mut slowest = Duration::ZERO;
        for _ in 0..count {
            let started = Instant::now();
            let answer = self.check().await?;
            ensure!(answer.status == 200, "a check was answered {}", answer.head);
            slowest = slowest.max(started.elapsed());
        }
        Ok(slowest)
    }

    /// A page of the service, through the front door.
    pub(crate) async fn visit(&self) -> Result<RawAnswer> {
        raw::get(self.door, HOST, b"/x", &[&self.session]).await
    }

    /// The value of a metric; 0 if there is none yet.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let metrics = raw::get(self.admin, "localhost", b"/metrics", &[]).await?;
        ensure!(metrics.status == 200, "{}", metrics.head);
        let value = metrics.rest.lines().find_map(|line| {
            let rest = line.strip_prefix("vestibule_")?.strip_prefix(name)?;
            rest.strip_prefix(' ')?.trim().parse().ok()
        });
        Ok(value.unwrap_or_default())
    }

    /// Octets of memory that the process holds.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.process.resident()
    }

    pub(crate) fn says(&self, text: &str) -> usize {
        self.process.printed().matches(text).count()
    }

    /// Begins a sign-in, as a browser: the state, and the Cookie line with the attempt.
    pub(crate) async fn begin(&self) -> Result<(String, String)> {
        let lines = ["Sec-Fetch-Mode: navigate"];
        let away = raw::get(self.door, HOST, b"/oauth2/start?rd=/x", &lines).await?;
        let head = away.head.as_str();
        let line = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name))
        };
        let location = line("location: ").with_context(|| format!("no location: {head}"))?;
        let state = location.split("state=").nth(1).context("no state")?;
        let state = state.split('&').next().unwrap_or_default().to_owned();
        let cookie = line("set-cookie: ").context("no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default();
        Ok((state, format!("Cookie: {cookie}")))
    }

    /// Comes back from the provider with a code, at the front door.
    pub(crate) async fn come_back(&self, state: &str, cookie: &str) -> Result<RawAnswer> {
        let target = format!("/oauth2/callback/corp?code=made-up&state={state}");
        let lines = ["Sec-Fetch-Mode: navigate", cookie];
        raw::get(self.door, HOST, target.as_bytes(), &lines).await
    }
}

fn now() -> Moment {
    Clock::System.now()
}
