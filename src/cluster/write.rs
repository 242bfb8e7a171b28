//! The writes themselves: server-side apply under our own field manager, without force on what is not ours.
//!
//! Without force, a field that somebody else owns is a conflict, and a conflict is news for the owner of the
//! object, not a fight. Applying a set without a key removes it only if it was ours; that is the undo.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions},
    core::{PartialObjectMetaExt, Status},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    resolve::Asker,
    resource::{
        IdentityProvider, IdentityProviderStatus, Key, ProtectedService, ProtectedServiceStatus,
    },
};

/// Shorter than what a leader leaves between its last write and the end of its Lease.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotWritten {
    /// Another field manager owns a field that we would set.
    #[error("{field} belongs to the field manager {manager:?}")]
    Conflict {
        /// Whoever owns it.
        manager: Arc<str>,
        /// The field, as the API server writes it.
        field: Arc<str>,
    },
    /// Validation, admission or authorization said no; the same request will fare no better.
    #[error("{message}")]
    Refused {
        /// In its own words.
        message: Arc<str>,
        /// It was our service account that may not, not the object that is wrong.
        forbidden: bool,
    },
    /// There is no such object (any more), or it is another one of that name.
    #[error("the object is gone")]
    Gone,
    /// The API server could not be asked; it may work the next time.
    #[error("{0}")]
    Unavailable(Arc<str>),
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// We made it, all of it: whatever anybody changed in it is put back, by force.
    Ours,
    /// It is not there yet, or somebody else's: a conflict is theirs to resolve.
    Unknown,
}

/// Writes under one pair of field managers.
#[derive(Clone)]
pub(super) struct Pen {
    client: Client,
    instance: Arc<str>,
    manager: Arc<str>,
    status_manager: Arc<str>,
}

// === impl Hold ===

impl Hold {
    /// Ours, or not known to be.
    #[must_use]
    pub(super) fn of(is_ours: bool) -> Self {
        if is_ours { Self::Ours } else { Self::Unknown }
    }
}

// === impl Pen ===

impl Pen {
    /// For an installation of this name.
    #[must_use]
    pub(super) fn new(client: Client, instance: &str) -> Self {
        Self {
            client,
            instance: instance.into(),
            manager: field_manager(instance).into(),
            status_manager: status_manager(instance).into(),
        }
    }

    /// Sets exactly these annotations of an Ingress for this asker; those we set for it before and that are not among
    /// them go. Everything else of the Ingress stays as it is.
    ///
    /// # Errors
    /// If it was not written.
    pub(super) async fn annotate(
        &self,
        asker: Asker,
        ingress: &Key,
        uid: &str,
        annotations: BTreeMap<String, String>,
    ) -> Result<(), NotWritten> {
        let partial = ObjectMeta {
            name: Some(ingress.name.to_string()),
            namespace: Some(ingress.namespace.to_string()),
            // An apply to an Ingress that was deleted meanwhile must not try to make one.
            uid: Some(uid.to_owned()),
            // Even if it is empty: an apply without it would take annotations along that admission wrote for others
            // and no field manager holds.
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
        .into_request_partial::<Ingress>();
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &ingress.namespace);
        let params = PatchParams::apply(&asker.field_manager(&self.instance));
        let patch = Patch::Apply(&partial);
        attempt(api.patch_metadata(&ingress.name, &params, &patch)).await
    }

    /// Makes an object, or makes it look like this as far as it is ours.
    ///
    /// # Errors
    /// If it was not written.
    pub(super) async fn apply<K>(
        &self,
        key: &Key,
        object: &(impl Serialize + Debug),
        hold: Hold,
    ) -> Result<(), NotWritten>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
        let mut params = PatchParams::apply(&self.manager);
        params.force = hold == Hold::Ours;
        let patch = Patch::Apply(object);
        attempt(api.patch_metadata(&key.name, &params, &patch)).await
    }

    /// Applies the status of a ProtectedService.
    ///
    /// # Errors
    /// If it was not written.
    pub(super) async fn apply_service_status(
        &self,
        key: &Key,
        status: ProtectedServiceStatus,
    ) -> Result<(), NotWritten> {
        let api: Api<ProtectedService> = Api::namespaced(self.client.clone(), &key.namespace);
        self.apply_status(&api, &key.name, &status).await
    }

    /// Applies the status of an IdentityProvider.
    ///
    /// # Errors
    /// If it was not written.
    pub(super) async fn apply_provider_status(
        &self,
        name: &str,
        status: IdentityProviderStatus,
    ) -> Result<(), NotWritten> {
        let api: Api<IdentityProvider> = Api::all(self.client.clone());
        self.apply_status(&api, name, &status).await
    }

    async fn apply_status<K>(
        &self,
        api: &Api<K>,
        name: &str,
        status: &(impl Serialize + Sync),
    ) -> Result<(), NotWritten>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let object = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "status": status,
        });
        // By force: the status is ours alone, whoever else may have written into it.
        let params = PatchParams::apply(&self.status_manager).force();
        attempt(api.patch_status(name, &params, &Patch::Apply(&object))).await
    }

    /// Deletes an object, provided it is still the one with this uid.
    ///
    /// # Errors
    /// If it could not be deleted; one that is gone already is no error.
    pub(super) async fn delete<K>(&self, key: &Key, uid: &str) -> Result<(), NotWritten>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &key.namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        match attempt(api.delete(&key.name, &params)).await {
            Err(NotWritten::Gone) => Ok(()),
            other => other,
        }
    }
}

