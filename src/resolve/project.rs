//! From objects to projections. One object that cannot be read becomes a projection that says so, and never hides
//! the others.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use k8s_openapi::{
    ByteString,
    api::{core::v1 as core, networking::v1 as k8s},
};
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Asker, Backend, Class, IdentityProvider, Ingress, IngressClass, IngressPath, IngressRule,
    KeyState, Namespace, OurKeys, PathKind, Projection, ProtectedService, SecretValues,
    ServicePort, Source, Spec, endpoint::SESSIONS,
};
use crate::{
    dataplane::ingress_nginx::is_of_concern,
    policy::HostPattern,
    published::{Installation, Secret},
    resource::{
        AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, Annotations, DERIVED_FROM_LABEL, FolderHost,
        GROUP, INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, NGINX_PREFIX,
    },
};

/// How Ingresses named their class before `spec.ingressClassName`.
pub(super) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Keeps what matters of an Ingress.
#[must_use]
pub fn project_ingress(
    object: &k8s::Ingress,
    installation: &Installation,
    source: Option<Source>,
) -> Ingress {
    let meta = &object.metadata;
    let none = BTreeMap::new();
    let annotations = meta.annotations.as_ref().unwrap_or(&none);
    let under = |prefix: &str, is_kept: &dyn Fn(&str) -> bool| {
        // Keys are in their order, and those with a prefix stand together.
        let there = annotations.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        there
            .map_while(|(key, value)| Some((key.strip_prefix(prefix)?, value)))
            .filter(|(key, _)| is_kept(key))
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let is_endpoint = is_endpoint(meta, installation);
    let ours = under(&format!("{GROUP}/"), &|_| true);
    let spec = object.spec.as_ref();
    let class = match spec.and_then(|spec| spec.ingress_class_name.as_deref()) {
        Some(name) => Class::Field(name.into()),
        None => annotations
            .get(CLASS_ANNOTATION)
            .map_or(Class::None, |name| Class::Annotation(name.as_str().into())),
    };
    let rules = spec
        .and_then(|spec| spec.rules.as_deref())
        .unwrap_or_default();
    let managers =
        [Asker::Ingress, Asker::Service].map(|asker| asker.field_manager(&installation.instance));
    let keys = OurKeys {
        url: key_state(meta, AUTH_URL, &managers),
        signin: key_state(meta, AUTH_SIGNIN, &managers),
        headers: key_state(meta, AUTH_RESPONSE_HEADERS, &managers),
    };
    Ingress {
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        created: created(meta),
        deleting: meta.deletion_timestamp.is_some(),
        class,
        rules: rules.iter().map(rule).collect(),
        default_backend: spec
            .and_then(|spec| spec.default_backend.as_ref())
            .and_then(backend),
        asks: (!ours.is_empty()).then(|| Arc::new(Annotations::read(&ours))),
        nginx: under(NGINX_PREFIX, &|key| is_endpoint || is_of_concern(key)).into(),
        keys: Arc::new(keys),
        is_endpoint,
        sessions: ours
            .get(SESSIONS)
            .filter(|_| is_endpoint)
            .map(|text| text.as_str().into()),
        unreadable: None,
        source,
    }
}

/// Keeps what matters of a ProtectedService.
#[must_use]
pub fn project_protected_service(
    meta: &ObjectMeta,
    spec: &Value,
    source: Option<Source>,
) -> ProtectedService {
    let label = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(DERIVED_FROM_LABEL));
    let owner = meta
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "Ingress");
    let derived_from = label.map(|_| {
        owner
            .map(|owner| owner.uid.as_str())
            .unwrap_or_default()
            .into()
    });
    let projection: ProtectedService = projection(meta, spec, source, || hosts(spec));
    let targets = match projection.spec.read() {
        Some(read) => {
            let names = read.target_refs.iter().map(|it| it.name.as_str().into());
            Some(names.collect())
        }
        None => targets(spec),
    };
    Projection {
        derived_from,
        targets,
        ..projection
    }
}

/// Keeps what matters of an IdentityProvider.
#[must_use]
pub fn project_identity_provider(
    meta: &ObjectMeta,
    spec: &Value,
    source: Option<Source>,
) -> IdentityProvider {
    projection(meta, spec, source, Vec::new)
}

/// Keeps what matters of a Namespace.
#[must_use]
pub fn project_namespace(meta: &ObjectMeta) -> Namespace {
    Namespace {
        labels: meta.labels.clone().unwrap_or_default(),
    }
}

/// Keeps what matters of an IngressClass.
#[must_use]
pub fn project_ingress_class(object: &k8s::IngressClass) -> IngressClass {
    let controller = object
        .spec
        .as_ref()
        .and_then(|spec| spec.controller.as_deref());
    IngressClass {
        controller: controller.unwrap_or_default().into(),
    }
}

