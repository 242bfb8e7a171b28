//! A small cluster in memory: manifests in, what follows out, and an API server that does what the plans say.

mod absence;
mod advice;
mod api_server;
mod closing;
mod contested;
mod covering;
mod folder;
mod folding;
mod providers;
mod writing;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::networking::v1 as k8s,
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::*;
use crate::{
    dataplane::DataPlane,
    policy::HostPattern,
    published::{Access, HostEntry, Installation, Service},
    resource::{
        AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, ConditionType, Key, ObjectRef,
        ProtectedServiceObject, Reason,
    },
};

const CHECK_URL: &str = "http://vestibule-auth.vestibule.svc.cluster.local:4181";

/// What most tests start from.
const USUAL: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
---
apiVersion: v1
kind: Namespace
metadata: {name: docs, labels: {team: writers}}
---
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp, generation: 1}
spec: {type: OIDC, oidc: {issuerURL: 'https://id.corp.example'}, clientID: vestibule, default: true}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: wiki
  namespace: docs
  uid: uid-wiki
  creationTimestamp: 2026-01-01T00:00:00Z
  annotations: {vestibule.dev/protect: 'true', vestibule.dev/allowed-email-domains: corp.example}
spec:
  ingressClassName: nginx
  rules:
  - host: wiki.corp.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: wiki, port: {number: 80}}}}]}
";

pub(super) struct Bench {
    pub(super) resolution: Resolution,
    ingresses: BTreeMap<Key, k8s::Ingress>,
    installation: Arc<Installation>,
    problems: Vec<Problem>,
}

pub(super) fn installation() -> Installation {
    Installation {
        auth_host: crate::policy::Host::parse("auth.corp.example"),
        ..Installation::default()
    }
}

pub(super) fn controller() -> Place {
    Place::Controller(Controller {
        check_url: CHECK_URL.into(),
        service_name: "vestibule-auth".into(),
        service_port: ServicePort::Name("public".into()),
        classes: Classes::default(),
    })
}

/// A folder without a front door of its own.
pub(super) fn folder(paths_are_told: bool) -> Place {
    Place::Folder(Standalone {
        front_door: false,
        paths_are_told,
        asked_by_host: true,
    })
}

fn key(text: &str) -> Key {
    let (namespace, name) = text.split_once('/').unwrap();
    Key::new(namespace, name)
}

impl Bench {
    pub(super) fn new(place: Place) -> Self {
        Self::behind(place, &[DataPlane::IngressNginx, DataPlane::Traefik])
    }

    /// Where only these proxies serve what is protected.
    pub(super) fn behind(place: Place, data_planes: &[DataPlane]) -> Self {
        let installation = Arc::new(installation());
        let settings = Settings {
            installation: Arc::clone(&installation),
            place,
            data_planes: data_planes.to_vec(),
        };
        Self {
            resolution: Resolution::new(Arc::new(settings)),
            ingresses: BTreeMap::new(),
            installation,
            problems: Vec::new(),
        }
    }

    /// A controller with an IngressClass, a default provider and the Ingress docs/wiki that opts in; all written.
    fn usual() -> Self {
        let mut bench = Self::new(controller());
        bench.apply(USUAL);
        bench.obey();
        bench
    }

