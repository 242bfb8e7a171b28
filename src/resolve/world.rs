//! The world: projections of the objects by key, and indexes that tell which units a change touches.

mod apply;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    IdentityProvider, Ingress, IngressClass, Namespace, ProtectedService, SecretValues, Settings,
    Unit, host::HostFacts,
};
use crate::{
    policy::HostPattern,
    resource::{Key, endpoint_ingress_name},
};

/// All objects that matter.
#[derive(Debug)]
pub struct World {
    settings: Arc<Settings>,
    ingresses: BTreeMap<Key, Arc<Ingress>>,
    services: BTreeMap<Key, Arc<ProtectedService>>,
    providers: BTreeMap<Arc<str>, Arc<IdentityProvider>>,
    secrets: BTreeMap<Arc<str>, SecretValues>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    classes: BTreeMap<Arc<str>, IngressClass>,
    refusals: BTreeMap<Write, Refusal>,
    index: Index,
    touched: apply::Touched,
}

/// Who is concerned by what. Everything in it follows from the objects.
#[derive(Debug, Default)]
struct Index {
    /// Those that serve a host, endpoint Ingresses aside.
    hosts: BTreeMap<HostPattern, BTreeSet<Key>>,
    facts: BTreeMap<HostPattern, HostFacts>,
    endpoints: BTreeMap<Arc<str>, HostPattern>,
    /// The explicit ProtectedServices for an Ingress.
    targeting: BTreeMap<Key, BTreeSet<Key>>,
    /// Explicit ProtectedServices that cannot be read, nor whom they are for: by namespace.
    unclear: BTreeMap<Arc<str>, BTreeSet<Key>>,
    /// Ingresses and ProtectedServices that use a provider; those without a name under the empty name.
    users: BTreeMap<Arc<str>, BTreeSet<Key>>,
    secret_users: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    defaults: BTreeSet<Arc<str>>,
    class_users: BTreeMap<Arc<str>, BTreeSet<Key>>,
}

/// Something happened to an object; `None` means that it is gone.
#[derive(Clone, Debug)]
pub enum Change {
    /// An Ingress of any namespace.
    Ingress(Key, Option<Arc<Ingress>>),
    /// A ProtectedService.
    ProtectedService(Key, Option<Arc<ProtectedService>>),
    /// An IdentityProvider.
    IdentityProvider(Arc<str>, Option<Arc<IdentityProvider>>),
    /// A Secret of the installation's namespace.
    Secret(Arc<str>, Option<SecretValues>),
    /// A Namespace.
    Namespace(Arc<str>, Option<Namespace>),
    /// An IngressClass.
    IngressClass(Arc<str>, Option<IngressClass>),
    /// What the API server said to a write; `None`: it was accepted.
    Refused(Write, Option<Refusal>),
}

/// A write that may be refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    /// The annotations of an Ingress.
    Annotations(Key),
    /// A ProtectedService made from annotations.
    Derived(Key),
    /// An endpoint Ingress, by name.
    Endpoint(Arc<str>),
}

/// Why a write was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// The words of the API server.
    pub message: Arc<str>,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Another field manager holds a field (409).
    Conflict,
    /// A webhook or a policy said no, or the object is invalid (400, 422).
    Rejected,
    /// We lack the right (403).
    Forbidden,
    /// Anything else, such as a timeout; it will be tried again.
    Failed,
}

