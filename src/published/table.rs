//! The Table: every service, host and provider that the endpoint serves, as one immutable value.
//!
//! Its versions share what is the same in them, so the Table after an edit costs what changed. A reader holds one
//! version for the length of a request.

use std::sync::Arc;

use super::{
    HostEntry, ProviderSettings, Service, ServiceId, Unread,
    pieces::{Named, Pieces},
};
use crate::policy::{Host, HostPattern};

/// What the endpoint serves at this moment.
#[derive(Clone, Debug, Default)]
pub struct Table {
    services: Pieces<Service>,
    exact_hosts: Pieces<HostEntry>,
    wildcard_hosts: Pieces<HostEntry>,
    providers: Pieces<ProviderSettings>,
    unread: Option<Arc<Unread>>,
}

/// One unit's worth of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// This service is served so.
    Service(Arc<Service>),
    /// This service is not served any more; a check for it is refused.
    NoService(ServiceId),
    /// This host is served so.
    Host(Arc<HostEntry>),
    /// This host is not served any more.
    NoHost(HostPattern),
    /// This provider can be used so.
    Provider(Arc<ProviderSettings>),
    /// This provider cannot be used any more.
    NoProvider(Arc<str>),
    /// In a folder: this is written and could not be read.
    Unread(Option<Arc<Unread>>),
}

// === impl Table ===

impl Table {
    /// This table with a change made.
    #[must_use]
    pub fn with(&self, change: &Published) -> Self {
        let mut next = self.clone();
        next.change(change);
        next
    }

    /// Makes a change in place: what no other version shares is not copied.
    pub fn change(&mut self, change: &Published) {
        match change {
            Published::Service(service) => self.services.insert(Arc::clone(service)),
            Published::NoService(id) => self.services.remove(id.as_str()),
            Published::Host(entry) => self.hosts_like(&entry.pattern).insert(Arc::clone(entry)),
            Published::NoHost(pattern) => self.hosts_like(pattern).remove(name_of(pattern)),
            Published::Provider(provider) => self.providers.insert(Arc::clone(provider)),
            Published::NoProvider(name) => self.providers.remove(name),
            Published::Unread(unread) => self.unread.clone_from(unread),
        }
    }

    /// Whether a change would change nothing.
    #[must_use]
    pub fn says(&self, change: &Published) -> bool {
        match change {
            Published::Service(service) => self.services.get(service.id.as_str()) == Some(service),
            Published::NoService(id) => self.services.get(id.as_str()).is_none(),
            Published::Host(entry) => self.entry(&entry.pattern) == Some(entry),
            Published::NoHost(pattern) => self.entry(pattern).is_none(),
            Published::Provider(provider) => self.providers.get(&provider.name) == Some(provider),
            Published::NoProvider(name) => self.providers.get(name).is_none(),
            Published::Unread(unread) => self.unread == *unread,
        }
    }

    fn hosts_like(&mut self, pattern: &HostPattern) -> &mut Pieces<HostEntry> {
        match pattern {
            HostPattern::Exact(_) => &mut self.exact_hosts,
            HostPattern::Wildcard(_) => &mut self.wildcard_hosts,
        }
    }

    /// The service that a check names, `NAMESPACE/INGRESS`.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Arc<Service>> {
        self.services.get(id)
    }

    /// The id of a service as it stands in the Table already, with the service or with one of its hosts.
    #[must_use]
    pub fn known_id(&self, id: &ServiceId, hosts: &[HostPattern]) -> Option<&ServiceId> {
        let of_hosts = || {
            let entries = hosts.iter().filter_map(|host| self.entry(host));
            let mut ids = entries.flat_map(|entry| &entry.services);
            ids.find(|known| *known == id)
        };
        let service = self.service(id.as_str());
        service.map(|service| &service.id).or_else(of_hosts)
    }

    fn entry(&self, pattern: &HostPattern) -> Option<&Arc<HostEntry>> {
        match pattern {
            HostPattern::Exact(host) => self.exact_hosts.get(host.as_str()),
            HostPattern::Wildcard(suffix) => self.wildcard_hosts.get(suffix.as_str()),
        }
    }

    /// What is served on a host: its own entry, else that of a wildcard that covers it.
    #[must_use]
    pub fn host(&self, host: &Host) -> Option<&Arc<HostEntry>> {
        self.exact_hosts
            .get(host.as_str())
            .or_else(|| self.wildcard_over(host))
    }

    /// The wildcard that covers a host, also where the host has an entry of its own.
    #[must_use]
    pub fn wildcard_over(&self, host: &Host) -> Option<&Arc<HostEntry>> {
        self.wildcard_hosts.get(host.parent()?)
    }

    /// What could not be read, if it may be what is asked for where this entry was found.
    #[must_use]
    pub fn doubt(&self, entry: &HostEntry) -> Option<&Arc<Unread>> {
        let unread = self.unread.as_ref();
        unread.filter(|unread| unread.may_be_for(entry))
    }

    /// A provider by name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<ProviderSettings>> {
        self.providers.get(name)
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<HostEntry>> {
        self.exact_hosts
            .values()
            .chain(self.wildcard_hosts.values())
    }

    /// All providers.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<ProviderSettings>> {
        self.providers.values()
    }
}

impl Named for Service {
    fn name(&self) -> &str {
        self.id.as_str()
    }
}

impl Named for HostEntry {
    fn name(&self) -> &str {
        name_of(&self.pattern)
    }
}

impl Named for ProviderSettings {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Exact hosts and wildcards have maps of their own.
fn name_of(pattern: &HostPattern) -> &str {
    match pattern {
        HostPattern::Exact(host) | HostPattern::Wildcard(host) => host.as_str(),
    }
}