    /// Applies manifests, as a user would.
    pub(super) fn apply(&mut self, manifests: &str) -> &mut Self {
        for document in manifests
            .split("\n---\n")
            .filter(|text| !text.trim().is_empty())
        {
            let value: Value =
                serde_saphyr::from_str(document).unwrap_or_else(|e| panic!("{e}:\n{document}"));
            let kind = value["kind"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "Ingress" => self.put_ingress(k8s::Ingress::deserialize(&value).unwrap()),
                "ProtectedService" | "IdentityProvider" => {
                    let object = ProtectedServiceObject::deserialize(&value).unwrap();
                    let (meta, spec) = (&object.metadata, &object.spec);
                    let name = meta.name.clone().unwrap();
                    let change = if kind == "IdentityProvider" {
                        let projected = project_identity_provider(meta, spec, None);
                        Change::IdentityProvider(name.as_str().into(), Some(Arc::new(projected)))
                    } else {
                        let projected = project_protected_service(meta, spec, None);
                        let key = Key::new(meta.namespace.as_deref().unwrap(), &name);
                        Change::ProtectedService(key, Some(Arc::new(projected)))
                    };
                    self.resolution.apply(change);
                }
                "IngressClass" => {
                    let class = k8s::IngressClass::deserialize(&value).unwrap();
                    let name = class.metadata.name.as_deref().unwrap().into();
                    self.resolution.apply(Change::IngressClass(
                        name,
                        Some(project_ingress_class(&class)),
                    ));
                }
                "Namespace" => {
                    let meta = serde_json::from_value(value["metadata"].clone()).unwrap();
                    let name = value["metadata"]["name"].as_str().unwrap().into();
                    self.resolution
                        .apply(Change::Namespace(name, Some(project_namespace(&meta))));
                }
                "Secret" => {
                    let secret = k8s_openapi::api::core::v1::Secret::deserialize(&value).unwrap();
                    let name = secret.metadata.name.as_deref().unwrap().into();
                    self.resolution
                        .apply(Change::Secret(name, Some(project_secret(&secret))));
                }
                other => panic!("no such kind: {other}"),
            }
        }
        self.settle();
        self
    }