// === impl World: the objects ===

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            ingresses: BTreeMap::new(),
            services: BTreeMap::new(),
            providers: BTreeMap::new(),
            secrets: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            classes: BTreeMap::new(),
            refusals: BTreeMap::new(),
            index: Index::default(),
            touched: apply::Touched::default(),
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An Ingress.
    #[must_use]
    pub fn ingress(&self, key: &Key) -> Option<&Ingress> {
        self.ingresses.get(key).map(|ingress| &**ingress)
    }

    /// A ProtectedService.
    #[must_use]
    pub fn service(&self, key: &Key) -> Option<&ProtectedService> {
        self.services.get(key).map(|service| &**service)
    }

    /// An IdentityProvider.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&IdentityProvider> {
        self.providers.get(name).map(|provider| &**provider)
    }

    /// All ProtectedServices.
    pub fn services(&self) -> impl Iterator<Item = (&Key, &ProtectedService)> {
        self.services.iter().map(|(key, service)| (key, &**service))
    }

    /// All IdentityProviders.
    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &IdentityProvider)> {
        self.providers
            .iter()
            .map(|(name, provider)| (name, &**provider))
    }

    /// Whether an Ingress asks by its annotations for sign-in with a provider, by name or as the default.
    pub(super) fn is_used_by_annotations(&self, provider: &Arc<str>) -> bool {
        let by_default = self.index.defaults.contains(provider);
        let named = self.index.users.get(provider).into_iter().flatten();
        let unnamed = self.index.users.get("").into_iter().flatten();
        named
            .chain(unnamed.filter(|_| by_default))
            .any(|key| self.ingresses.contains_key(key))
    }

    /// The Secrets that IdentityProviders name, there or not: what is worth reading.
    pub fn secrets_in_use(&self) -> impl Iterator<Item = &Arc<str>> {
        self.index.secret_users.keys()
    }

    /// A Secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretValues> {
        self.secrets.get(name)
    }

    pub(super) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    pub(super) fn class(&self, name: &str) -> Option<&IngressClass> {
        self.classes.get(name)
    }

    pub(super) fn refusal(&self, write: &Write) -> Option<&Refusal> {
        self.refusals.get(write)
    }

    /// The providers that are marked as the default.
    pub(super) fn default_providers(&self) -> &BTreeSet<Arc<str>> {
        &self.index.defaults
    }

    /// The explicit ProtectedServices that target an Ingress.
    pub(super) fn targeting(&self, ingress: &Key) -> impl Iterator<Item = &Key> {
        self.index.targeting.get(ingress).into_iter().flatten()
    }

    /// Explicit ProtectedServices of which nobody knows whom they target.
    pub(super) fn unclear(&self, namespace: &str) -> impl Iterator<Item = &Key> {
        self.index.unclear.get(namespace).into_iter().flatten()
    }

    /// The ProtectedService that was made from the annotations of an Ingress.
    pub(super) fn derived(&self, ingress: &Key) -> Option<&ProtectedService> {
        self.service(ingress)
            .filter(|service| service.derived_from.is_some())
    }

    /// Who serves a host, endpoint Ingresses aside.
    pub(super) fn on_host(&self, host: &HostPattern) -> impl Iterator<Item = &Key> {
        self.index.hosts.get(host).into_iter().flatten()
    }

    /// What holds for everyone on a host.
    pub(super) fn host_facts(&self, host: &HostPattern) -> Option<&HostFacts> {
        self.index.facts.get(host)
    }

    /// The host that an endpoint Ingress of this name is for.
    pub(super) fn endpoint_host(&self, name: &str) -> Option<&HostPattern> {
        self.index.endpoints.get(name)
    }

    /// In a folder: a ProtectedService that names its hosts itself.
    pub(super) fn folder_service(&self, key: &Key) -> Option<&ProtectedService> {
        if !self.settings.is_folder() || self.ingresses.contains_key(key) {
            return None;
        }
        self.service(key)
            .filter(|service| !service.own_hosts().is_empty())
    }

    /// The hosts that an Ingress, or such a ProtectedService, has; without those that nobody can ask for.
    pub(super) fn hosts_of(&self, key: &Key) -> BTreeSet<HostPattern> {
        if let Some(ingress) = self.ingress(key) {
            if ingress.is_endpoint {
                return BTreeSet::new();
            }
            return ingress
                .rules
                .iter()
                .filter_map(|rule| HostPattern::parse(&rule.host))
                .collect();
        }
        let service = self.folder_service(key);
        let hosts = service.map(ProtectedService::own_hosts);
        hosts
            .into_iter()
            .flatten()
            .filter_map(|entry| HostPattern::parse(&entry.host))
            .collect()
    }

    /// All units that something is known of.
    #[must_use]
    pub fn units(&self) -> BTreeSet<Unit> {
        let hosts = self.index.hosts.keys();
        let ours = |(key, ingress): (&Key, &Arc<Ingress>)| {
            ingress
                .is_endpoint
                .then(|| Unit::Endpoint(Arc::clone(&key.name)))
        };
        let mut units: BTreeSet<Unit> =
            self.providers.keys().cloned().map(Unit::Provider).collect();
        units.extend(hosts.clone().cloned().map(Unit::Host));
        units.extend(hosts.map(|host| Unit::Endpoint(endpoint_ingress_name(host).into())));
        units.extend(self.ingresses.iter().filter_map(ours));
        units.extend(self.ingresses.keys().cloned().map(Unit::Ingress));
        units.extend(self.ingresses.keys().cloned().map(Unit::ProtectedService));
        units.extend(self.services.keys().cloned().map(Unit::Ingress));
        units.extend(self.services.keys().cloned().map(Unit::ProtectedService));
        units
    }
}

#[cfg(test)]
impl World {
    /// The changes that make this world of an empty one.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(
            self.services
                .iter()
                .map(|(key, it)| Change::ProtectedService(key.clone(), Some(Arc::clone(it)))),
        );
        changes.extend(
            self.ingresses
                .iter()
                .map(|(key, it)| Change::Ingress(key.clone(), Some(Arc::clone(it)))),
        );
        changes.extend(
            self.refusals
                .iter()
                .map(|(write, it)| Change::Refused(write.clone(), Some(it.clone()))),
        );
        changes.extend(
            self.providers
                .iter()
                .map(|(name, it)| Change::IdentityProvider(name.clone(), Some(Arc::clone(it)))),
        );
        changes.extend(
            self.secrets
                .iter()
                .map(|(name, it)| Change::Secret(name.clone(), Some(it.clone()))),
        );
        changes.extend(
            self.namespaces
                .iter()
                .map(|(name, it)| Change::Namespace(name.clone(), Some(it.clone()))),
        );
        changes.extend(
            self.classes
                .iter()
                .map(|(name, it)| Change::IngressClass(name.clone(), Some(it.clone()))),
        );
        changes
    }
}
