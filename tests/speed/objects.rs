//! What a cluster has for so many services, after the controller has done its work, as the API server hands it out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// `NAMESPACE`, `NAME` of a service. Its Ingress and its ProtectedService have the same.
pub(super) fn place(n: usize) -> (String, String) {
    (format!("team-{}", n % 1000), format!("s{n}"))
}

/// Its Ingress, with everything that is written on it (our annotations, the lists of field managers).
pub(super) fn ingress(n: usize) -> Value {
    let (namespace, name) = place(n);
    let backend = json!({"service": {"name": name, "port": {"number": 80}}});
    let ours = [
        (
            "nginx.ingress.kubernetes.io/auth-url",
            format!(
                "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/{namespace}/{name}?m=$request_method&u=$escaped_request_uri&h=$host"
            ),
        ),
        (
            "nginx.ingress.kubernetes.io/auth-signin",
            format!("https://$host/oauth2/start/{namespace}/{name}?m=$request_method"),
        ),
        (
            "nginx.ingress.kubernetes.io/auth-response-headers",
            vestibule::published::IDENTITY_HEADERS.join(","),
        ),
    ];
    let mut annotations = BTreeMap::from(ours);
    let by_us = held(annotations.keys());
    let of_owner = [
        ("vestibule.dev/protect", "true"),
        ("nginx.ingress.kubernetes.io/proxy-body-size", "64m"),
        ("cert-manager.io/cluster-issuer", "corp-internal-issuer"),
    ];
    let of_owner = BTreeMap::from(of_owner.map(|(key, value)| (key, value.to_owned())));
    let by_owner = held(of_owner.keys());
    annotations.extend(of_owner);
    let host = format!("{name}.example");
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("26cae3ae-5a31-4f1c-9d7e-{n:012}"),
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations,
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm"},
            "managedFields": [
                {"manager": "helm", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": by_owner},
                {"manager": "vestibule-vestibule", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": by_us}
            ]
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": format!("{name}-tls")}],
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
        }
    })
}

/// The endpoint Ingress of its host.
pub(super) fn endpoint_ingress(n: usize) -> Value {
    let (_, name) = place(n);
    let annotations = BTreeMap::from([
        ("nginx.ingress.kubernetes.io/enable-global-auth", "false"),
        ("nginx.ingress.kubernetes.io/proxy-buffer-size", "16k"),
        ("nginx.ingress.kubernetes.io/service-upstream", "true"),
    ]);
    let held = held(annotations.keys());
    let backend = json!({"service": {"name": "vestibule-auth", "port": {"name": "public"}}});
    let paths = json!([{"path": "/oauth2", "pathType": "Prefix", "backend": backend}]);
    json!({
        "metadata": {
            "namespace": "vestibule", "name": format!("vestibule-{name}.example"),
            "uid": format!("9d7ee3ae-5a31-4f1c-26ca-{n:012}"), "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": annotations,
            "labels": {
                "app.kubernetes.io/managed-by": "vestibule", "vestibule.dev/instance": "vestibule",
                "vestibule.dev/endpoint-host": format!("{name}.example")
            },
            "managedFields": [
                {"manager": "vestibule-vestibule", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": held}
            ]
        },
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": format!("{name}.example"), "http": {"paths": paths}}]
        }
    })
}

/// Its ProtectedService, for people of an e-mail domain.
pub(super) fn protected_service(n: usize, domain: &str) -> Value {
    let (namespace, name) = place(n);
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("5a31e3ae-26ca-4f1c-9d7e-{n:012}"),
            "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1
        },
        "spec": {
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": name}],
            "allow": [{"emailDomains": [domain]}],
            "rules": [{"paths": [{"type": "Exact", "value": "/healthz"}], "access": "Public"}]
        }
    })
}

/// The provider of all of them.
pub(super) fn provider(issuer: &str) -> Value {
    json!({
        "metadata": {"name": "corp", "resourceVersion": "2"},
        "spec": {
            "type": "OIDC", "oidc": {"issuerURL": issuer}, "clientID": "vestibule",
            "clientSecretRef": {"name": "corp"}, "default": true
        }
    })
}

/// The provider's Secret.
pub(super) fn secret() -> Value {
    json!({
        "metadata": {"namespace": "vestibule", "name": "corp"},
        "data": {"client-secret": "c2VjcmV0"}
    })
}

fn held<'k>(keys: impl Iterator<Item = &'k &'static str>) -> Value {
    let fields = keys.map(|key| (format!("f:{key}"), json!({})));
    json!({"f:metadata": {"f:annotations": Value::from_iter(fields)}})
}
