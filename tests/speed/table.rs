//! How long a Table takes: from the objects, as a watch reads them, to what the endpoint serves; what an edit takes
//! then; and how much memory it all needs, the World and the old Table included.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use k8s_openapi::api::{core::v1::Secret, networking::v1::Ingress};
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use vestibule::{
    dataplane::DataPlane,
    published::{Access, Installation},
    resolve::{
        Change, Place, Resolution, Settings, project_identity_provider, project_ingress,
        project_protected_service, project_secret,
    },
    resource::Key,
};

use super::{memory, objects};

/// As many objects as a watch asks for at once.
const PAGE: usize = 100;

/// Prints what a replica of the auth endpoint takes for so many Ingresses with a ProtectedService each: milliseconds
/// from the objects to the Table, those of them that are spent resolving, microseconds of an edit, milliseconds of a
/// change that concerns all services (the provider's), peak memory in MB.
pub(super) fn build(services: usize) -> anyhow::Result<()> {
    let installation = Arc::<Installation>::default();
    let mut resolution = Resolution::new(Arc::new(Settings {
        installation: Arc::clone(&installation),
        place: Place::Replica,
        data_planes: vec![DataPlane::IngressNginx, DataPlane::Traefik],
    }));
    resolution.apply(provider("https://id.corp.example")?);
    resolution.apply(Change::Secret(
        "corp".into(),
        Some(project_secret(&Secret::deserialize(objects::secret())?)),
    ));
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
        memory("VmHWM")?
    );
    Ok(())
}

fn provider(issuer: &str) -> anyhow::Result<Change> {
    let Ours { metadata, spec } = Ours::deserialize(objects::provider(issuer))?;
    let provider = project_identity_provider(&metadata, &spec, None);
    Ok(Change::IdentityProvider(
        "corp".into(),
        Some(Arc::new(provider)),
    ))
}

/// An object of our own kinds.
#[derive(Deserialize)]
struct Ours {
    metadata: ObjectMeta,
    spec: Value,
}

/// The objects of one service, as they are when they have been read.
struct Objects {
    key: Key,
    ingress: Ingress,
    endpoint: Ingress,
    service: Ours,
}

// === impl Objects ===

impl Objects {
    fn new(n: usize, domain: &str) -> anyhow::Result<Self> {
        let (namespace, name) = objects::place(n);
        let service = objects::protected_service(n, domain);
        Ok(Self {
            key: Key::new(&namespace, &name),
            ingress: Ingress::deserialize(objects::ingress(n)).context("an Ingress")?,
            endpoint: Ingress::deserialize(objects::endpoint_ingress(n)).context("an Ingress")?,
            service: Ours::deserialize(service).context("a ProtectedService")?,
        })
    }

    fn changes(&self, installation: &Installation) -> [Change; 3] {
        let service = project_protected_service(&self.service.metadata, &self.service.spec, None);
        let ingress = project_ingress(&self.ingress, installation, None);
        let endpoint = project_ingress(&self.endpoint, installation, None);
        let name = self.endpoint.metadata.name.as_deref().unwrap_or_default();
        let of_host = Key::new(&installation.namespace, name);
        [
            Change::ProtectedService(self.key.clone(), Some(Arc::new(service))),
            Change::Ingress(self.key.clone(), Some(Arc::new(ingress))),
            Change::Ingress(of_host, Some(Arc::new(endpoint))),
        ]
    }
}
