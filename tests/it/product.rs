//! Vestibule as the chart installs it, with both data planes and an OpenID provider in front of it: one for the whole
//! run, since an installation has a cluster's ingress classes to itself.

use std::{path::Path, time::Duration};

use crate::bench::{
    Browser, Cluster, Echo, Installation, OidcProvider, Traefik, Visitor,
    browser::HostRule,
    cluster::TestNamespace,
    installation::{Component, NAMESPACE},
    oidc_provider::{RegisteredClient, Settings},
    traefik::{self, ingress},
};
use anyhow::{Result, ensure};
use tokio::sync::OnceCell;

/// The ingress class that the data planes of these tests serve.
pub(crate) const CLASS: &str = "story";
/// The auth host.
pub(crate) const AUTH_HOST: &str = "auth.story.test";

/// Everything that runs.
pub(crate) struct Product {
    pub(crate) cluster: &'static Cluster,
    pub(crate) traefik: Traefik,
    pub(crate) provider: OidcProvider,
    controller: Component,
    pub(crate) auth: Component,
}

/// A namespace with a service behind an Ingress that nobody protects yet.
pub(crate) struct Site {
    pub(crate) namespace: TestNamespace<'static>,
    pub(crate) host: String,
    pub(crate) service: Echo,
    cluster: &'static Cluster,
}

// === impl Product ===

impl Product {
    /// The one of this run; started by whoever needs it first.
    pub(crate) async fn shared() -> Result<&'static Self> {
        static PRODUCT: OnceCell<Product> = OnceCell::const_new();
        PRODUCT
            .get_or_try_init(async || Self::start(Cluster::shared().await?, &[]).await)
            .await
    }

    /// Installs it into a cluster that has none yet.
    pub(crate) async fn start(cluster: &'static Cluster, settings: &[&str]) -> Result<Self> {
        let redirect = format!("https://{AUTH_HOST}/oauth2/callback/corp");
        let client = RegisteredClient::new("vestibule", "story-secret", &[&redirect]);
        let provider = OidcProvider::start(Settings::new(client)).await?;
        let options = traefik::Options {
            ingress_class: CLASS.to_owned(),
            ..traefik::Options::default()
        };
        let traefik = Traefik::start(cluster, options).await?;
        let (auth_host, class) = (
            format!("authHost.host={AUTH_HOST}"),
            format!("authHost.ingress.className={CLASS}"),
        );
        // The bench's visitor speaks plain HTTP, and Traefik would send it to HTTPS.
        let ours = [&*auth_host, &*class, "authHost.ingress.tls.enabled=false"];
        let settings = [&ours, settings].concat();
        let program = Path::new(env!("CARGO_BIN_EXE_vestibule"));
        let installation = Installation::new(cluster, program, &settings).await?;
        cluster
            .secret(NAMESPACE, "corp", &[("client-secret", "story-secret")])
            .await?;
        cluster
            .apply(&identity_provider("corp", &provider.issuer(), true))
            .await?;
        let controller = installation.controller().await?;
        let auth = installation.auth().await?;
        Ok(Self {
            cluster,
            traefik,
            provider,
            controller,
            auth,
        })
    }

    /// How many writes of a kind the controller has tried.
    pub(crate) async fn writes(&self, kind: &str) -> Result<u64> {
        let start = format!("vestibule_reconcile_total{{kind=\"{kind}\",");
        let metrics = self.controller.metrics().await?;
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(&start));
        let counts = lines.filter_map(|rest| rest.split(' ').next_back()?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// A browser that finds every host of these tests at Traefik.
    pub(crate) async fn browser(&self) -> Result<Browser> {
        let rule = HostRule {
            from: "*.story.test:443".to_owned(),
            to: self.traefik.https(),
        };
        Browser::start(&[rule]).await
    }

    /// A service `name` on `name.story.test`, reachable by everyone.
    pub(crate) async fn site(&self, name: &str) -> Result<Site> {
        let namespace = self.cluster.namespace(name).await?;
        let host = format!("{name}.story.test");
        let service = self.cluster.echo_service(&namespace, name).await?;
        self.cluster
            .apply(&ingress(&namespace, name, CLASS, &host, name)?)
            .await?;
        self.traefik.routes(&host, "/").await?;
        Ok(Site {
            namespace,
            host,
            service,
            cluster: self.cluster,
        })
    }
}

// === impl Site ===

impl Site {
    /// `kubectl -n NAMESPACE ...`.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let namespace: &str = &self.namespace;
        self.cluster
            .kubectl(&[&["-n", namespace], arguments].concat())
            .await
    }

    /// The name that the Ingress and the Service have.
    pub(crate) fn name(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// `kubectl annotate ingress NAME ...`.
    pub(crate) async fn annotate(&self, annotations: &[&str]) -> Result<String> {
        self.kubectl(
            &[
                &["annotate", "--overwrite", "ingress", self.name()],
                annotations,
            ]
            .concat(),
        )
        .await
    }

    /// Waits until Traefik sends an anonymous request to sign in.
    pub(crate) async fn refuses_strangers(&self, product: &Product) -> Result<()> {
        product
            .traefik
            .wait(10)
            .every(Duration::from_millis(20))
            .until("an anonymous request is sent to sign in", async || {
                let answer = Visitor::get(product.traefik.http(), &self.host, "/a?x=1")
                    .navigating()
                    .send()
                    .await?;
                ensure!(answer.status == 302, "it answers {}", answer.status);
                Ok(())
            })
            .await
    }

    /// Waits until `kubectl get psvc` says READY True.
    pub(crate) async fn ready(&self) -> Result<()> {
        let name = format!("psvc/{}", self.name());
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=20s", &name])
            .await
            .map(drop)
    }
}

/// An IdentityProvider whose client secret is in the Secret of its name.
pub(crate) fn identity_provider(name: &str, issuer: &str, default: bool) -> String {
    format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: {name}}}
spec:
  type: OIDC
  displayName: Corp
  default: {default}
  oidc: {{issuerURL: '{issuer}'}}
  clientID: vestibule
  clientSecretRef: {{name: {name}}}
  scopes: [email, profile, groups]
"
    )
}
