//! What each watched kind means: its projection for the World, and the status that stands in it.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::{
    core::v1::{self as core},
    networking::v1 as networking,
};
use kube::{api::ObjectMeta, core::error_boundary::InvalidObject};
use tokio::sync::watch;

use super::{keys, status::Standing, watch::Projection, write::status_manager};
use crate::{
    published::{Installation, KeyRing},
    resolve::{
        Change, project_identity_provider, project_ingress, project_ingress_class,
        project_namespace, project_protected_service, project_secret,
    },
    resource::{IdentityProviderObject, IdentityProviderStatus, Key, ProtectedServiceObject},
};

/// What a watch saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// For the World.
    pub change: Option<Change>,
    /// The status that stands in an object of ours.
    pub status: Option<StatusSeen>,
}

/// A status, or none any more.
#[derive(Debug)]
pub(super) enum StatusSeen {
    /// Of a ProtectedService.
    Service(Key, Option<Standing>),
    /// Of an IdentityProvider.
    Provider(Arc<str>, Option<IdentityProviderStatus>),
}

/// Ingresses.
pub(super) struct Ingresses(pub Arc<Installation>);

/// ProtectedServices.
pub(super) struct ProtectedServices {
    pub installation: Arc<Installation>,
    /// Whether anybody asks what stands in their status, which takes more room than all the rest.
    pub keeps_status: bool,
}

/// IdentityProviders.
pub(super) struct IdentityProviders;

/// Namespaces.
pub(super) struct Namespaces;

/// IngressClasses.
pub(super) struct IngressClasses;

/// Secrets of our own namespace, for the endpoint: client secrets, and the session keys.
pub(super) struct Secrets {
    /// The Secret with the session keys.
    pub session_keys: Arc<str>,
    /// Where the ring goes. It stays if the Secret goes: sessions outlive an accident.
    pub key_ring: watch::Sender<Option<Arc<KeyRing>>>,
}

// === impl Seen ===

impl From<Change> for Seen {
    fn from(change: Change) -> Self {
        Self {
            change: Some(change),
            status: None,
        }
    }
}

// === the projections ===

impl Projection<networking::Ingress, Seen> for Ingresses {
    fn is(&self, key: &Key, object: Result<networking::Ingress, InvalidObject>) -> Option<Seen> {
        let object = readable("Ingress", key, object)?;
        let projection = Arc::new(project_ingress(&object, &self.0, None));
        Some(Change::Ingress(key.clone(), Some(projection)).into())
    }

    fn is_gone(&self, key: &Key) -> Seen {
        Change::Ingress(key.clone(), None).into()
    }
}

impl Projection<ProtectedServiceObject, Seen> for ProtectedServices {
    fn is(&self, key: &Key, object: Result<ProtectedServiceObject, InvalidObject>) -> Option<Seen> {
        let object = readable("ProtectedService", key, object)?;
        let mut projection = project_protected_service(&object.metadata, &object.spec, None);
        let status = self.keeps_status.then(|| {
            // A status of another version is as good as none: it will be written anew.
            let status = serde_json::from_value(object.status).ok();
            let status = status.map(|status| Standing {
                status,
                by_others: another_reports(&object.metadata, &self.installation.instance),
            });
            projection.is_of_others = status.as_ref().is_some_and(Standing::is_of_others);
            StatusSeen::Service(key.clone(), status)
        });
        let projection = Arc::new(projection);
        Some(Seen {
            change: Some(Change::ProtectedService(key.clone(), Some(projection))),
            status,
        })
    }

    fn is_gone(&self, key: &Key) -> Seen {
        Seen {
            change: Some(Change::ProtectedService(key.clone(), None)),
            status: self
                .keeps_status
                .then(|| StatusSeen::Service(key.clone(), None)),
        }
    }
}

impl Projection<IdentityProviderObject, Seen> for IdentityProviders {
    fn is(&self, key: &Key, object: Result<IdentityProviderObject, InvalidObject>) -> Option<Seen> {
        let object = readable("IdentityProvider", key, object)?;
        let name: Arc<str> = Arc::clone(&key.name);
        let projection = Arc::new(project_identity_provider(
            &object.metadata,
            &object.spec,
            None,
        ));
        let status = serde_json::from_value(object.status).ok();
        Some(Seen {
            change: Some(Change::IdentityProvider(
                Arc::clone(&name),
                Some(projection),
            )),
            status: Some(StatusSeen::Provider(name, status)),
        })
    }