/// `vestibule-INSTANCE`, the name under which we own fields.
#[must_use]
pub(super) fn field_manager(instance: &str) -> String {
    Asker::Ingress.field_manager(instance)
}

/// `vestibule-INSTANCE-status`, the name under which we own statuses.
#[must_use]
pub(super) fn status_manager(instance: &str) -> String {
    format!("{}-status", field_manager(instance))
}

async fn attempt<T>(request: impl Future<Output = kube::Result<T>>) -> Result<(), NotWritten> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) => Err(NotWritten::from(&*status)),
        Ok(Err(error)) => Err(NotWritten::Unavailable(error.to_string().into())),
        Err(_) => Err(NotWritten::Unavailable(
            "the API server did not answer in time".into(),
        )),
    }
}

// === impl NotWritten ===

impl From<&Status> for NotWritten {
    fn from(status: &Status) -> Self {
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        let conflict = causes.find(|cause| cause.reason == "FieldManagerConflict");
        if let Some(cause) = conflict {
            return Self::Conflict {
                manager: manager_in(&cause.message).into(),
                field: cause.field.trim_start_matches('.').into(),
            };
        }
        if is_ending(status) {
            return Self::Gone;
        }
        match status.code {
            // 409 without a field: the uid or the version is another one, and the watch will say so.
            404 | 409 => Self::Gone,

            429 | 502..=504 => Self::Unavailable(status.message.as_str().into()),
            // A webhook that does not answer is a 500 with a sentence that its owner must read.
            500 if !status.message.contains("webhook") => {
                Self::Unavailable(status.message.as_str().into())
            }
            code => Self::Refused {
                message: status.message.as_str().into(),
                // RBAC's own sentence; admission answers 403 too, with another.
                forbidden: code == 403 && status.message.contains(" cannot "),
            },
        }
    }
}

/// Whether the namespace is being deleted, and takes nothing new.
#[must_use]
pub(super) fn is_ending(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// The name in `conflict with "NAME" using GROUP/VERSION`.
fn manager_in(message: &str) -> &str {
    message.split('"').nth(1).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from(status: serde_json::Value) -> NotWritten {
        NotWritten::from(&serde_json::from_value::<Status>(status).unwrap())
    }

    #[test]
    fn a_conflict_names_the_manager_and_the_field() {
        let status = json!({
            "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"helm\" using networking.k8s.io/v1: .metadata.annotations",
            "details": {"causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"helm\" using networking.k8s.io/v1",
                "field": ".metadata.annotations.nginx.ingress.kubernetes.io/auth-url",
            }]},
        });
        let conflict = NotWritten::Conflict {
            manager: "helm".into(),
            field: "metadata.annotations.nginx.ingress.kubernetes.io/auth-url".into(),
        };
        assert_eq!(from(status), conflict);
    }

    #[test]
    fn what_waiting_mends_is_told_from_what_it_does_not() {
        let code = |code: u16, message: &str| {
            from(json!({"status": "Failure", "code": code, "reason": "X", "message": message}))
        };
        assert_eq!(code(404, "no"), NotWritten::Gone);
        assert_eq!(code(409, "uid mismatch"), NotWritten::Gone);
        let refused = |message: &str, forbidden| NotWritten::Refused {
            message: message.into(),
            forbidden,
        };
        for status in [400, 403, 413, 422] {
            assert_eq!(code(status, "no"), refused("no", false));
        }
        let rbac = "ingresses \"a\" is forbidden: User \"b\" cannot patch resource \"ingresses\"";
        assert_eq!(code(403, rbac), refused(rbac, true));
        for unavailable in [429, 500, 503, 504] {
            assert_eq!(
                code(unavailable, "no"),
                NotWritten::Unavailable("no".into())
            );
        }
        let webhook = "failed calling webhook \"validate.nginx\"";
        assert_eq!(code(500, webhook), refused(webhook, false));
    }
}
