//! The endpoint Ingress of a host: what it should be, what it is, and what is to be done.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::networking::v1 as k8s;
use kube::api::ObjectMeta;

use super::{
    Class, EndpointAction, EndpointIngress, Ingress, PathKind, Plan, ServicePort, UnitResult,
    World, Write,
};
use crate::{
    policy::{HostPattern, Moment},
    published::Installation,
    resource::{
        ENDPOINT_HOST_LABEL, GROUP, INSTANCE_LABEL, Key, MANAGED_BY, MANAGED_BY_LABEL,
        NGINX_PREFIX, endpoint_ingress_name, host_label,
    },
};

/// How the endpoint Ingress of a host is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// Which sessions of a host count. Others may have seen those from a time at which they shared it, also after they have
/// gone, so the endpoint Ingress keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sessions {
    /// All.
    All,
    /// None: the host is shared.
    None,
    /// Those that begin after this write.
    FromNowOn,
    /// Those that began after this moment.
    After(Moment),
}

/// On an endpoint Ingress: which sessions of its host count, if not all.
pub(super) const SESSIONS: &str = "sessions";

/// All of them are settings of the location and not of the server, so they do not touch what the app's own Ingress
/// says about the host: the sign-in page needs no session, also where all of a cluster does; pods need not be
/// known one by one; and an answer may carry cookies of several kilobytes.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("enable-global-auth", "false"),
    ("proxy-buffer-size", "16k"),
    ("service-upstream", "true"),
];

/// How the endpoint Ingress of a host is, given the class it should have and whether others share the host; and which
/// sessions count by what it says.
pub(super) fn state(
    world: &World,
    host: &HostPattern,
    class: Option<&Class>,
    is_shared: bool,
) -> (EndpointState, Sessions) {
    let name = Arc::from(endpoint_ingress_name(host));
    let existing = existing(world, &name).filter(|_| !world.settings().is_folder());
    let kept = existing
        .filter(|ingress| ingress.is_endpoint)
        .map_or(Sessions::All, kept);
    let wanted = wanted(world, host, class, is_shared);
    (how(world, wanted, existing), kept)
}

/// The class of the endpoint Ingress that is there for a host.
pub(super) fn class(world: &World, host: &HostPattern) -> Option<Class> {
    let name = Arc::from(endpoint_ingress_name(host));
    let existing = existing(world, &name).filter(|ingress| ingress.is_endpoint);
    existing.map(|ingress| ingress.class.clone())
}

fn how(
    world: &World,
    wanted: Option<EndpointIngress>,
    existing: Option<&Ingress>,
) -> EndpointState {
    let Some(wanted) = wanted else {
        return EndpointState::Unneeded;
    };
    match existing {
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
    let facts = world
        .endpoint_host(name)
        .and_then(|host| Some((host, world.host_facts(host)?)));
    let wanted = facts
        .and_then(|(host, facts)| wanted(world, host, facts.class.as_ref(), facts.is_shared()));
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

fn wanted(
    world: &World,
    host: &HostPattern,
    class: Option<&Class>,
    is_shared: bool,
) -> Option<EndpointIngress> {
    let controller = world.settings().controller()?;
    let installation = &world.settings().installation;
    let is_auth_host =
        matches!(host, HostPattern::Exact(host) if Some(host) == installation.auth_host.as_ref());
    if is_auth_host {
        return None;
    }
    let name = Arc::from(endpoint_ingress_name(host));
    let existing = existing(world, &name).filter(|ingress| ingress.is_endpoint);
    let sessions = match existing.map_or(Sessions::All, kept) {
        _ if is_shared => Sessions::None,
        Sessions::None => Sessions::FromNowOn,
        kept => kept,
    };
    Some(EndpointIngress {
        name,
        sessions,
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

/// What an endpoint Ingress says about sessions. What nobody understands counts as the worst.
fn kept(ingress: &Ingress) -> Sessions {
    let Some(text) = &ingress.sessions else {
        return Sessions::All;
    };
    let after = text
        .strip_prefix("after-")
        .and_then(|time| time.parse().ok());
    after.map_or(Sessions::None, |time| Sessions::After(Moment(time)))
}

// === impl EndpointIngress ===

impl EndpointIngress {
    /// The object to apply at this moment.
    #[must_use]
    pub fn manifest(&self, installation: &Installation, now: Moment) -> k8s::Ingress {
        let mut annotations: BTreeMap<String, String> = ANNOTATIONS
            .into_iter()
            .map(|(key, value)| (format!("{NGINX_PREFIX}{key}"), value.to_owned()))
            .collect();
        let sessions = match self.sessions {
            Sessions::All => None,
            Sessions::None => Some("none".to_owned()),
            Sessions::FromNowOn => Some(format!("after-{}", now.0)),
            Sessions::After(moment) => Some(format!("after-{}", moment.0)),
        };
        annotations.extend(sessions.map(|text| (format!("{GROUP}/{SESSIONS}"), text)));
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
        let [path] = &*rule.paths else {
            return false;
        };
        let backend = path.backend.as_ref().is_some_and(|backend| {
            backend.service == self.service_name && backend.port == self.service_port
        });
        annotations
            && ingress.nginx.len() == ANNOTATIONS.len()
            && kept(ingress) == self.sessions
            && ingress.class == self.class
            && ingress.default_backend.is_none()
            && !ingress.deleting
            && rule.host.as_ref() == Ok(&self.host)
            && path.path == self.prefix
            && path.kind == PathKind::Prefix
            && backend
    }
}