    fn is_gone(&self, key: &Key) -> Seen {
        let name: Arc<str> = Arc::clone(&key.name);
        Seen {
            change: Some(Change::IdentityProvider(Arc::clone(&name), None)),
            status: Some(StatusSeen::Provider(name, None)),
        }
    }
}

impl Projection<core::Namespace, Seen> for Namespaces {
    fn is(&self, key: &Key, object: Result<core::Namespace, InvalidObject>) -> Option<Seen> {
        let object = readable("Namespace", key, object)?;
        Some(
            Change::Namespace(
                Arc::clone(&key.name),
                Some(project_namespace(&object.metadata)),
            )
            .into(),
        )
    }

    fn is_gone(&self, key: &Key) -> Seen {
        Change::Namespace(Arc::clone(&key.name), None).into()
    }
}

impl Projection<networking::IngressClass, Seen> for IngressClasses {
    fn is(
        &self,
        key: &Key,
        object: Result<networking::IngressClass, InvalidObject>,
    ) -> Option<Seen> {
        let object = readable("IngressClass", key, object)?;
        let projection = project_ingress_class(&object);
        Some(Change::IngressClass(Arc::clone(&key.name), Some(projection)).into())
    }

    fn is_gone(&self, key: &Key) -> Seen {
        Change::IngressClass(Arc::clone(&key.name), None).into()
    }
}

impl Projection<core::Secret, Seen> for Secrets {
    fn is(&self, key: &Key, object: Result<core::Secret, InvalidObject>) -> Option<Seen> {
        let object = readable("Secret", key, object)?;
        if *key.name != *self.session_keys {
            return Some(
                Change::Secret(Arc::clone(&key.name), Some(project_secret(&object))).into(),
            );
        }
        match keys::ring_of(&object) {
            Ok(ring) => {
                self.key_ring.send_if_modified(|last| {
                    let is_news = last.as_deref() != Some(&ring);
                    if is_news {
                        *last = Some(Arc::new(ring));
                    }
                    is_news
                });
            }
            Err(problem) => {
                let had_keys = self.key_ring.borrow().is_some();
                tracing::error!(
                    secret = &*key.name,
                    %problem,
                    had_keys,
                    "the Secret holds no usable session keys; the last ones stay in use, if there were any"
                );
            }
        }
        None
    }

    fn is_gone(&self, key: &Key) -> Seen {
        if *key.name == *self.session_keys {
            self.tell_that_keys_are_gone();
        }
        Change::Secret(Arc::clone(&key.name), None).into()
    }

    fn are_left(&self, seen: &HashSet<Key>) {
        let had_keys = self.key_ring.borrow().is_some();
        if had_keys && !seen.iter().any(|key| *key.name == *self.session_keys) {
            self.tell_that_keys_are_gone();
        }
    }
}

// === impl Secrets ===

impl Secrets {
    fn tell_that_keys_are_gone(&self) {
        tracing::error!(
            secret = &*self.session_keys,
            "the Secret with the session keys is gone; the last ones stay in use"
        );
    }
}

/// Whether the status has a field manager of another installation.
fn another_reports(meta: &ObjectMeta, instance: &str) -> bool {
    let ours = status_manager(instance);
    let managers = meta.managed_fields.iter().flatten();
    let mut reporters = managers
        .filter(|entry| entry.subresource.as_deref() == Some("status"))
        .filter_map(|entry| entry.manager.as_deref());
    reporters
        .any(|name| name.starts_with("vestibule-") && name.ends_with("-status") && name != ours)
}

/// What not even its type describes stays as it was last seen: nothing opens by being unreadable.
fn readable<K>(kind: &str, key: &Key, object: Result<K, InvalidObject>) -> Option<K> {
    object
        .inspect_err(|error| {
            tracing::error!(
                kind,
                namespace = &*key.namespace,
                name = &*key.name,
                %error,
                "an object cannot be read and stays as it was last seen"
            );
        })
        .ok()
}
