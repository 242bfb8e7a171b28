//! Changes to the world: what each touches directly, and from there to the units that must be worked out anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use super::{Change, World, Write};
use crate::{
    policy::{Host, HostPattern},
    resolve::{IdentityProvider, Ingress, ProtectedService, covering, few::Few, namesakes},
    resource::{Key, endpoint_ingress_name},
};

impl World {
    /// Takes a change in. An object that is as it was touches nothing.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Ingress(key, new) => self.apply_ingress(key, new),
            Change::ProtectedService(key, new) => self.apply_service(key, new),
            Change::IdentityProvider(name, new) => self.apply_provider(name, new),
            Change::Secret(name, new) => {
                if replace(&mut self.secrets, name.clone(), new) {
                    let users = self.index.secret_users.get(&name);
                    let users = users.into_iter().flatten();
                    self.touched.providers.extend(users.cloned());
                }
            }
            Change::Namespace(name, new) => {
                if replace(&mut self.namespaces, name.clone(), new) {
                    self.touched.namespaces.insert(name);
                }
            }
            Change::IngressClass(name, new) => {
                if replace(&mut self.classes, name.clone(), new) {
                    let users = self.index.class_users.get(&name);
                    let users = users.into_iter().flatten();
                    self.touched.subjects.extend(users.cloned());
                }
            }
            Change::Refused(write, refusal) => {
                if self.refusals.get(&write) == refusal.as_ref() {
                    return;
                }
                match refusal {
                    Some(refusal) => self.refusals.insert(write.clone(), refusal),
                    None => self.refusals.remove(&write),
                };
                match write {
                    Write::Annotations(key) | Write::Derived(key) => {
                        self.touched.subjects.insert(key);
                    }
                    Write::Endpoint(name) => self.touch_endpoint(&name),
                }
            }
        }
    }

    fn apply_ingress(&mut self, key: Key, new: Option<Arc<Ingress>>) {
        let key = self.as_known(key);
        let mut new = new.filter(|new| self.keeps_ingress(new));
        let names = new.as_ref().map(|new| namesakes::kept(self, &key, new));
        let (names_before, names) = (self.names_of(&key), names.unwrap_or_default());
        if let Some(new) = new.as_mut().and_then(Arc::get_mut) {
            self.spare_ingress(&key, new);
        }
        let old = self.subjects.get(&key);
        let old = old.and_then(|subject| subject.ingress.clone());
        if old == new && names_before == names {
            return;
        }
        if new.is_none() {
            self.refusals.remove(&Write::Annotations(key.clone()));
            self.refusals.remove(&Write::Derived(key.clone()));
        }
        if self.settings.controller().is_some() {
            let class = |ingress: &Option<Arc<Ingress>>| {
                Some(Arc::<str>::from(ingress.as_ref()?.class.name()?))
            };
            if let Some(class) = class(&old) {
                unuse(&mut self.index.class_users, &class, &key);
            }
            if let Some(class) = class(&new) {
                let users = self.index.class_users.entry(class).or_default();
                users.insert(key.clone());
            }
        }
        let endpoints = [&old, &new].into_iter().flatten();
        let endpoints: Vec<_> = endpoints
            .filter(|ingress| ingress.is_endpoint)
            .cloned()
            .collect();
        if !endpoints.is_empty() {
            self.touch_endpoint(&key.name);
        }
        // It tells replicas too which sessions of its host count.
        let hosts = endpoints.iter().flat_map(|ingress| &ingress.rules);
        let hosts = hosts.filter_map(|rule| rule.host.as_ref().ok().cloned());
        self.touched.hosts.extend(hosts);
        let before = self.links(&key);
        self.touched.hosts.extend(self.reached_by(&key));
        let is_broad = new
            .as_ref()
            .is_some_and(|new| !new.is_endpoint && covering::is_broad(new));
        if is_broad {
            self.index.broad.insert(key.clone());
        } else {
            self.index.broad.remove(&key);
        }
        self.rename(&key, &names_before, &names);
        self.subjects.entry(key.clone()).or_default().ingress = new;
        self.touched.hosts.extend(self.reached_by(&key));
        self.relink(key, before);
    }

    fn apply_service(&mut self, key: Key, new: Option<Arc<ProtectedService>>) {
        let key = self.as_known(key);
        let mut new = new.filter(|new| self.keeps_service(new));
        if let Some(new) = new.as_mut().and_then(Arc::get_mut) {
            self.spare_service(&key, new);
        }
        let old = self.subjects.get(&key);
        if old.and_then(|subject| subject.service.as_ref()) == new.as_ref() {
            return;
        }
        let before = self.links(&key);
        self.subjects.entry(key.clone()).or_default().service = new;
        self.relink(key, before);
    }

    fn apply_provider(&mut self, name: Arc<str>, new: Option<Arc<IdentityProvider>>) {
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
        self.touched.defaults |= changed || is_default;
        // In a folder those who name one that is not there are told which there are.
        self.touched.missing |= old.is_some() != new.is_some() && self.settings.is_folder();
        match new {
            Some(new) => self.providers.insert(name.clone(), new),
            None => self.providers.remove(&name),
        };
        self.touched.providers.insert(name);
    }

    fn touch_endpoint(&mut self, name: &Arc<str>) {
        let host = self.index.endpoints.get(name).cloned();
        self.touched.hosts.extend(host);
        self.touched.endpoints.insert(Arc::clone(name));
    }

    /// What the indexes say because of a name, as Ingress and as ProtectedService.
    fn links(&self, key: &Key) -> Links {
        Links {
            hosts: self.hosts_of(key),
            targets: self.targets_of(key),
            is_unclear: self.is_unclear(key),
        }
    }

    /// Brings the indexes up to date after a name has come to mean something else than `before`.
    fn relink(&mut self, key: Key, before: Links) {
        let after = self.links(&key);
        for host in lost(&before.hosts, &after.hosts) {
            // The entry goes when its facts have been worked out anew: others may have to be told.
            if let Some(served) = self.index.hosts.get_mut(host) {
                served.by.remove(&key);
            }
        }
        for host in lost(&after.hosts, &before.hosts) {
            if self.settings.controller().is_some() {
                let name = endpoint_ingress_name(host).into();
                self.index.endpoints.insert(name, host.clone());
            }
            put_below(
                &mut self.index.below,
                host,
                !self.settings.data_planes.is_empty(),
            );
            let served = self.index.hosts.entry(host.clone()).or_default();
            served.by.insert(key.clone());
        }
        for target in lost(&before.targets, &after.targets) {
            if let Some(subject) = self.subjects.get_mut(target) {
                subject.targeted_by.remove(&key);
            }
            self.forget_if_void(target);
        }
        for target in lost(&after.targets, &before.targets) {
            let subject = self.subjects.entry(target.clone()).or_default();
            subject.targeted_by.insert(key.clone());
        }
        if before.is_unclear || after.is_unclear {
            let unclear = &mut self.index.unclear;
            if after.is_unclear {
                let inside = unclear.entry(Arc::clone(&key.namespace)).or_default();
                inside.insert(key.clone());
            } else if let Some(inside) = unclear.get_mut(&key.namespace) {
                inside.remove(&key);
            }
            self.touched.namespaces.insert(Arc::clone(&key.namespace));
        }
        self.forget_if_void(&key);
        let hosts = before.hosts.into_iter().chain(after.hosts);
        self.touched.hosts.extend(hosts);
        let targets = before.targets.into_iter().chain(after.targets);
        self.touched.subjects.extend(targets);
        self.touched.subjects.insert(key);
    }

    /// Hosts that an Ingress does not name and might be sent requests for.
    pub(super) fn reached_by(&self, key: &Key) -> BTreeSet<HostPattern> {
        if self.settings.data_planes.is_empty() {
            return BTreeSet::new();
        }
        if self.index.broad.contains(key) {
            return self.index.hosts.keys().cloned().collect();
        }
        let ingress = self.ingress(key).into_iter();
        let mut reached = self.namesakes_hosts(key);
        let wildcards = ingress
            .flat_map(|ingress| &ingress.rules)
            .filter_map(|rule| match &rule.host {
                Ok(HostPattern::Wildcard(suffix)) => self.index.below.get(suffix),
                Ok(HostPattern::Exact(_)) | Err(_) => None,
            });
        reached.extend(wildcards.flatten().cloned());
        reached
    }

    /// Notes what Traefik calls an Ingress now, so that whoever has one of these names is found at once, however many
    /// Ingresses there are.
    fn rename(&mut self, key: &Key, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let named = &mut self.index.named;
        for name in before.difference(after) {
            if let Some(keys) = named.get_mut(name) {
                keys.remove(key);
                if keys.is_empty() {
                    named.remove(name);
                }
            }
        }
        if self.settings.controller().is_none() {
            match after.is_empty() {
                true => self.index.names.remove(key),
                false => self.index.names.insert(key.clone(), after.clone()),
            };
        }
        let named = &mut self.index.named;
        for name in after.difference(before) {
            named.entry(name.clone()).or_default().insert(key.clone());
        }
    }

    /// The hosts of Ingresses that Traefik takes this one for.
    fn namesakes_hosts(&self, key: &Key) -> BTreeSet<HostPattern> {
        let namesakes = namesakes::of(self, key).into_iter();
        let ingresses = namesakes.filter_map(|namesake| self.ingress(namesake));
        let rules = ingresses.flat_map(|ingress| &ingress.rules);
        let hosts = rules.filter_map(|rule| rule.host.as_ref().ok());
        hosts.cloned().collect()
    }

    fn forget_if_void(&mut self, key: &Key) {
        let is_void = self.subjects.get(key).is_some_and(|subject| {
            subject.ingress.is_none() && subject.service.is_none() && subject.targeted_by.is_empty()
        });
        if is_void {
            self.subjects.remove(key);
        }
    }

    /// The Ingresses that the explicit ProtectedService of this name is for.
    pub(in crate::resolve) fn targets_of(&self, key: &Key) -> Few<Key> {
        let Some(service) = self
            .service(key)
            .filter(|service| service.derived_from.is_none())
        else {
            return Few::default();
        };
        let target = |name: Arc<str>| Key {
            namespace: Arc::clone(&key.namespace),
            name,
        };
        let targets = service.targets.iter().flatten().cloned();
        targets.map(target).collect()
    }

    fn is_unclear(&self, key: &Key) -> bool {
        let service = self.service(key);
        service.is_some_and(|service| service.derived_from.is_none() && service.targets.is_none())
    }
}

/// Notes that there is such a host, if it is worth noting.
fn put_below(
    below: &mut BTreeMap<Host, BTreeSet<HostPattern>>,
    host: &HostPattern,
    is_worth_it: bool,
) {
    if let HostPattern::Exact(name) = host
        && is_worth_it
        && let Some(above) = name.parent().and_then(Host::parse)
    {
        below.entry(above).or_default().insert(host.clone());
    }
}

/// What follows from one name for the indexes.
#[derive(Debug)]
struct Links {
    hosts: Few<HostPattern>,
    targets: Few<Key>,
    is_unclear: bool,
}

/// What was in the one and is not in the other.
fn lost<'l, T: Ord>(before: &'l [T], after: &'l [T]) -> impl Iterator<Item = &'l T> {
    before.iter().filter(|it| after.binary_search(it).is_err())
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

fn unuse<K: Eq + Hash>(index: &mut HashMap<K, HashSet<Key>>, by: &K, key: &Key) {
    if let Some(users) = index.get_mut(by) {
        users.remove(key);
        if users.is_empty() {
            index.remove(by);
        }
    }
}
