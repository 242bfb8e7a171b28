//! What the controller applies: the three annotations, and ProtectedServices made from annotations. Nothing is
//! copied into them from anybody else's labels or annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{
    dataplane::ingress_nginx::Values,
    resource::{
        AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, DERIVED_FROM_LABEL, GROUP, INSTANCE_LABEL,
        Key, MANAGED_BY, MANAGED_BY_LABEL, ProtectedServiceSpec, VERSION,
    },
};

/// The labels on everything that an installation makes.
#[must_use]
pub fn labels(instance: &str) -> BTreeMap<String, String> {
    let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    [(MANAGED_BY_LABEL, MANAGED_BY), (INSTANCE_LABEL, instance)]
        .map(label)
        .into()
}

/// The three annotations.
#[must_use]
pub(super) fn annotations(values: &Values) -> BTreeMap<String, String> {
    [
        (AUTH_URL, &values.url),
        (AUTH_SIGNIN, &values.signin),
        (AUTH_RESPONSE_HEADERS, &values.headers),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_string()))
    .into()
}

/// The ProtectedService made from the annotations of the Ingress of the same name.
#[must_use]
pub(super) fn derived_service(
    key: &Key,
    ingress_uid: &str,
    spec: &ProtectedServiceSpec,
    instance: &str,
) -> Value {
    let mut labels = labels(instance);
    labels.insert(DERIVED_FROM_LABEL.to_owned(), "ingress".to_owned());
    // No blockOwnerDeletion: it takes a right on finalizers, and nobody needs to wait for us.
    let owner = OwnerReference {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "Ingress".to_owned(),
        name: key.name.to_string(),
        uid: ingress_uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ProtectedService",
        "metadata": {
            "name": &*key.name,
            "namespace": &*key.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_derived_service_belongs_to_its_ingress_and_says_where_it_comes_from() {
        let key = Key::new("team", "wiki");
        let spec = ProtectedServiceSpec {
            identity_providers: vec!["corp".into()],
            ..ProtectedServiceSpec::default()
        };
        let uid: Arc<str> = "0-1-2".into();
        insta::assert_yaml_snapshot!(derived_service(&key, &uid, &spec, "vestibule"), @r#"
        apiVersion: vestibule.dev/v1alpha1
        kind: ProtectedService
        metadata:
          name: wiki
          namespace: team
          labels:
            app.kubernetes.io/managed-by: vestibule
            vestibule.dev/derived-from: ingress
            vestibule.dev/instance: vestibule
          ownerReferences:
            - apiVersion: networking.k8s.io/v1
              controller: true
              kind: Ingress
              name: wiki
              uid: 0-1-2
        spec:
          identityProviders:
            - corp
        "#);
    }
}
