//! How long a Table takes: from the objects, as a watch reads them, to what the endpoint serves; what an edit takes
//! then; and how much memory it all needs, the World and the old Table included.

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret, api::networking::v1::Ingress};
use kube::api::ObjectMeta;
use serde_json::{Value, json};
use vestibule::{
    dataplane::DataPlane,
    published::{Access, Installation},
    resolve::{
        Change, Place, Resolution, Settings, project_identity_provider, project_ingress,
        project_protected_service, project_secret,
    },
    resource::Key,
};

/// As many objects as the API server hands out at once.
const PAGE: usize = 500;

/// Prints what a replica of the auth endpoint takes for so many Ingresses with a ProtectedService each: milliseconds
/// from the objects to the Table, those of them that are spent resolving, microseconds of an edit, milliseconds of a
/// change that concerns all services (the provider's), peak memory in MB.
pub(super) fn build(services: usize) -> anyhow::Result<()> {
    let installation = super::installation();
    let mut resolution = Resolution::new(Arc::new(Settings {
        installation: Arc::clone(&installation),
        place: Place::Replica,
        data_planes: vec![DataPlane::IngressNginx, DataPlane::Traefik],
    }));
    resolution.apply(provider("https://id.corp.example")?);
    resolution.apply(secret());
    let mut taken_in = Duration::ZERO;
    for first in (1..=services).step_by(PAGE) {
        let page = first..=services.min(first + PAGE - 1);
        let page = page.map(|n| Objects::new(n, "corp.example"));
        let page = page.collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        for objects in &page {
            for change in objects.changes(&installation) {
                resolution.apply(change);
            }
        }
        taken_in += begun.elapsed();
    }
    let begun = Instant::now();
    resolution.settle();
    let resolved = begun.elapsed();
    let open = |access: &Access| matches!(access, Access::Open(_));
    let served = resolution.table().services();
    let served = served.filter(|service| open(&service.access)).count();
    ensure!(
        served == services,
        "{served} services can be entered, not {services}: {:?}",
        resolution.problems().next()
    );

    // A request still holds the Table before.
    let before = resolution.table().clone();
    let edited = Objects::new(services, "partner.example")?;
    let begun = Instant::now();
    for change in edited.changes(&installation) {
        resolution.apply(change);
    }
    ensure!(resolution.settle().table_changed, "the edit has no effect");
    let edit = begun.elapsed();
    resolution.apply(provider("https://id2.corp.example")?);
    let begun = Instant::now();
    ensure!(
        resolution.settle().table_changed,
        "the provider has no effect"
    );
    let all = begun.elapsed();
    drop(before);

    println!(
        "{} {} {} {} {}",
        (taken_in + resolved).as_millis(),
        resolved.as_millis(),
        edit.as_micros(),
        all.as_millis(),
        peak_memory()?
    );
    Ok(())
}

/// In MB, as the kernel counts it.
fn peak_memory() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("the kernel does not say how much memory was used")?
        .parse()?;
    Ok(kilobytes.div_ceil(1024))
}

fn provider(issuer: &str) -> anyhow::Result<Change> {
    let meta = serde_json::from_value(json!({"name": "corp"}))?;
    let spec = json!({
        "type": "OIDC", "oidc": {"issuerURL": issuer}, "clientID": "vestibule",
        "clientSecretRef": {"name": "corp"}, "default": true
    });
    let provider = project_identity_provider(&meta, &spec, None);
    Ok(Change::IdentityProvider(
        "corp".into(),
        Some(Arc::new(provider)),
    ))
}

fn secret() -> Change {
    let secret = Secret {
        data: Some(BTreeMap::from([(
            "client-secret".into(),
            ByteString(b"secret".to_vec()),
        )])),
        ..Secret::default()
    };
    Change::Secret("corp".into(), Some(project_secret(&secret)))
}

/// What a cluster has for one service, after the controller has done its work.
struct Objects {
    key: Key,
    ingress: Ingress,
    meta: ObjectMeta,
    spec: Value,
}

// === impl Objects ===

impl Objects {
    fn new(n: usize, domain: &str) -> anyhow::Result<Self> {
        let (namespace, name) = (format!("team-{}", n % 1000), format!("s{n}"));
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
        let held = |keys: &BTreeMap<&str, String>| -> Value {
            let fields = keys.keys().map(|key| (format!("f:{key}"), json!({})));
            json!({"f:metadata": {"f:annotations": Value::from_iter(fields)}})
        };
        let by_us = held(&annotations);
        let of_owner = BTreeMap::from([
            ("vestibule.dev/protect", "true".to_owned()),
            (
                "nginx.ingress.kubernetes.io/proxy-body-size",
                "64m".to_owned(),
            ),
            (
                "cert-manager.io/cluster-issuer",
                "corp-internal-issuer".to_owned(),
            ),
        ]);
        let by_owner = held(&of_owner);
        annotations.extend(of_owner);
        let host = format!("{name}.example");
        let ingress = json!({
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
        });
        let meta = json!({
            "namespace": namespace, "name": name, "uid": format!("5a31e3ae-26ca-4f1c-9d7e-{n:012}"),
            "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1
        });
        Ok(Self {
            key: Key::new(&namespace, &name),
            ingress: serde_json::from_value(ingress).context("an Ingress")?,
            meta: serde_json::from_value(meta).context("metadata")?,
            spec: json!({
                "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": name}],
                "allow": [{"emailDomains": [domain]}],
                "rules": [{"paths": [{"type": "Exact", "value": "/healthz"}], "access": "Public"}]
            }),
        })
    }

    fn changes(&self, installation: &Installation) -> [Change; 2] {
        let service = project_protected_service(&self.meta, &self.spec, None);
        let ingress = project_ingress(&self.ingress, installation, None);
        [
            Change::ProtectedService(self.key.clone(), Some(Arc::new(service))),
            Change::Ingress(self.key.clone(), Some(Arc::new(ingress))),
        ]
    }
}
