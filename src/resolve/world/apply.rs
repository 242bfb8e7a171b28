//! Changes to the world: what each touches directly, and from there to the units that must be worked out anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Change, World, Write};
use crate::{
    policy::HostPattern,
    resolve::{IdentityProvider, Ingress, ProtectedService, Spec, Unit, host},
    resource::{Annotations, Key, endpoint_ingress_name},
};

impl World {
    /// Takes a change in. An object that is as it was touches nothing.
    pub fn apply(&mut self, change: Change) {
        let mut touched = std::mem::take(&mut self.touched);
        match change {
            Change::Ingress(key, new) => self.apply_ingress(key, new, &mut touched),
            Change::ProtectedService(key, new) => self.apply_service(key, new, &mut touched),
            Change::IdentityProvider(name, new) => self.apply_provider(name, new, &mut touched),
            Change::Secret(name, new) => {
                if replace(&mut self.secrets, name.clone(), new) {
                    let users = self
                        .index
                        .secret_users
                        .get(&name)
                        .cloned()
                        .unwrap_or_default();
                    for provider in users {
                        self.touch_provider(&provider, &mut touched);
                    }
                }
            }
            Change::Namespace(name, new) => {
                if replace(&mut self.namespaces, name.clone(), new) {
                    let first = Key {
                        namespace: Arc::clone(&name),
                        name: "".into(),
                    };
                    let inside = |key: &&Key| key.namespace == name;
                    let ingresses = self.ingresses.range(first.clone()..).map(|(key, _)| key);
                    touched
                        .subjects
                        .extend(ingresses.take_while(inside).cloned());
                    let services = self.services.range(first..).map(|(key, _)| key);
                    touched
                        .subjects
                        .extend(services.take_while(inside).cloned());
                }
            }
            Change::IngressClass(name, new) => {
                if replace(&mut self.classes, name.clone(), new) {
                    let users = self.index.class_users.get(&name);
                    touched
                        .subjects
                        .extend(users.into_iter().flatten().cloned());
                }
            }
            Change::Refused(write, refusal) => {
                if replace(&mut self.refusals, write.clone(), refusal) {
                    match write {
                        Write::Annotations(key) | Write::Derived(key) => {
                            touched.subjects.insert(key);
                        }
                        Write::Endpoint(name) => self.touch_endpoint(&name, &mut touched),
                    }
                }
            }
        }
        self.touched = touched;
    }

    /// The units that the changes since the last call touch. What holds for all of a host is worked out here, once
    /// for many changes.
    pub fn take_touched(&mut self) -> BTreeSet<Unit> {
        let touched = std::mem::take(&mut self.touched);
        self.spread(touched)
    }

    fn apply_ingress(&mut self, key: Key, new: Option<Arc<Ingress>>, touched: &mut Touched) {
        let old = self.ingresses.get(&key).cloned();
        if old == new {
            return;
        }
        if new.is_none() {
            self.refusals.remove(&Write::Annotations(key.clone()));
            self.refusals.remove(&Write::Derived(key.clone()));
        }
        self.unlink(&key, touched);
        if let Some(old) = &old {
            unuse(&mut self.index.class_users, old.class.name(), &key);
        }
        if let Some(new) = &new
            && let Some(class) = new.class.name()
        {
            self.index
                .class_users
                .entry(class.into())
                .or_default()
                .insert(key.clone());
        }
        let is_endpoint = |ingress: &Ingress| ingress.is_endpoint;
        if old.as_deref().is_some_and(is_endpoint) || new.as_deref().is_some_and(is_endpoint) {
            self.touch_endpoint(&Arc::clone(&key.name), touched);
        }
        match new {
            Some(new) => self.ingresses.insert(key.clone(), new),
            None => self.ingresses.remove(&key),
        };
        self.link(&key, touched);
    }

    fn apply_service(
        &mut self,
        key: Key,
        new: Option<Arc<ProtectedService>>,
        touched: &mut Touched,
    ) {
        let old = self.services.get(&key).cloned();
        if old == new {
            return;
        }
        self.unlink(&key, touched);
        match new {
            Some(new) => self.services.insert(key.clone(), new),
            None => self.services.remove(&key),
        };
        self.link(&key, touched);
    }

