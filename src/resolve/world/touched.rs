//! From what changes touch to the units that must be worked out anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::World;
use crate::{
    policy::{Host, HostPattern},
    resolve::{
        Unit,
        few::Few,
        host::{self, HostFacts},
        provider,
    },
    resource::{Key, endpoint_ingress_name},
};

/// What changes touch directly.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) subjects: HashSet<Key>,
    pub(super) hosts: HashSet<HostPattern>,
    pub(super) endpoints: HashSet<Arc<str>>,
    /// Everything in them.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    /// Those who use them as well.
    pub(super) providers: BTreeSet<Arc<str>>,
    /// Which provider is the default, and so all who name none.
    pub(super) defaults: bool,
    /// Who names a provider that is not there.
    pub(super) missing: bool,
}

impl World {
    /// The units that the changes since the last call touch, in the order in which they are to be worked out. What
    /// holds for all of a host, or of a provider, is worked out here, once for many changes.
    pub fn take_touched(&mut self) -> Vec<Unit> {
        let touched = std::mem::take(&mut self.touched);
        self.spread(touched)
    }

    /// Notes which Ingresses are sent requests for a host without naming it; gives those that are or were.
    fn note_takers(&mut self, host: &HostPattern, took: BTreeSet<Key>) -> BTreeSet<Key> {
        let facts = self.host_facts(host);
        let take: BTreeSet<Key> = facts.map(HostFacts::taken_by).unwrap_or_default();
        for taker in took.difference(&take) {
            if let Some(hosts) = self.index.takes.get_mut(taker) {
                hosts.remove(host);
                if hosts.is_empty() {
                    self.index.takes.remove(taker);
                }
            }
        }
        for taker in &take {
            let hosts = self.index.takes.entry(taker.clone()).or_default();
            hosts.insert(host.clone());
        }
        took.into_iter().chain(take).collect()
    }

    /// From what was touched to the units: hosts carry a change to all who share them, if it matters to them.
    fn spread(&mut self, mut touched: Touched) -> Vec<Unit> {
        let mut units = Vec::new();
        for name in &touched.providers {
            match self.providers.get(name) {
                Some(object) => {
                    let usable = provider::judge(self, name, object);
                    self.index.usable.insert(Arc::clone(name), usable);
                }
                None => drop(self.index.usable.remove(name)),
            }
        }
        let mut subjects = self.subjects_touched(&mut touched);
        let Touched {
            providers,
            defaults,
            endpoints,
            mut hosts,
            ..
        } = touched;
        units.extend(providers.into_iter().map(Unit::Provider));
        if defaults {
            units.extend(self.index.defaults.iter().cloned().map(Unit::Provider));
        }
        units.extend(endpoints.into_iter().map(Unit::Endpoint));
        for subject in &subjects {
            hosts.extend(self.hosts_of(subject));
            hosts.extend(self.reached_by(subject));
        }
        for host in hosts {
            if self.settings.controller().is_some() {
                units.push(Unit::Endpoint(endpoint_ingress_name(&host).into()));
            }
            let facts = self.host_facts(&host);
            let took = facts.map(HostFacts::taken_by).unwrap_or_default();
            if self.work_out_facts(&host) {
                subjects.extend(self.note_takers(&host, took));
                // Nobody signs in with any provider while the auth host is shared.
                if host::is_auth_host(self, &host) {
                    units.extend(self.providers.keys().cloned().map(Unit::Provider));
                }
                subjects.extend(self.on_host(&host).iter().cloned());
            }
            units.push(Unit::Host(host));
        }
        for subject in subjects {
            if self.settings.reports() {
                let targeting = self.targeting(&subject).iter();
                units.extend(targeting.cloned().map(Unit::ProtectedService));
                units.push(Unit::ProtectedService(subject.clone()));
            }
            units.push(Unit::Ingress(subject));
        }
        units.sort_unstable();
        units.dedup();
        units
    }

    /// The names that are concerned, for whatever reason.
    fn subjects_touched(&self, touched: &mut Touched) -> HashSet<Key> {
        let mut subjects = std::mem::take(&mut touched.subjects);
        let Touched {
            namespaces,
            providers,
            defaults,
            missing,
            ..
        } = touched;
        // Such news are rare, and an index for them would take as much memory as all services have in common.
        if !namespaces.is_empty() {
            let names = self.subjects.keys();
            subjects.extend(
                names
                    .filter(|key| namespaces.contains(&key.namespace))
                    .cloned(),
            );
        }
        let by_default = *defaults
            || providers
                .iter()
                .any(|name| self.index.defaults.contains(name));
        if by_default || *missing || !providers.is_empty() {
            let is_concerned = |name: &str| match name {
                "" => by_default,
                _ => providers.contains(name) || (*missing && !self.providers.contains_key(name)),
            };
            let users = self.subjects.iter();
            let users = users.filter(|(_, it)| Self::providers_of(it).any(is_concerned));
            subjects.extend(users.map(|(key, _)| key.clone()));
        }
        // What a ProtectedService concerns, its targets are concerned by.
        let targets = subjects.iter().map(|subject| self.targets_of(subject));
        let targets: Vec<Few<Key>> = targets.filter(|targets| !targets.is_empty()).collect();
        subjects.extend(targets.into_iter().flatten());
        subjects
    }

    /// Works out what holds for everyone on a host; says whether that is something else than before.
    fn work_out_facts(&mut self, host: &HostPattern) -> bool {
        if self.on_host(host).is_empty() {
            if self.settings.controller().is_some() {
                self.index.endpoints.remove(&*endpoint_ingress_name(host));
            }
            take_below(&mut self.index.below, host);
            let served = self.index.hosts.remove(host);
            return served.is_some_and(|served| served.facts.is_some());
        }
        let facts = host::facts(self, host);
        if self.host_facts(host) == Some(&facts) {
            return false;
        }
        let mut facts = Arc::new(facts);
        self.shared.facts.share(&mut facts);
        let served = self.index.hosts.entry(host.clone()).or_default();
        served.facts = Some(facts);
        true
    }
}

/// Notes that there is no more.
fn take_below(below: &mut BTreeMap<Host, BTreeSet<HostPattern>>, host: &HostPattern) {
    if let HostPattern::Exact(name) = host
        && let Some(above) = name.parent()
        && let Some(hosts) = below.get_mut(above)
    {
        hosts.remove(host);
        if hosts.is_empty() {
            below.remove(above);
        }
    }
}