    fn put_ingress(&mut self, mut ingress: k8s::Ingress) {
        let key = key_of(&ingress);
        // What others hold is theirs by name, as after kubectl apply.
        let held: Value = ingress
            .metadata
            .annotations
            .iter()
            .flatten()
            .map(|(key, _)| (format!("f:{key}"), json!({})))
            .collect();
        if ingress.metadata.managed_fields.is_none() {
            ingress.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
                manager: Some("kubectl".to_owned()),
                operation: Some("Apply".to_owned()),
                fields_v1: Some(FieldsV1(json!({"f:metadata": {"f:annotations": held}}))),
                ..ManagedFieldsEntry::default()
            }]);
        }
        self.ingresses.insert(key.clone(), ingress);
        self.reproject(&key);
    }

    fn reproject(&mut self, key: &Key) {
        let projected = project_ingress(&self.ingresses[key], &self.installation, None);
        self.resolution
            .apply(Change::Ingress(key.clone(), Some(Arc::new(projected))));
    }

    /// Changes annotations of an Ingress as its owner would; an empty value removes.
    fn annotate(&mut self, name: &str, pairs: &[(&str, &str)]) -> &mut Self {
        let key = key(name);
        let mut ingress = self.ingresses[&key].clone();
        let annotations = ingress.metadata.annotations.get_or_insert_default();
        let mut held = serde_json::Map::new();
        for (key, value) in pairs {
            if value.is_empty() {
                annotations.remove(*key);
            } else {
                annotations.insert((*key).to_owned(), (*value).to_owned());
                held.insert(format!("f:{key}"), json!({}));
            }
        }
        let fields = ingress.metadata.managed_fields.get_or_insert_default();
        for entry in fields.iter_mut() {
            let Some(there) = entry
                .fields_v1
                .as_mut()
                .and_then(|f| f.0.pointer_mut("/f:metadata/f:annotations"))
            else {
                continue;
            };
            for (key, _) in pairs {
                there.as_object_mut().unwrap().remove(&format!("f:{key}"));
            }
        }
        fields.push(ManagedFieldsEntry {
            manager: Some("kubectl-annotate".to_owned()),
            operation: Some("Update".to_owned()),
            fields_v1: Some(FieldsV1(json!({"f:metadata": {"f:annotations": held}}))),
            ..ManagedFieldsEntry::default()
        });
        self.ingresses.insert(key.clone(), ingress);
        self.reproject(&key);
        self.settle();
        self
    }

    /// Deletes an object, as a user would.
    fn delete(&mut self, kind: &str, name: &str) -> &mut Self {
        let change = match kind {
            "Ingress" => {
                self.ingresses.remove(&key(name));
                Change::Ingress(key(name), None)
            }
            "ProtectedService" => Change::ProtectedService(key(name), None),
            "IdentityProvider" => Change::IdentityProvider(name.into(), None),
            "Secret" => Change::Secret(name.into(), None),
            "IngressClass" => Change::IngressClass(name.into(), None),
            other => panic!("no such kind: {other}"),
        };
        self.resolution.apply(change);
        self.settle();
        self
    }

    fn settle(&mut self) {
        let settled = self.resolution.settle();
        self.problems.extend(settled.problems);
    }

    fn auth_url(&self, name: &str) -> Option<&str> {
        self.ingresses[&key(name)]
            .metadata
            .annotations
            .as_ref()?
            .get(AUTH_URL)
            .map(String::as_str)
    }

    fn service(&self, id: &str) -> Option<&Arc<Service>> {
        self.resolution.table().service(id)
    }

    /// `Open`, or the reason for which nobody may enter; nothing if it is not served.
    fn access(&self, id: &str) -> String {
        match self.service(id).map(|service| &service.access) {
            None => "not served".to_owned(),
            Some(Access::Open(_)) => "open".to_owned(),
            Some(Access::Closed(closed)) => closed.reason.to_string(),
        }
    }

    fn host(&self, host: &str) -> Option<&Arc<HostEntry>> {
        let pattern = HostPattern::parse(host).unwrap();
        self.resolution
            .table()
            .hosts()
            .find(|entry| entry.pattern == pattern)
    }

    fn report(&self, name: &str) -> ServiceReport {
        let unit = Unit::ProtectedService(key(name));
        let plans = self
            .resolution
            .result(&unit)
            .map(|result| result.plans.clone())
            .unwrap_or_default();
        let report = plans.into_iter().find_map(|plan| match plan {
            Plan::ServiceStatus { report, .. } => Some(*report),
            _ => None,
        });
        report.unwrap_or_else(|| panic!("no status for ProtectedService {name}"))
    }

    /// A condition of a ProtectedService, as `True Reason`.
    fn condition(&self, name: &str, condition: ConditionType) -> String {
        let report = self.report(name);
        let verdict = report
            .verdicts
            .into_iter()
            .find(|verdict| verdict.condition == condition)
            .unwrap();
        format!(
            "{} {}",
            if verdict.holds { "True" } else { "False" },
            verdict.reason
        )
    }

    fn ready(&self, name: &str) -> String {
        self.condition(name, ConditionType::Ready)
    }

    /// The reasons that the owner of an object sees now.
    fn reasons(&self, object: &ObjectRef) -> Vec<Reason> {
        self.resolution
            .problems()
            .filter(|problem| problem.object == *object)
            .map(|problem| problem.reason)
            .collect()
    }

    fn ingress_reasons(&self, name: &str) -> Vec<Reason> {
        self.reasons(&ObjectRef::Ingress(key(name)))
    }
}

fn key_of(ingress: &k8s::Ingress) -> Key {
    let meta = &ingress.metadata;
    Key::new(
        meta.namespace.as_deref().unwrap(),
        meta.name.as_deref().unwrap(),
    )
}

/// An Ingress of class nginx with a path `/` on each host.
fn ingress(name: &str, hosts: &[&str], annotations: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let rules: String = hosts
        .iter()
        .map(|host| format!("\n  - host: {host:?}\n    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}]}}"))
        .collect();
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {namespace}
  uid: uid-{name}
  creationTimestamp: 2026-02-01T00:00:00Z
  annotations: {{{annotations}}}
spec:
  ingressClassName: nginx
  rules: {rules}
"
    )
}

/// A ProtectedService of namespace docs for an Ingress.
fn psvc(name: &str, target: &str, rest: &str) -> String {
    format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: {name}, namespace: docs, generation: 1, uid: uid-psvc-{name}}}
spec:
  targetRefs: [{{name: {target}}}]
  {rest}
"
    )
}