    fn apply_provider(
        &mut self,
        name: Arc<str>,
        new: Option<Arc<IdentityProvider>>,
        touched: &mut Touched,
    ) {
        let old = self.providers.get(&name).cloned();
        if old == new {
            return;
        }
        let secret = |provider: &IdentityProvider| {
            let reference = provider.spec.read()?.client_secret_ref.as_ref()?;
            Some(Arc::<str>::from(reference.name.as_str()))
        };
        if let Some(secret) = old.as_deref().and_then(secret)
            && let Some(users) = self.index.secret_users.get_mut(&secret)
        {
            users.remove(&name);
            if users.is_empty() {
                self.index.secret_users.remove(&secret);
            }
        }
        if let Some(secret) = new.as_deref().and_then(secret) {
            self.index
                .secret_users
                .entry(secret)
                .or_default()
                .insert(name.clone());
        }
        let is_default = new
            .as_ref()
            .and_then(|new| new.spec.read())
            .is_some_and(|spec| spec.default);
        let changed = if is_default {
            self.index.defaults.insert(name.clone())
        } else {
            self.index.defaults.remove(&name)
        };
        if changed || is_default {
            touched
                .units
                .extend(self.index.defaults.iter().cloned().map(Unit::Provider));
            let users = self.index.users.get("");
            touched
                .subjects
                .extend(users.into_iter().flatten().cloned());
        }
        let comes_or_goes = old.is_some() != new.is_some();
        match new {
            Some(new) => self.providers.insert(name.clone(), new),
            None => self.providers.remove(&name),
        };
        self.touch_provider(&name, touched);
        if comes_or_goes && self.settings.is_folder() {
            self.touch_users_of_missing_providers(touched);
        }
    }

    /// In a folder they are told which providers there are.
    fn touch_users_of_missing_providers(&self, touched: &mut Touched) {
        let missing = self
            .index
            .users
            .iter()
            .filter(|(name, _)| !name.is_empty() && !self.providers.contains_key(&**name));
        touched
            .subjects
            .extend(missing.flat_map(|(_, users)| users).cloned());
    }

    fn touch_provider(&self, name: &Arc<str>, touched: &mut Touched) {
        touched.units.insert(Unit::Provider(Arc::clone(name)));
        let named = self.index.users.get(name).into_iter().flatten();
        let by_default = self
            .index
            .users
            .get("")
            .filter(|_| self.index.defaults.contains(name));
        touched
            .subjects
            .extend(named.chain(by_default.into_iter().flatten()).cloned());
    }

    fn touch_endpoint(&self, name: &Arc<str>, touched: &mut Touched) {
        touched.units.insert(Unit::Endpoint(Arc::clone(name)));
        touched
            .hosts
            .extend(self.index.endpoints.get(name).cloned());
    }

    /// Takes a name, as Ingress and as ProtectedService, out of the indexes.
    fn unlink(&mut self, key: &Key, touched: &mut Touched) {
        for host in self.hosts_of(key) {
            if let Some(keys) = self.index.hosts.get_mut(&host) {
                keys.remove(key);
                if keys.is_empty() {
                    self.index.hosts.remove(&host);
                    self.index
                        .endpoints
                        .remove(endpoint_ingress_name(&host).as_str());
                }
            }
            touched.hosts.insert(host);
        }
        for provider in self.providers_of(key) {
            unuse(&mut self.index.users, Some(&provider), key);
        }
        if self.is_unclear(key) {
            unuse(&mut self.index.unclear, Some(&key.namespace), key);
            self.touch_namespace(&key.namespace, touched);
        }
        for target in self.targets_of(key) {
            if let Some(services) = self.index.targeting.get_mut(&target) {
                services.remove(key);
                if services.is_empty() {
                    self.index.targeting.remove(&target);
                }
            }
            touched.subjects.insert(target);
        }
        touched.subjects.insert(key.clone());
    }

    fn link(&mut self, key: &Key, touched: &mut Touched) {
        for host in self.hosts_of(key) {
            self.index
                .endpoints
                .insert(endpoint_ingress_name(&host).into(), host.clone());
            self.index
                .hosts
                .entry(host.clone())
                .or_default()
                .insert(key.clone());
            touched.hosts.insert(host);
        }
        for provider in self.providers_of(key) {
            self.index
                .users
                .entry(provider)
                .or_default()
                .insert(key.clone());
        }
        if self.is_unclear(key) {
            self.index
                .unclear
                .entry(Arc::clone(&key.namespace))
                .or_default()
                .insert(key.clone());
            self.touch_namespace(&key.namespace, touched);
        }
        for target in self.targets_of(key) {
            self.index
                .targeting
                .entry(target.clone())
                .or_default()
                .insert(key.clone());
            touched.subjects.insert(target);
        }
        touched.subjects.insert(key.clone());
    }

