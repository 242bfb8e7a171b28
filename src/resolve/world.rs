//! The world: projections of the objects by key, and indexes that tell which units a change touches.

mod apply;
mod spare;
mod touched;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Failure, IdentityProvider, Ingress, IngressClass, Namespace, ProtectedService, SecretValues,
    Settings, Unit, faults, few::Few, host::HostFacts, namesakes, provider::Usable,
};
use crate::{
    policy::{Host, HostPattern},
    resource::{Key, ProtectedServiceSpec, endpoint_ingress_name},
};

/// All objects that matter.
#[derive(Debug)]
pub struct World {
    settings: Arc<Settings>,
    subjects: HashMap<Key, Subject>,
    providers: BTreeMap<Arc<str>, Arc<IdentityProvider>>,
    secrets: BTreeMap<Arc<str>, SecretValues>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    classes: BTreeMap<Arc<str>, IngressClass>,
    refusals: HashMap<Write, Refusal>,
    index: Index,
    touched: touched::Touched,
    shared: spare::SharedParts,
}

/// What goes by one name in a namespace. No name is kept of which nothing is known.
#[derive(Debug, Default)]
struct Subject {
    ingress: Option<Arc<Ingress>>,
    service: Option<Arc<ProtectedService>>,
    /// The explicit ProtectedServices for the Ingress.
    targeted_by: Few<Key>,
}

/// A host that somebody serves, endpoint Ingresses aside.
#[derive(Debug, Default)]
struct Served {
    by: Few<Key>,
    /// `None` until they have been worked out.
    facts: Option<Arc<HostFacts>>,
}

/// Who is concerned by what. Everything in it follows from the objects. What grows with the cluster is hashed: nothing
/// may depend on its order.
#[derive(Debug, Default)]
struct Index {
    hosts: HashMap<HostPattern, Served>,
    /// The hosts by the names of their endpoint Ingresses, for whoever writes those.
    endpoints: HashMap<Arc<str>, HostPattern>,
    /// The exact hosts that a wildcard over this name covers.
    below: BTreeMap<Host, BTreeSet<HostPattern>>,
    /// Ingresses that may be sent requests for hosts that they do not name.
    broad: BTreeSet<Key>,
    /// The hosts of which such Ingresses, or wildcards, do get some.
    takes: BTreeMap<Key, BTreeSet<HostPattern>>,
    /// Explicit ProtectedServices that cannot be read, nor whom they are for: by namespace.
    unclear: BTreeMap<Arc<str>, BTreeSet<Key>>,
    /// What came of the providers that there are.
    usable: BTreeMap<Arc<str>, Result<Usable, Failure>>,
    secret_users: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    defaults: BTreeSet<Arc<str>>,
    /// For whoever judges classes.
    class_users: HashMap<Arc<str>, HashSet<Key>>,
    /// The Ingresses that Traefik knows by a name, as far as names are kept.
    named: HashMap<String, Few<Key>>,
    /// The same the other way round, in a replica, where these are few.
    names: HashMap<Key, BTreeSet<String>>,
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

/// Kinds of refusal, by the API server or by whoever else writes there.
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
    /// It was written, and somebody takes it away again and again.
    Undone,
}

