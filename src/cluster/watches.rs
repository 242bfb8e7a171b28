//! Which kinds each role watches, and with which projection. The rights are those of the chart's ClusterRoles.

use std::{collections::HashSet, fmt::Debug, sync::Arc};

use k8s_openapi::api::{
    core::v1::{Namespace, Secret},
    networking::v1::{Ingress, IngressClass},
};
use kube::{Api, Client, Resource, core::DeserializeGuard};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    metrics::{Kind, Metrics},
    projections::{
        IdentityProviders, IngressClasses, Ingresses, Namespaces, ProtectedServices, Secrets, Seen,
    },
    source::Role,
    watch::{PACE, Projection, Told, follow},
};
use crate::{
    published::KeyRing,
    resolve::Settings,
    resource::{IdentityProviderObject, ProtectedServiceObject},
};

/// Starts the watches of a role; says which kinds will be listed.
pub(super) fn start(
    client: &Client,
    settings: &Settings,
    role: &Role,
    key_ring: watch::Sender<Option<Arc<KeyRing>>>,
    metrics: &Metrics,
    into: &mpsc::Sender<Told<Seen>>,
    stop: &CancellationToken,
) -> HashSet<Kind> {
    let installation = &settings.installation;
    let namespace = Arc::clone(&installation.namespace);
    let watches = Watches {
        client,
        metrics,
        into,
        stop,
    };
    let mut kinds = vec![
        watches.start(
            Api::<DeserializeGuard<Ingress>>::all,
            Kind::Ingress,
            Ingresses(Arc::clone(installation)),
        ),
        watches.start(
            Api::<DeserializeGuard<ProtectedServiceObject>>::all,
            Kind::ProtectedService,
            ProtectedServices {
                installation: Arc::clone(installation),
                keeps_status: matches!(role, Role::Controller { .. }),
            },
        ),
        watches.start(
            Api::<DeserializeGuard<IdentityProviderObject>>::all,
            Kind::IdentityProvider,
            IdentityProviders,
        ),
        watches.start(
            Api::<DeserializeGuard<Namespace>>::all,
            Kind::Namespace,
            Namespaces,
        ),
    ];
    kinds.push(match role {
        Role::Controller { .. } => watches.start(
            Api::<DeserializeGuard<IngressClass>>::all,
            Kind::IngressClass,
            IngressClasses,
        ),
        Role::Auth { session_keys } => watches.start(
            move |client| Api::<DeserializeGuard<Secret>>::namespaced(client, &namespace),
            Kind::Secret,
            Secrets {
                session_keys: Arc::clone(session_keys),
                key_ring,
            },
        ),
    });
    kinds.into_iter().collect()
}

struct Watches<'a> {
    client: &'a Client,
    metrics: &'a Metrics,
    into: &'a mpsc::Sender<Told<Seen>>,
    stop: &'a CancellationToken,
}

// === impl Watches ===

impl Watches<'_> {
    fn start<K>(
        &self,
        api: impl FnOnce(Client) -> Api<DeserializeGuard<K>> + Send + 'static,
        kind: Kind,
        projection: impl Projection<K, Seen> + Sync + 'static,
    ) -> Kind
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let followed = follow(
            self.client.clone(),
            api,
            PACE,
            kind,
            self.metrics.clone(),
            projection,
            self.into.clone(),
        );
        let stop = self.stop.clone();
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(followed));
        tokio::spawn(async move {
            // A watch ends with the process only. Without one of them the rest would judge by an old world.
            if task.await.is_err() {
                tracing::error!(?kind, "a watch failed for good");
                stop.cancel();
            }
        });
        kind
    }
}
