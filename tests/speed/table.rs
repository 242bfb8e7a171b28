//! How long a Table takes: from the objects, as they were read, to what the endpoint serves.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret, api::networking::v1::Ingress};
use serde_json::{Value, json};
use vestibule::{
    published::Access,
    resolve::{
        Change, Place, Resolution, Settings, project_identity_provider, project_ingress,
        project_protected_service, project_secret,
    },
    resource::Key,
};

/// Prints the milliseconds that a replica of the auth endpoint takes for so many Ingresses with a ProtectedService each.
pub(super) fn build(services: usize) -> anyhow::Result<()> {
    let objects = (1..=services).map(objects).collect::<Result<Vec<_>, _>>()?;
    let installation = super::installation();
    let begun = Instant::now();
    let mut resolution = Resolution::new(Arc::new(Settings {
        installation: Arc::clone(&installation),
        place: Place::Replica,
    }));
    let meta = serde_json::from_value(json!({"name": "corp"}))?;
    let spec = json!({
        "type": "OIDC", "oidc": {"issuerURL": "https://id.corp.example"}, "clientID": "vestibule",
        "clientSecretRef": {"name": "corp"}, "default": true
    });
    let provider = project_identity_provider(&meta, &spec, None);
    resolution.apply(Change::IdentityProvider(
        "corp".into(),
        Some(Arc::new(provider)),
    ));
    let secret = Secret {
        data: Some(BTreeMap::from([(
            "client-secret".into(),
            ByteString(b"secret".to_vec()),
        )])),
        ..Secret::default()
    };
    resolution.apply(Change::Secret("corp".into(), Some(project_secret(&secret))));
    for (key, ingress, spec) in &objects {
        let service = project_protected_service(&ingress.metadata, spec, None);
        let ingress = project_ingress(ingress, &installation, None);
        resolution.apply(Change::ProtectedService(
            key.clone(),
            Some(Arc::new(service)),
        ));
        resolution.apply(Change::Ingress(key.clone(), Some(Arc::new(ingress))));
    }
    let taken_in = begun.elapsed();
    resolution.settle();
    let built = begun.elapsed();
    let open = |access: &Access| matches!(access, Access::Open(_));
    let served = resolution.table().services();
    let served = served.filter(|service| open(&service.access)).count();
    ensure!(
        served == services,
        "{served} services can be entered, not {services}: {:?}",
        resolution.problems().next()
    );
    println!(
        "{} {}",
        built.as_millis(),
        (built.saturating_sub(taken_in)).as_millis()
    );
    Ok(())
}

fn objects(n: usize) -> anyhow::Result<(Key, Ingress, Value)> {
    let (namespace, name) = (format!("team-{}", n % 1000), format!("s{n}"));
    let backend = json!({"service": {"name": name, "port": {"number": 80}}});
    let ingress = json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("uid-{n}"),
            "annotations": {"vestibule.dev/protect": "true"}
        },
        "spec": {"ingressClassName": "nginx", "rules": [{
            "host": format!("{name}.example"),
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
        }]}
    });
    let spec = json!({
        "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": name}],
        "allow": [{"emailDomains": ["corp.example"]}],
        "rules": [{"paths": [{"type": "Exact", "value": "/healthz"}], "access": "Public"}]
    });
    let ingress = serde_json::from_value(ingress).context("an Ingress")?;
    Ok((Key::new(&namespace, &name), ingress, spec))
}
