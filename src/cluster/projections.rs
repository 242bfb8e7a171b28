//! What each watched kind means: its projection for the World, and the status that stands in it.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{self as core},
    networking::v1 as networking,
};
use kube::{api::ObjectMeta, core::error_boundary::InvalidObject};
use tokio::sync::watch;

use super::{
    keys,
    status::Standing,
    watch::{Place, Projection},
    write::status_manager,
};
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
    fn is(
        &self,
        place: &Place,
        object: Result<networking::Ingress, InvalidObject>,
    ) -> Option<Seen> {
        let object = readable("Ingress", place, object)?;
        let projection = Arc::new(project_ingress(&object, &self.0, None));
        Some(Change::Ingress(key(place), Some(projection)).into())
    }

    fn is_gone(&self, place: &Place) -> Seen {
        Change::Ingress(key(place), None).into()
    }
}

impl Projection<ProtectedServiceObject, Seen> for ProtectedServices {
    fn is(
        &self,
        place: &Place,
        object: Result<ProtectedServiceObject, InvalidObject>,
    ) -> Option<Seen> {
        let object = readable("ProtectedService", place, object)?;
        let projection = Arc::new(project_protected_service(
            &object.metadata,
            &object.spec,
            None,
        ));
        let status = self.keeps_status.then(|| {
            // A status of another version is as good as none: it will be written anew.
            let status = serde_json::from_value(object.status).ok();
            let status = status.map(|status| Standing {
                status,
                by_others: another_reports(&object.metadata, &self.installation.instance),
            });
            StatusSeen::Service(key(place), status)
        });
        Some(Seen {
            change: Some(Change::ProtectedService(key(place), Some(projection))),
            status,
        })
    }

    fn is_gone(&self, place: &Place) -> Seen {
        Seen {
            change: Some(Change::ProtectedService(key(place), None)),
            status: self
                .keeps_status
                .then(|| StatusSeen::Service(key(place), None)),
        }
    }
}

impl Projection<IdentityProviderObject, Seen> for IdentityProviders {
    fn is(
        &self,
        place: &Place,
        object: Result<IdentityProviderObject, InvalidObject>,
    ) -> Option<Seen> {
        let object = readable("IdentityProvider", place, object)?;
        let name: Arc<str> = (*place.name).into();
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

    fn is_gone(&self, place: &Place) -> Seen {
        let name: Arc<str> = (*place.name).into();
        Seen {
            change: Some(Change::IdentityProvider(Arc::clone(&name), None)),
            status: Some(StatusSeen::Provider(name, None)),
        }
    }
}

impl Projection<core::Namespace, Seen> for Namespaces {
    fn is(&self, place: &Place, object: Result<core::Namespace, InvalidObject>) -> Option<Seen> {
        let object = readable("Namespace", place, object)?;
        Some(
            Change::Namespace(
                (*place.name).into(),
                Some(project_namespace(&object.metadata)),
            )
            .into(),
        )
    }

    fn is_gone(&self, place: &Place) -> Seen {
        Change::Namespace((*place.name).into(), None).into()
    }
}

impl Projection<networking::IngressClass, Seen> for IngressClasses {
    fn is(
        &self,
        place: &Place,
        object: Result<networking::IngressClass, InvalidObject>,
    ) -> Option<Seen> {
        let object = readable("IngressClass", place, object)?;
        let projection = project_ingress_class(&object);
        Some(Change::IngressClass((*place.name).into(), Some(projection)).into())
    }

    fn is_gone(&self, place: &Place) -> Seen {
        Change::IngressClass((*place.name).into(), None).into()
    }
}

impl Projection<core::Secret, Seen> for Secrets {
    fn is(&self, place: &Place, object: Result<core::Secret, InvalidObject>) -> Option<Seen> {
        let object = readable("Secret", place, object)?;
        if *place.name != *self.session_keys {
            return Some(
                Change::Secret((*place.name).into(), Some(project_secret(&object))).into(),
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
                    secret = &*place.name,
                    %problem,
                    had_keys,
                    "the Secret holds no usable session keys; the last ones stay in use, if there were any"
                );
            }
        }
        None
    }

    fn is_gone(&self, place: &Place) -> Seen {
        if *place.name == *self.session_keys {
            tracing::error!(
                secret = &*place.name,
                "the Secret with the session keys is gone; the last ones stay in use"
            );
        }
        Change::Secret((*place.name).into(), None).into()
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

fn key(place: &Place) -> Key {
    Key::new(&place.namespace, &place.name)
}

/// What not even its type describes stays as it was last seen: nothing opens by being unreadable.
fn readable<K>(kind: &str, place: &Place, object: Result<K, InvalidObject>) -> Option<K> {
    object
        .inspect_err(|error| {
            tracing::error!(
                kind,
                namespace = &*place.namespace,
                name = &*place.name,
                %error,
                "an object cannot be read and stays as it was last seen"
            );
        })
        .ok()
}
