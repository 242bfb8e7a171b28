//! What is attacked: a wiki with rules by path behind Traefik and behind nginx, in front of a service that notes what
//! reaches it, and the cookies of people who may and may not enter.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::sync::{Mutex, MutexGuard};
use vestibule::{
    policy::{Host, Identity, Moment},
    published::KeyRing,
    session::{self, Keys, NamedFacts},
};

use crate::{
    bench::{
        Nginx, Wait,
        cluster::TestNamespace,
        installation::NAMESPACE,
        raw::{self, RawAnswer, Recorder},
        traefik::ingress,
    },
    people::bob,
    product::{CLASS, Product},
};

/// One protected wiki. `/pub/` and `/healthz` are public, `/admin/` and `/panel` are for wiki-admins, `/internal/` and
/// `/secret` for nobody.
pub(super) struct Stage {
    pub(super) host: String,
    pub(super) service: Recorder,
    pub(super) doors: Vec<(&'static str, SocketAddr)>,
    keys: Keys,
    issuer: String,
    /// Held so that what one test sends is not seen by another.
    _alone: MutexGuard<'static, ()>,
    _nginx: Nginx<'static>,
    name: String,
    namespace: TestNamespace<'static>,
}

static ALONE: Mutex<()> = Mutex::const_new(());

// === impl Stage ===

impl Stage {
    pub(super) async fn new(name: &str, host: &str) -> Result<Self> {
        let alone = ALONE.lock().await;
        let product = Product::shared().await?;
        let cluster = product.cluster;
        let namespace = cluster.namespace(name).await?;
        let address = cluster.service(&namespace, name, &[("http", 80)]).await?;
        let service = Recorder::start_at(address.with_port(80)).await?;
        let rules = format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: {name}}}]
  allow: [{{emailDomains: [corp.example]}}]
  rules:
  - {{access: Public, paths: [{{type: Prefix, value: /pub/}}, {{type: Exact, value: /healthz}}]}}
  - {{access: Restricted, allow: [{{groups: [wiki-admins]}}], paths: [{{type: Prefix, value: /admin/}}, {{type: Exact, value: /panel}}]}}
  - {{access: Denied, paths: [{{type: Prefix, value: /internal/}}, {{type: Exact, value: /secret}}]}}
",
            namespace = &*namespace
        );
        cluster.apply(&rules).await?;
        cluster
            .apply(&ingress(&namespace, name, CLASS, host, name)?)
            .await?;
        let asked = host.replace('*', "any");
        let traefik = product.traefik.http();
        let mut nginx = Nginx::start(cluster, CLASS).await?;
        // Objects of other tests come and go; what the bench does not model is gone a moment later.
        let mut synced = nginx.sync().await;
        for _ in 0..40 {
            if synced.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            synced = nginx.sync().await;
        }
        synced?;
        let doors = vec![("Traefik", traefik), ("nginx", nginx.http())];
        for (door, address) in &doors {
            let what = format!("{door} asks for {asked}");
            let mut tries = 0;
            Wait::seconds(60)
                .until(&what, async || {
                    tries += 1;
                    let answer = raw::get(*address, &asked, b"/", &[]).await?;
                    anyhow::ensure!(
                        answer.status == 302 || answer.status == 401,
                        "it answers {} at try {tries}",
                        answer.status
                    );
                    Ok(())
                })
                .await?;
        }
        let secrets: Api<Secret> = Api::namespaced(cluster.client().await?, NAMESPACE);
        let stored = secrets.get("vestibule-session-keys").await?;
        let stored = stored.data.unwrap_or_default();
        let ring = stored.get("keyring.json").context("no key ring")?;
        service.take();
        Ok(Self {
            host: host.to_owned(),
            service,
            doors,
            keys: Keys::new(Arc::new(KeyRing::parse(&ring.0)?)),
            issuer: product.provider.issuer(),
            _alone: alone,
            _nginx: nginx,
            name: name.to_owned(),
            namespace,
        })
    }

    /// Somebody of corp.example, signed in a minute ago.
    pub(super) fn person(&self, groups: &[&'static str]) -> Identity<'static> {
        Identity {
            groups: groups.iter().map(|group| Cow::Borrowed(*group)).collect(),
            ..bob(self.issuer.clone(), Moment(now().0 - 60))
        }
    }

    /// A session of this person on a host, as a cookie's value.
    pub(super) fn session(&self, host: &str, who: &Identity<'_>) -> Result<String> {
        let named = NamedFacts {
            groups: vec!["wiki-admins".into()],
            claims: vec![],
        };
        let host = Host::parse(host).context("a host")?;
        session::issue(who, &named, &self.keys, &host, now(), session::random).context("a session")
    }

    /// `NAMESPACE/NAME` of the Ingress.
    pub(super) fn ingress(&self) -> String {
        format!("{}/{}", &*self.namespace, self.name)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// A GET of a target at a door, on a connection of its own.
pub(super) async fn get(
    door: SocketAddr,
    host: &str,
    target: &[u8],
    lines: &[&str],
) -> Result<RawAnswer> {
    raw::get(door, host, target, lines).await
}

pub(super) fn now() -> Moment {
    vestibule::clock::Clock::System.now()
}