    fn touch_namespace(&self, namespace: &Arc<str>, touched: &mut Touched) {
        let first = Key {
            namespace: Arc::clone(namespace),
            name: "".into(),
        };
        let ingresses = self.ingresses.range(first..).map(|(key, _)| key);
        touched.subjects.extend(
            ingresses
                .take_while(|key| key.namespace == *namespace)
                .cloned(),
        );
    }

    /// The Ingresses that the explicit ProtectedService of this name is for.
    pub(in crate::resolve) fn targets_of(&self, key: &Key) -> BTreeSet<Key> {
        let Some(service) = self
            .service(key)
            .filter(|service| service.derived_from.is_none())
        else {
            return BTreeSet::new();
        };
        let names: Vec<Arc<str>> = match &service.spec {
            Spec::Read(spec) => spec
                .target_refs
                .iter()
                .map(|target| target.name.as_str().into())
                .collect(),
            Spec::Unreadable { targets, .. } => targets.clone().unwrap_or_default(),
        };
        let key = |name| Key {
            namespace: Arc::clone(&key.namespace),
            name,
        };
        names.into_iter().map(key).collect()
    }

    fn is_unclear(&self, key: &Key) -> bool {
        self.service(key).is_some_and(|service| {
            service.derived_from.is_none()
                && matches!(service.spec, Spec::Unreadable { targets: None, .. })
        })
    }

    /// The providers that an Ingress names by annotation and a ProtectedService by its spec.
    fn providers_of(&self, key: &Key) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        if let Some(ingress) = self.ingress(key)
            && !ingress.ours.is_empty()
        {
            add_providers(
                &mut names,
                &Annotations::read(&ingress.ours).spec.identity_providers,
            );
        }
        if let Some(spec) = self.service(key).and_then(|service| service.spec.read()) {
            add_providers(&mut names, &spec.identity_providers);
        }
        names
    }

    /// From what was touched to the units: hosts carry a change to all who share them, if it matters to them.
    fn spread(&mut self, touched: Touched) -> BTreeSet<Unit> {
        let Touched {
            mut units,
            subjects,
            mut hosts,
        } = touched;
        let mut all = BTreeSet::new();
        for subject in subjects {
            // What a ProtectedService concerns, its targets are concerned by.
            all.extend(self.targets_of(&subject));
            all.insert(subject);
        }
        for subject in &all {
            hosts.extend(self.hosts_of(subject));
        }
        for host in hosts {
            units.insert(Unit::Endpoint(endpoint_ingress_name(&host).into()));
            let facts = self
                .index
                .hosts
                .contains_key(&host)
                .then(|| host::facts(self, &host));
            let before = match &facts {
                Some(facts) => self.index.facts.insert(host.clone(), facts.clone()),
                None => self.index.facts.remove(&host),
            };
            if before != facts {
                all.extend(self.on_host(&host).cloned());
                // Nobody signs in with any provider while the auth host is shared.
                if before.or(facts).is_some_and(|facts| facts.is_auth_host) {
                    units.extend(self.providers.keys().cloned().map(Unit::Provider));
                }
            }
            units.insert(Unit::Host(host));
        }
        for subject in all {
            units.extend(
                self.targeting(&subject)
                    .cloned()
                    .map(Unit::ProtectedService),
            );
            units.insert(Unit::ProtectedService(subject.clone()));
            units.insert(Unit::Ingress(subject));
        }
        units
    }
}

/// What changes touch directly.
#[derive(Debug, Default)]
pub(super) struct Touched {
    units: BTreeSet<Unit>,
    subjects: BTreeSet<Key>,
    hosts: BTreeSet<HostPattern>,
}

/// Puts the new value in place, or nothing; says whether that is a change.
fn replace<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, new: Option<V>) -> bool {
    if map.get(&key) == new.as_ref() {
        return false;
    }
    match new {
        Some(new) => map.insert(key, new),
        None => map.remove(&key),
    };
    true
}

fn unuse(index: &mut BTreeMap<Arc<str>, BTreeSet<Key>>, name: Option<&str>, key: &Key) {
    let Some(name) = name else { return };
    if let Some(users) = index.get_mut(name) {
        users.remove(key);
        if users.is_empty() {
            index.remove(name);
        }
    }
}

fn add_providers(names: &mut BTreeSet<Arc<str>>, listed: &[String]) {
    if listed.is_empty() {
        names.insert("".into());
    }
    names.extend(listed.iter().map(|name| name.as_str().into()));
}