// === impl World: the objects ===

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            subjects: HashMap::new(),
            providers: BTreeMap::new(),
            secrets: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            classes: BTreeMap::new(),
            refusals: HashMap::new(),
            index: Index::default(),
            touched: touched::Touched::default(),
            shared: spare::SharedParts::default(),
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
        self.subjects.get(key)?.ingress.as_deref()
    }

    /// A ProtectedService.
    #[must_use]
    pub fn service(&self, key: &Key) -> Option<&ProtectedService> {
        self.subjects.get(key)?.service.as_deref()
    }

    /// Whether an Ingress that is there is of a class that this installation does not serve.
    #[must_use]
    pub fn is_of_foreign_class(&self, key: &Key) -> bool {
        let ingress = self.ingress(key);
        ingress.is_some_and(|ingress| faults::class_failure(self, key, ingress).is_some())
    }

    /// An IdentityProvider.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&IdentityProvider> {
        self.providers.get(name).map(|provider| &**provider)
    }

    /// The names of all Ingresses that are kept.
    pub fn ingresses(&self) -> impl Iterator<Item = &Key> {
        let ingresses = self.subjects.iter();
        let ingresses = ingresses.filter(|(_, subject)| subject.ingress.is_some());
        ingresses.map(|(key, _)| key)
    }

    /// The names of all Namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// The names of all IngressClasses.
    pub fn classes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.classes.keys()
    }

    /// The names of all Secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.secrets.keys()
    }

    /// All ProtectedServices, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = (&Key, &ProtectedService)> {
        let services = self.subjects.iter();
        let services =
            services.filter_map(|(key, subject)| Some((key, subject.service.as_deref()?)));
        let mut services: Vec<_> = services.collect();
        services.sort_unstable_by_key(|(key, _)| *key);
        services.into_iter()
    }

    /// All IdentityProviders.
    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &IdentityProvider)> {
        self.providers
            .iter()
            .map(|(name, provider)| (name, &**provider))
    }

    /// Whether an Ingress asks by its annotations for sign-in with a provider, by name or as the default.
    pub(super) fn is_used_by_annotations(&self, provider: &Arc<str>) -> bool {
        let is_default = self.index.defaults.contains(provider);
        let mut ingresses = self.subjects.values().filter_map(|it| it.ingress.as_ref());
        ingresses.any(|ingress| {
            let spec = ingress.asks.as_ref().map(|asks| &asks.spec);
            let mut names = spec.into_iter().flat_map(names_of_providers);
            names.any(|name| *name == **provider || (name.is_empty() && is_default))
        })
    }

    /// The providers that an Ingress names by annotation and a ProtectedService by its spec; the empty name for
    /// whichever is the default.
    fn providers_of(subject: &Subject) -> impl Iterator<Item = &str> {
        let asks = subject.ingress.as_ref().and_then(|it| it.asks.as_ref());
        let spec = subject.service.as_ref().and_then(|it| it.spec.read());
        let specs = [asks.map(|asks| &asks.spec), spec.map(|spec| &**spec)];
        specs.into_iter().flatten().flat_map(names_of_providers)
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

    /// Why a write of ours does not stand, if it does not.
    #[must_use]
    pub fn refusal(&self, write: &Write) -> Option<&Refusal> {
        self.refusals.get(write)
    }

    /// The providers that are marked as the default.
    pub(super) fn default_providers(&self) -> &BTreeSet<Arc<str>> {
        &self.index.defaults
    }

    /// What came of a provider, if there is one of that name.
    pub(super) fn usable(&self, provider: &str) -> Option<&Result<Usable, Failure>> {
        self.index.usable.get(provider)
    }

    /// The explicit ProtectedServices that target an Ingress.
    pub(super) fn targeting(&self, ingress: &Key) -> &[Key] {
        let subject = self.subjects.get(ingress);
        subject.map_or(&[], |subject| &subject.targeted_by)
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
    pub(super) fn on_host(&self, host: &HostPattern) -> &[Key] {
        self.index.hosts.get(host).map_or(&[], |served| &served.by)
    }

    /// Ingresses that may be sent requests for hosts that they do not name.
    pub(super) fn broad(&self) -> impl Iterator<Item = &Key> {
        self.index.broad.iter()
    }

    /// The names by which Traefik knows an Ingress, as far as they are kept.
    pub(super) fn names_of(&self, key: &Key) -> BTreeSet<String> {
        if self.settings.controller().is_some() {
            let ingress = self.ingress(key);
            let kept = ingress.map(|ingress| namesakes::kept(self, key, ingress));
            return kept.unwrap_or_default();
        }
        // A replica forgets the Services they are made of.
        self.index.names.get(key).cloned().unwrap_or_default()
    }

    /// The Ingresses of which something has this name, as far as names are kept.
    pub(super) fn named(&self, name: &str) -> &[Key] {
        self.index.named.get(name).map_or(&[], |named| named)
    }

    /// Who serves a wildcard that covers this host.
    pub(super) fn on_wildcard_over(&self, host: &HostPattern) -> &[Key] {
        let wildcard = match host {
            HostPattern::Exact(host) => host.parent().and_then(Host::parse),
            HostPattern::Wildcard(_) => None,
        };
        wildcard.map_or(&[], |name| self.on_host(&HostPattern::Wildcard(name)))
    }

    /// The hosts that an Ingress is sent requests for although it does not name them.
    pub(super) fn taken_by(&self, key: &Key) -> impl Iterator<Item = &HostPattern> {
        self.index.takes.get(key).into_iter().flatten()
    }

    /// What holds for everyone on a host.
    pub(super) fn host_facts(&self, host: &HostPattern) -> Option<&HostFacts> {
        self.index.hosts.get(host)?.facts.as_deref()
    }

    /// The host that an endpoint Ingress of this name is for.
    pub(super) fn endpoint_host(&self, name: &str) -> Option<&HostPattern> {
        self.index.endpoints.get(name)
    }

    /// In a folder: a ProtectedService that names its hosts itself.
    pub(super) fn folder_service(&self, key: &Key) -> Option<&ProtectedService> {
        if !self.settings.is_folder() || self.ingress(key).is_some() {
            return None;
        }
        self.service(key)
            .filter(|service| !service.own_hosts().is_empty())
    }

    /// The hosts that an Ingress, or such a ProtectedService, has; without those that nobody can ask for.
    pub(super) fn hosts_of(&self, key: &Key) -> Few<HostPattern> {
        if let Some(ingress) = self.ingress(key) {
            if ingress.is_endpoint {
                return Few::default();
            }
            let hosts = ingress
                .rules
                .iter()
                .filter_map(|rule| rule.host.as_ref().ok());
            return hosts.cloned().collect();
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
        let mut units: BTreeSet<Unit> =
            self.providers.keys().cloned().map(Unit::Provider).collect();
        units.extend(hosts.clone().cloned().map(Unit::Host));
        if self.settings.controller().is_some() {
            let is_endpoint = |key: &&Key| self.ingress(key).is_some_and(|it| it.is_endpoint);
            let there = self.subjects.keys().filter(is_endpoint);
            units.extend(there.map(|key| Unit::Endpoint(Arc::clone(&key.name))));
            units.extend(hosts.map(|host| Unit::Endpoint(endpoint_ingress_name(host).into())));
        }
        let names = self.subjects.iter();
        let names = names.filter(|(_, it)| it.ingress.is_some() || it.service.is_some());
        let names = names.map(|(key, _)| key);
        units.extend(names.clone().cloned().map(Unit::Ingress));
        if self.settings.reports() {
            units.extend(names.cloned().map(Unit::ProtectedService));
        }
        units
    }
}

/// The providers that a spec names; the empty name for whichever is the default.
fn names_of_providers(spec: &ProtectedServiceSpec) -> impl Iterator<Item = &str> {
    let unnamed = spec.identity_providers.is_empty().then_some("");
    let named = spec.identity_providers.iter();
    named.map(String::as_str).chain(unnamed)
}

#[cfg(test)]
impl World {
    /// The changes that make this world of an empty one.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        let subjects: BTreeMap<_, _> = self.subjects.iter().collect();
        for (key, subject) in subjects {
            let (ingress, service) = (subject.ingress.clone(), subject.service.clone());
            changes.extend(service.map(|it| Change::ProtectedService(key.clone(), Some(it))));
            changes.extend(ingress.map(|it| Change::Ingress(key.clone(), Some(it))));
        }
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
