//! From a document of a manifest to an object, as strictly as an API server would read it.

#[cfg(any(test, fuzzing))]
#[cfg_attr(
    test,
    expect(
        unreachable_pub,
        reason = "a test of its own kind: the fuzz target calls it from outside"
    )
)]
pub mod property;

use std::{fmt, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{Namespace as NamespaceObject, Secret as SecretObject},
        networking::v1::Ingress as IngressObject,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    unread,
    yaml::{Fault, Node},
};
use crate::{
    published::{Installation, Unread},
    resolve::{
        Change, IdentityProvider, Ingress, Namespace, ProtectedService, SecretValues, Source, Spec,
        project_identity_provider, project_ingress, project_namespace, project_protected_service,
        project_secret,
    },
    resource::{GROUP, IdentityProviderSpec, Key, ProtectedServiceSpec, VERSION},
};

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    Namespace(Arc<str>),
    Secret(Arc<str>),
    IdentityProvider(Arc<str>),
    ProtectedService(Key),
    Ingress(Key),
}

/// An object as resolving needs it.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Namespace(Arc<str>, Namespace),
    Secret(Arc<str>, SecretValues),
    IdentityProvider(Arc<str>, Arc<IdentityProvider>),
    ProtectedService(Key, Arc<ProtectedService>),
    Ingress(Key, Arc<Ingress>),
}

/// What a document turned out to be.
#[derive(Debug)]
pub(super) enum Document {
    /// An object, and what is wrong with it if it cannot be used as it stands.
    Object(Object, Option<Fault>),
    /// Of a kind that does not matter here.
    Ignored {
        /// `KIND NAME`.
        what: String,
        line: u32,
    },
}

/// So many objects, in words.
pub(super) fn count(objects: usize) -> String {
    match objects {
        1 => "one object".to_owned(),
        many => format!("{many} objects"),
    }
}

