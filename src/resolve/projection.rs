//! What is kept of each object: what resolving needs, and nothing that changes without meaning.

use std::{collections::BTreeMap, sync::Arc};

use crate::published::Secret;
use crate::{
    policy::HostPattern,
    resource::{Annotations, FolderHost, IdentityProviderSpec, ProtectedServiceSpec},
};

/// Where an object stands in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The file, as the user knows it.
    pub file: Arc<str>,
    /// The line on which the object begins, counted from one.
    pub line: u32,
}

/// One of our own objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection<S> {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Whether it was made from an Ingress's annotations; then the uid of that Ingress.
    pub derived_from: Option<Arc<str>>,
    /// Whether another installation looks after it: it reports on it, and not that it has nothing to do with its Ingresses.
    pub is_of_others: bool,
    /// The Ingresses that it names, as far as that could be made out; `None` if not at all, and of an IdentityProvider.
    pub targets: Option<Vec<Arc<str>>>,
    /// Its spec. A replica keeps it without the targets, so that services that differ in nothing else share it.
    pub spec: Spec<S>,
    /// Where it stands in a folder.
    pub source: Option<Source>,
}

/// A spec, if this version can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec<S> {
    /// Read.
    Read(Arc<S>),
    /// Not read.
    Unreadable {
        /// Why, in words.
        why: Arc<str>,
        /// In a folder: the hosts it names itself, as far as that could be made out.
        hosts: Vec<FolderHost>,
    },
}

/// A ProtectedService.
pub type ProtectedService = Projection<ProtectedServiceSpec>;
/// An IdentityProvider.
pub type IdentityProvider = Projection<IdentityProviderSpec>;

/// An Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its class.
    pub class: Class,
    /// Its rules.
    pub rules: Vec<IngressRule>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<Backend>,
    /// What its annotations under `vestibule.dev/` ask for; `None` if it has none.
    pub asks: Option<Arc<Annotations>>,
    /// Annotations under `nginx.ingress.kubernetes.io/`, by what follows: those that are of concern to the protection.
    /// An endpoint Ingress has all of its in here.
    pub nginx: Arc<BTreeMap<String, String>>,
    /// Who holds the three keys that we write.
    pub keys: Arc<OurKeys>,
    /// Whether this is an endpoint Ingress of this installation.
    pub is_endpoint: bool,
    /// On an endpoint Ingress: which sessions of its host count, if not all.
    pub sessions: Option<Arc<str>>,
    /// In a folder: why its file cannot be read any more. It counts as last read, and is closed.
    pub unreadable: Option<Arc<str>>,
    /// Where it stands in a folder.
    pub source: Option<Source>,
}

/// The three keys that we write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OurKeys {
    /// `auth-url`.
    pub url: KeyState,
    /// `auth-signin`.
    pub signin: KeyState,
    /// `auth-response-headers`.
    pub headers: KeyState,
}

/// A key, its value and who holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyState {
    /// Its value, if it is there.
    pub value: Option<Arc<str>>,
    /// Whether we hold it, since the Ingress itself asks by its annotations.
    pub by_ingress: bool,
    /// Whether we hold it, since a ProtectedService asks.
    pub by_service: bool,
    /// The other field managers that hold it.
    pub others: Vec<Arc<str>>,
}

/// Who asked for the three annotations of an Ingress. It is noted on the Ingress itself, as the field manager that
/// holds them, since nobody can change it there who may not change the Ingress: what a ProtectedService asked for does
/// not come off because annotations that never were are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The Ingress, by its own annotations.
    Ingress,
    /// A ProtectedService, or nobody knows.
    Service,
}

/// How an Ingress names its class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Not at all.
    #[default]
    None,
    /// `spec.ingressClassName`.
    Field(Arc<str>),
    /// The annotation `kubernetes.io/ingress.class`, which counts only without the field.
    Annotation(Arc<str>),
}

/// A rule of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressRule {
    /// The host, or what stands there and is no host; empty if the rule has none.
    pub host: Result<HostPattern, Arc<str>>,
    /// Its paths, which are the same in most Ingresses.
    pub paths: Arc<[IngressPath]>,
}

/// A path of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressPath {
    /// The path; `/` if the rule has none.
    pub path: Arc<str>,
    /// How it is matched.
    pub kind: PathKind,
    /// The Service behind it; `None` for a resource backend.
    pub backend: Option<Backend>,
}

/// How a path is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// `Exact`.
    Exact,
    /// `Prefix`.
    Prefix,
    /// `ImplementationSpecific`, which ingress-nginx treats as Prefix, or as a regex.
    ImplementationSpecific,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Its name.
    pub service: Arc<str>,
    /// Its port.
    pub port: ServicePort,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServicePort {
    /// By number.
    Number(i32),
    /// By name.
    Name(Arc<str>),
}

/// A Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An IngressClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// `spec.controller`.
    pub controller: Arc<str>,
}

/// A Secret of our own namespace, by key.
pub type SecretValues = BTreeMap<Arc<str>, Secret>;

// === impl OurKeys ===

impl OurKeys {
    /// Whether we wrote any of them because the Ingress itself asked, and none because a ProtectedService did.
    #[must_use]
    pub fn asked_for_by_the_ingress(&self) -> bool {
        let all = [&self.url, &self.signin, &self.headers];
        all.iter().any(|state| state.by_ingress) && !all.iter().any(|state| state.by_service)
    }
}

// === impl KeyState ===

impl KeyState {
    /// Whether we hold it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.by_ingress || self.by_service
    }

    /// Whether we hold it for this one.
    #[must_use]
    pub fn is_for(&self, asker: Asker) -> bool {
        match asker {
            Asker::Ingress => self.by_ingress,
            Asker::Service => self.by_service,
        }
    }
}

// === impl Asker ===

impl Asker {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ingress => Self::Service,
            Self::Service => Self::Ingress,
        }
    }

    /// The name under which an installation holds the annotations. An instance's name has no slash, so no other
    /// installation uses it.
    #[must_use]
    pub fn field_manager(self, instance: &str) -> String {
        match self {
            Self::Ingress => format!("vestibule-{instance}"),
            Self::Service => format!("vestibule-{instance}/protectedservice"),
        }
    }
}

// === impl Class ===

impl Class {
    /// The name, however it is given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Field(name) | Self::Annotation(name) => Some(name),
        }
    }
}

// === impl ProtectedService ===

impl ProtectedService {
    /// The hosts that it names itself, which counts in a folder. One that cannot be read goes on covering its hosts.
    #[must_use]
    pub fn own_hosts(&self) -> &[FolderHost] {
        match &self.spec {
            Spec::Read(spec) => &spec.hosts,
            Spec::Unreadable { hosts, .. } => hosts,
        }
    }
}

// === impl Spec ===

impl<S> Spec<S> {
    /// The spec, if it was read.
    #[must_use]
    pub fn read(&self) -> Option<&Arc<S>> {
        match self {
            Self::Read(spec) => Some(spec),
            Self::Unreadable { .. } => None,
        }
    }
}
