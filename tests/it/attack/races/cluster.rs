//! A controller and a replica of one cluster in this process: what each has heard of the objects by now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize as _;
use serde_json::{Value, json};
use vestibule::{
    dataplane::DataPlane,
    policy::{Host, Moment},
    published::{Installation, Table},
    resolve::{
        Change, Classes, Controller, EndpointAction, Place, Plan, Resolution, ServicePort,
        Settings, project_identity_provider, project_ingress, project_ingress_class,
        project_protected_service,
    },
    resource::{Key, ProtectedServiceObject},
};

use super::{AUTH_HOST, HOST};

const NAMESPACE: &str = "vestibule";

pub(super) struct Cluster {
    pub(super) installation: Arc<Installation>,
    pub(super) table: Arc<ArcSwap<Table>>,
    replica: Resolution,
    controller: Resolution,
    /// What the controller has not heard of yet.
    unheard: Vec<Change>,
}

// === impl Cluster ===

impl Cluster {
    /// With the protected Ingress docs/wiki, and no policy nor provider.
    pub(super) fn new(has_auth_host: bool) -> Self {
        let installation = Arc::new(Installation {
            auth_host: has_auth_host.then(|| Host::parse(AUTH_HOST)).flatten(),
            ..Installation::default()
        });
        let resolution = |place| {
            Resolution::new(Arc::new(Settings {
                installation: Arc::clone(&installation),
                place,
                data_planes: vec![DataPlane::IngressNginx, DataPlane::Traefik],
            }))
        };
        let controller = Place::Controller(Controller {
            check_url: "http://auth:4181".into(),
            service_name: "vestibule-auth".into(),
            service_port: ServicePort::Number(4180),
            classes: Classes::default(),
        });
        let mut cluster = Self {
            replica: resolution(Place::Replica),
            controller: resolution(controller),
            installation,
            table: Arc::default(),
            unheard: Vec::new(),
        };
        let class =
            json!({"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}});
        let class = k8s_openapi::api::networking::v1::IngressClass::deserialize(&class).unwrap();
        cluster.tell(Change::IngressClass(
            "nginx".into(),
            Some(project_ingress_class(&class)),
        ));
        cluster.ingress(
            "docs",
            "wiki",
            Some(HOST),
            &json!({"vestibule.dev/protect": "true"}),
        );
        cluster
    }

    /// An Ingress with this one host; `None`: it is gone.
    pub(super) fn ingress(
        &mut self,
        namespace: &str,
        name: &str,
        host: Option<&str>,
        annotations: &Value,
    ) {
        let ingress = host.map(|host| {
            let ingress = json!({
                "metadata": {"namespace": namespace, "name": name, "uid": name, "annotations": annotations},
                "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": name, "port": {"number": 80}}},
                }]}}]},
            });
            let ingress = k8s_openapi::api::networking::v1::Ingress::deserialize(&ingress).unwrap();
            Arc::new(project_ingress(&ingress, &self.installation, None))
        });
        self.tell(Change::Ingress(Key::new(namespace, name), ingress));
    }

    /// The ProtectedService docs/wiki; `None`: it is gone.
    pub(super) fn policy(&mut self, spec: Option<&Value>) {
        let service = spec.map(|spec| {
            let object = object("wiki", spec);
            Arc::new(project_protected_service(
                &object.metadata,
                &object.spec,
                None,
            ))
        });
        self.tell(Change::ProtectedService(Key::new("docs", "wiki"), service));
    }

    /// The IdentityProvider corp; `None`: it is gone.
    pub(super) fn provider(&mut self, spec: Option<&Value>) {
        let provider = spec.map(|spec| {
            let object = object("corp", spec);
            Arc::new(project_identity_provider(
                &object.metadata,
                &object.spec,
                None,
            ))
        });
        self.tell(Change::IdentityProvider("corp".into(), provider));
    }

    /// The replica hears of it at once.
    fn tell(&mut self, change: Change) {
        self.replica.apply(change.clone());
        self.unheard.push(change);
        self.replica.settle();
        self.table.store(Arc::new(self.replica.table().clone()));
    }

    /// The controller hears of everything and does what follows for endpoint Ingresses.
    pub(super) fn controller_catches_up(&mut self, now: Moment) {
        // What it writes may call for more.
        for _ in 0..4 {
            for change in std::mem::take(&mut self.unheard) {
                self.controller.apply(change);
            }
            let settled = self.controller.settle();
            for plan in settled.plans.into_iter().flat_map(|(_, plans)| plans) {
                let Plan::Endpoint { name, action } = plan else {
                    continue;
                };
                let written = match action {
                    EndpointAction::Apply(wanted) => {
                        let object = wanted.manifest(&self.installation, now);
                        Some(Arc::new(project_ingress(&object, &self.installation, None)))
                    }
                    EndpointAction::Delete => None,
                };
                self.tell(Change::Ingress(Key::new(NAMESPACE, &name), written));
            }
        }
    }
}

fn object(name: &str, spec: &Value) -> ProtectedServiceObject {
    let object =
        json!({"metadata": {"namespace": "docs", "name": name, "generation": 1}, "spec": spec});
    ProtectedServiceObject::deserialize(&object).unwrap()
}