/// Keeps the values of a Secret.
#[must_use]
pub fn project_secret(object: &core::Secret) -> SecretValues {
    let data = object.data.iter().flatten();
    let mut values: SecretValues = data
        .map(|(key, ByteString(value))| (key.as_str().into(), Secret::new(value)))
        .collect();
    // Only in manifests; the API server has moved it into `data`.
    let plain = object.string_data.iter().flatten();
    values
        .extend(plain.map(|(key, value)| (Arc::from(key.as_str()), Secret::new(value.as_bytes()))));
    values
}

fn projection<S: DeserializeOwned>(
    meta: &ObjectMeta,
    spec: &Value,
    source: Option<Source>,
    hosts: impl FnOnce() -> Vec<FolderHost>,
) -> Projection<S> {
    let spec = match S::deserialize(spec) {
        Ok(spec) => Spec::Read(Arc::new(spec)),
        Err(error) => Spec::Unreadable {
            why: error.to_string().into(),
            hosts: hosts(),
        },
    };
    Projection {
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        generation: meta.generation.unwrap_or_default(),
        created: created(meta),
        derived_from: None,
        is_of_others: false,
        targets: None,
        spec,
        source,
    }
}

/// The Ingresses that a spec names which cannot be read as a whole.
fn targets(spec: &Value) -> Option<Vec<Arc<str>>> {
    let Some(listed) = spec.get("targetRefs") else {
        // It names hosts instead.
        return (!hosts(spec).is_empty()).then(Vec::new);
    };
    let names = listed.as_array()?.iter();
    names
        .map(|target| Some(Arc::from(target.get("name")?.as_str()?)))
        .collect()
}

/// The hosts that such a spec names.
fn hosts(spec: &Value) -> Vec<FolderHost> {
    let listed = spec.get("hosts").and_then(Value::as_array);
    let entry = |entry: &Value| {
        let text = |key| Some(entry.get(key)?.as_str()?.to_owned());
        Some(FolderHost {
            host: text("host")?,
            upstream: text("upstream"),
        })
    };
    listed.into_iter().flatten().filter_map(entry).collect()
}

fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_second())
}

/// Labels are believed in our own namespace only: elsewhere anybody could claim to be ours.
fn is_endpoint(meta: &ObjectMeta, installation: &Installation) -> bool {
    let has = |key: &str, value: &str| {
        meta.labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .is_some_and(|there| there == value)
    };
    meta.namespace.as_deref() == Some(&*installation.namespace)
        && has(MANAGED_BY_LABEL, MANAGED_BY)
        && has(INSTANCE_LABEL, &installation.instance)
}

fn rule(rule: &k8s::IngressRule) -> IngressRule {
    let paths = rule
        .http
        .as_ref()
        .map(|http| http.paths.as_slice())
        .unwrap_or_default();
    let path = |path: &k8s::HTTPIngressPath| IngressPath {
        path: path
            .path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or("/")
            .into(),
        kind: match path.path_type.as_str() {
            "Exact" => PathKind::Exact,
            "Prefix" => PathKind::Prefix,
            _ => PathKind::ImplementationSpecific,
        },
        backend: backend(&path.backend),
    };
    let host = rule.host.as_deref().unwrap_or_default();
    IngressRule {
        host: HostPattern::parse(host).ok_or_else(|| host.into()),
        paths: paths.iter().map(path).collect(),
    }
}

fn backend(backend: &k8s::IngressBackend) -> Option<Backend> {
    let service = backend.service.as_ref()?;
    let port = service.port.as_ref()?;
    let port = match (port.number, port.name.as_deref()) {
        (Some(number), _) => ServicePort::Number(number),
        (None, Some(name)) => ServicePort::Name(name.into()),
        (None, None) => return None,
    };
    Some(Backend {
        service: service.name.as_str().into(),
        port,
    })
}

/// The value of an annotation and the field managers that hold it (`metadata.managedFields`).
fn key_state(meta: &ObjectMeta, key: &str, [by_ingress, by_service]: &[String; 2]) -> KeyState {
    let value = meta
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(key));
    let field = format!("f:{key}");
    let mut state = KeyState {
        value: value.map(|value| value.as_str().into()),
        ..KeyState::default()
    };
    for entry in meta.managed_fields.iter().flatten() {
        let held = entry.fields_v1.as_ref().and_then(|fields| {
            fields
                .0
                .get("f:metadata")?
                .get("f:annotations")?
                .get(&field)
        });
        if held.is_none() {
            continue;
        }
        let name = entry
            .manager
            .as_deref()
            .unwrap_or("an unnamed field manager");
        let applied = entry.operation.as_deref() == Some("Apply");
        if name == by_ingress && applied {
            state.by_ingress = true;
        } else if name == by_service && applied {
            state.by_service = true;
        } else if !state.others.iter().any(|other| **other == *name) {
            state.others.push(name.into());
        }
    }
    state
}