/// Reads a document of a file.
pub(super) fn read(
    node: &Node,
    file: &Arc<str>,
    installation: &Installation,
) -> Result<Document, Fault> {
    let text = |key: &str| {
        let missing = || node.fault_at(&[key.to_owned()], "missing, or not text");
        node.get(key).and_then(Node::text).ok_or_else(missing)
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let ours = format!("{GROUP}/{VERSION}");
    let source = Some(Source {
        file: Arc::clone(file),
        line: node.place.line,
    });
    match (api_version, kind) {
        ("networking.k8s.io/v1", "Ingress") => {
            let ingress: IngressObject = strictly(node)?;
            let key = key(node, &ingress.metadata)?;
            let projected = project_ingress(&ingress, installation, source);
            Ok(Document::Object(Object::Ingress(key, Arc::new(projected)), None))
        }
        ("v1", "Secret") => {
            let secret: SecretObject = strictly(node).map_err(|fault| Fault {
                // The reason could quote a value.
                message: fault.message.split(": ").next().unwrap_or_default().to_owned()
                    + ": a Secret does not have this, or not of this type",
                ..fault
            })?;
            let name = name(node, secret.metadata.name.as_deref(), "name")?;
            let elsewhere = secret.metadata.namespace.as_deref();
            if elsewhere.is_some_and(|namespace| namespace != &*installation.namespace) {
                return Ok(ignored(node, &format!("Secret {name} of another namespace")));
            }
            Ok(Document::Object(Object::Secret(name, project_secret(&secret)), None))
        }
        ("v1", "Namespace") => {
            let namespace: NamespaceObject = strictly(node)?;
            let name = name(node, namespace.metadata.name.as_deref(), "name")?;
            let projected = project_namespace(&namespace.metadata);
            Ok(Document::Object(Object::Namespace(name, projected), None))
        }
        (version, "ProtectedService") if version == ours => {
            let (meta, spec) = parts(node)?;
            let key = key(node, &meta)?;
            let fault = wrong_spec::<ProtectedServiceSpec>(node);
            let projected = project_protected_service(&meta, &spec, source);
            Ok(Document::Object(Object::ProtectedService(key, Arc::new(projected)), fault))
        }
        (version, "IdentityProvider") if version == ours => {
            let (meta, spec) = parts(node)?;
            let name = name(node, meta.name.as_deref(), "name")?;
            let fault = wrong_spec::<IdentityProviderSpec>(node);
            let projected = project_identity_provider(&meta, &spec, source);
            Ok(Document::Object(Object::IdentityProvider(name, Arc::new(projected)), fault))
        }
        // A kind of ours that is not known is a mistake, and so is a known kind of a version that is not.
        (version, kind)
            if version.split('/').next() == Some(GROUP)
                || matches!(kind, "Ingress" | "ProtectedService" | "IdentityProvider")
                || kind == "List"
                || (version.starts_with("networking.k8s.io")
                    && !OF_NETWORKING.contains(&kind)) =>
        {
            Err(node.fault_at(
                &["kind".to_owned()],
                &format!("there is no {kind} in {version}; Vestibule reads Ingress of networking.k8s.io/v1, and ProtectedService and IdentityProvider of {ours}"),
            ))
        }
        (_, kind) => {
            let name = node.get("metadata").and_then(|meta| meta.get("name"));
            let name = name.and_then(Node::text).unwrap_or_default();
            Ok(ignored(node, &format!("{kind} {name}")))
        }
    }
}

/// Kinds of networking.k8s.io that protect nothing; any other may be a slip for Ingress.
const OF_NETWORKING: [&str; 4] = ["IngressClass", "NetworkPolicy", "IPAddress", "ServiceCIDR"];

/// What a document that is wrong may be for, besides what is known of it.
pub(super) fn unread(node: &Node, why: &str) -> Option<Unread> {
    match node.get("kind").and_then(Node::text) {
        Some("Secret" | "Namespace" | "IdentityProvider") => None,
        kind => {
            let may_be_paths = kind != Some("ProtectedService");
            Some(unread::of_text(why, &node.texts(), may_be_paths))
        }
    }
}

fn ignored(node: &Node, what: &str) -> Document {
    Document::Ignored {
        what: what.to_owned(),
        line: node.place.line,
    }
}

/// The metadata and the spec of one of our kinds.
fn parts(node: &Node) -> Result<(ObjectMeta, Value), Fault> {
    let value = node.to_json();
    for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !matches!(
            &**key,
            "apiVersion" | "kind" | "metadata" | "spec" | "status"
        ) {
            return Err(node.fault_at(std::slice::from_ref(key), "unknown field"));
        }
    }
    let missing = || node.fault_at(&["metadata".to_owned()], "missing");
    let meta = strictly(node.get("metadata").ok_or_else(missing)?).map_err(|fault| Fault {
        message: format!("metadata.{}", fault.message),
        ..fault
    })?;
    Ok((meta, value.get("spec").cloned().unwrap_or_default()))
}

fn wrong_spec<S: DeserializeOwned>(node: &Node) -> Option<Fault> {
    let Some(spec) = node.get("spec") else {
        return Some(node.fault_at(&["spec".to_owned()], "missing"));
    };
    spec.read::<S>().err().map(|fault| Fault {
        message: format!("spec.{}", fault.message),
        ..fault
    })
}

/// Reads a type that would let unknown fields pass: what does not come out again was not understood.
fn strictly<T: DeserializeOwned + Serialize>(node: &Node) -> Result<T, Fault> {
    let object: T = node.read()?;
    let understood = serde_json::to_value(&object).unwrap_or_default();
    let mut path = Vec::new();
    if has_unknown(&node.to_json(), &understood, &mut path) {
        return Err(node.fault_at(&path, "unknown field"));
    }
    Ok(object)
}

/// Whether something is in a value that is not in what was understood of it; then `path` leads there.
fn has_unknown(value: &Value, understood: &Value, path: &mut Vec<String>) -> bool {
    match (value, understood) {
        (Value::Object(value), Value::Object(understood)) => value.iter().any(|(key, inner)| {
            path.push(key.clone());
            let unknown = match understood.get(key) {
                Some(understood) => has_unknown(inner, understood, path),
                None => !inner.is_null(),
            };
            if !unknown {
                path.pop();
            }
            unknown
        }),
        (Value::Array(value), Value::Array(understood)) => value
            .iter()
            .zip(understood)
            .enumerate()
            .any(|(index, (inner, understood))| {
                path.push(format!("[{index}]"));
                let unknown = has_unknown(inner, understood, path);
                if !unknown {
                    path.pop();
                }
                unknown
            }),
        _ => false,
    }
}

