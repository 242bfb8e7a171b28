//! The endpoint Ingress of a host: what it should be, what it is, and what is to be done.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::networking::v1 as k8s;
use kube::api::ObjectMeta;

use super::{
    Class, EndpointAction, EndpointIngress, Ingress, PathKind, Plan, ServicePort, UnitResult,
    World, Write,
};
use crate::{
    policy::HostPattern,
    published::Installation,
    resource::{
        ENDPOINT_HOST_LABEL, INSTANCE_LABEL, Key, MANAGED_BY, MANAGED_BY_LABEL, NGINX_PREFIX,
        endpoint_ingress_name, host_label,
    },
};

/// How the endpoint Ingress of a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndpointState {
    /// There need not be one, or this process does not write it.
    Unneeded,
    /// It is not there, or not as it should be.
    Pending,
    /// It is as it should be.
    Right,
    /// It was refused.
    Refused(Arc<str>),
    /// An Ingress of that name is there, and it is not ours.
    NameTaken,
}

/// All of them are settings of the location and not of the server, so they do not touch what the app's own Ingress
/// says about the host: the sign-in page needs no session, also where all of a cluster does; pods need not be
/// known one by one; and an answer may carry cookies of several kilobytes.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("enable-global-auth", "false"),
    ("proxy-buffer-size", "16k"),
    ("service-upstream", "true"),
];

/// How the endpoint Ingress of a host is, given the class it should have.
pub(super) fn state(world: &World, host: &HostPattern, class: Option<&Class>) -> EndpointState {
    let Some(wanted) = wanted(world, host, class) else {
        return EndpointState::Unneeded;
    };
    match existing(world, &wanted.name) {
        Some(ingress) if !ingress.is_endpoint => EndpointState::NameTaken,
        Some(ingress) if wanted.is(ingress) => EndpointState::Right,
        _ => world
            .refusal(&Write::Endpoint(Arc::clone(&wanted.name)))
            .map_or(EndpointState::Pending, |refusal| {
                EndpointState::Refused(Arc::clone(&refusal.message))
            }),
    }
}

/// What is to be done about the endpoint Ingress of this name.
pub(super) fn resolve(world: &World, name: &Arc<str>) -> UnitResult {
    let existing = existing(world, name);
    let class = world
        .endpoint_host(name)
        .and_then(|host| Some((host, world.host_facts(host)?.class.as_ref()?)));
    let wanted = class.and_then(|(host, class)| wanted(world, host, Some(class)));
    let action = match (wanted, existing) {
        (None, Some(ingress)) if ingress.is_endpoint && !ingress.deleting => EndpointAction::Delete,
        (Some(wanted), None) => EndpointAction::Apply(wanted),
        (Some(wanted), Some(ingress)) if ingress.is_endpoint && !wanted.is(ingress) => {
            EndpointAction::Apply(wanted)
        }
        _ => return UnitResult::default(),
    };
    let plan = Plan::Endpoint {
        name: Arc::clone(name),
        action,
    };
    let plans = if world.settings().controller().is_some() {
        vec![plan]
    } else {
        vec![]
    };
    UnitResult {
        plans,
        ..UnitResult::default()
    }
}

fn wanted(world: &World, host: &HostPattern, class: Option<&Class>) -> Option<EndpointIngress> {
    let controller = world.settings().controller()?;
    let installation = &world.settings().installation;
    let is_auth_host =
        matches!(host, HostPattern::Exact(host) if Some(host) == installation.auth_host.as_ref());
    if is_auth_host {
        return None;
    }
    Some(EndpointIngress {
        name: endpoint_ingress_name(host).into(),
        host: host.clone(),
        class: class?.clone(),
        prefix: Arc::clone(&installation.endpoint_prefix),
        service_name: Arc::clone(&controller.service_name),
        service_port: controller.service_port.clone(),
    })
}

fn existing<'w>(world: &'w World, name: &Arc<str>) -> Option<&'w Ingress> {
    world.ingress(&Key {
        namespace: Arc::clone(&world.settings().installation.namespace),
        name: Arc::clone(name),
    })
}

// === impl EndpointIngress ===

impl EndpointIngress {
    /// The object to apply.
    #[must_use]
    pub fn manifest(&self, installation: &Installation) -> k8s::Ingress {
        let mut annotations: BTreeMap<String, String> = ANNOTATIONS
            .into_iter()
            .map(|(key, value)| (format!("{NGINX_PREFIX}{key}"), value.to_owned()))
            .collect();
        if let Class::Annotation(class) = &self.class {
            annotations.insert(
                super::project::CLASS_ANNOTATION.to_owned(),
                class.to_string(),
            );
        }
        let labels = BTreeMap::from([
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            (INSTANCE_LABEL.to_owned(), installation.instance.to_string()),
            (ENDPOINT_HOST_LABEL.to_owned(), host_label(&self.host)),
        ]);
        let port = match &self.service_port {
            ServicePort::Number(number) => k8s::ServiceBackendPort {
                number: Some(*number),
                name: None,
            },
            ServicePort::Name(name) => k8s::ServiceBackendPort {
                number: None,
                name: Some(name.to_string()),
            },
        };
        let backend = k8s::IngressBackend {
            service: Some(k8s::IngressServiceBackend {
                name: self.service_name.to_string(),
                port: Some(port),
            }),
            resource: None,
        };
        let path = k8s::HTTPIngressPath {
            path: Some(self.prefix.to_string()),
            path_type: "Prefix".to_owned(),
            backend,
        };
        let rule = k8s::IngressRule {
            host: Some(self.host.to_string()),
            http: Some(k8s::HTTPIngressRuleValue { paths: vec![path] }),
        };
        k8s::Ingress {
            metadata: ObjectMeta {
                name: Some(self.name.to_string()),
                namespace: Some(installation.namespace.to_string()),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            spec: Some(k8s::IngressSpec {
                ingress_class_name: match &self.class {
                    Class::Field(class) => Some(class.to_string()),
                    Class::None | Class::Annotation(_) => None,
                },
                rules: Some(vec![rule]),
                ..k8s::IngressSpec::default()
            }),
            status: None,
        }
    }

    /// Whether an Ingress is what this one should be.
    fn is(&self, ingress: &Ingress) -> bool {
        let annotations = ANNOTATIONS
            .into_iter()
            .all(|(key, value)| ingress.nginx.get(key).is_some_and(|there| there == value));
        let [rule] = ingress.rules.as_slice() else {
            return false;
        };
        let [path] = rule.paths.as_slice() else {
            return false;
        };
        let backend = path.backend.as_ref().is_some_and(|backend| {
            backend.service == self.service_name && backend.port == self.service_port
        });
        annotations
            && ingress.nginx.len() == ANNOTATIONS.len()
            && ingress.class == self.class
            && ingress.default_backend.is_none()
            && !ingress.deleting
            && rule.host.as_ref() == Ok(&self.host)
            && path.path == self.prefix
            && path.kind == PathKind::Prefix
            && backend
    }
}