fn key(node: &Node, meta: &ObjectMeta) -> Result<Key, Fault> {
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    Ok(Key {
        namespace: name(node, Some(namespace), "namespace")?,
        name: name(node, meta.name.as_deref(), "name")?,
    })
}

/// A name as Kubernetes has them (RFC 1123): it becomes part of paths.
fn name(node: &Node, name: Option<&str>, field: &str) -> Result<Arc<str>, Fault> {
    let is_good = |name: &&str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        name.len() <= 253
            && bytes.iter().copied().all(inner)
            && outer(bytes.first())
            && outer(bytes.last())
    };
    let path = ["metadata".to_owned(), field.to_owned()];
    name.filter(is_good).map(Arc::from).ok_or_else(|| {
        node.fault_at(
            &path,
            "a name is made of lower-case letters, digits, hyphens and dots",
        )
    })
}

// === impl Object ===

impl Object {
    pub(super) fn id(&self) -> Id {
        match self {
            Self::Namespace(name, _) => Id::Namespace(Arc::clone(name)),
            Self::Secret(name, _) => Id::Secret(Arc::clone(name)),
            Self::IdentityProvider(name, _) => Id::IdentityProvider(Arc::clone(name)),
            Self::ProtectedService(key, _) => Id::ProtectedService(key.clone()),
            Self::Ingress(key, _) => Id::Ingress(key.clone()),
        }
    }

    /// Where it stands, as far as resolving keeps that.
    pub(super) fn source(&self) -> Option<&Source> {
        match self {
            Self::IdentityProvider(_, provider) => provider.source.as_ref(),
            Self::ProtectedService(_, service) => service.source.as_ref(),
            Self::Ingress(_, ingress) => ingress.source.as_ref(),
            Self::Secret(..) | Self::Namespace(..) => None,
        }
    }

    /// Closes it: whoever depends on it is refused, and told why. Secrets and Namespaces stay as they are, since
    /// nothing is open because of them alone.
    pub(super) fn close(&mut self, why: &Arc<str>) {
        match self {
            Self::ProtectedService(_, service) => {
                let hosts = service.own_hosts().to_vec();
                Arc::make_mut(service).spec = Spec::Unreadable {
                    why: Arc::clone(why),
                    hosts,
                };
            }
            Self::IdentityProvider(_, provider) => {
                Arc::make_mut(provider).spec = Spec::Unreadable {
                    why: Arc::clone(why),
                    hosts: Vec::new(),
                };
            }
            Self::Ingress(_, ingress) => Arc::make_mut(ingress).unreadable = Some(Arc::clone(why)),
            Self::Secret(..) | Self::Namespace(..) => {}
        }
    }

    /// Says that it is so now.
    pub(super) fn into_change(self) -> Change {
        match self {
            Self::Namespace(name, it) => Change::Namespace(name, Some(it)),
            Self::Secret(name, it) => Change::Secret(name, Some(it)),
            Self::IdentityProvider(name, it) => Change::IdentityProvider(name, Some(it)),
            Self::ProtectedService(key, it) => Change::ProtectedService(key, Some(it)),
            Self::Ingress(key, it) => Change::Ingress(key, Some(it)),
        }
    }
}

// === impl Id ===

impl Id {
    /// Says that it is gone.
    pub(super) fn into_removal(self) -> Change {
        match self {
            Self::Namespace(name) => Change::Namespace(name, None),
            Self::Secret(name) => Change::Secret(name, None),
            Self::IdentityProvider(name) => Change::IdentityProvider(name, None),
            Self::ProtectedService(key) => Change::ProtectedService(key, None),
            Self::Ingress(key) => Change::Ingress(key, None),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(f, "Namespace {name}"),
            Self::Secret(name) => write!(f, "Secret {name}"),
            Self::IdentityProvider(name) => write!(f, "IdentityProvider {name}"),
            Self::ProtectedService(key) => write!(f, "ProtectedService {key}"),
            Self::Ingress(key) => write!(f, "Ingress {key}"),
        }
    }
}
