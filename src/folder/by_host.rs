//! Checks that name a host and no service, as plain nginx sends them to `/auth`: which are refused because something
//! cannot be read, and where nginx should name the service. nginx sends a request to where its block says, whatever
//! has become of the entry of that service here.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;

use crate::{
    policy::HostPattern,
    published::{Access, HostEntry, ServiceId, Table, Unread},
    resolve::Resolution,
};

/// Hosts about which no check by host is answered until something is mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedByHost {
    /// As they are written.
    pub hosts: BTreeSet<String>,
    /// Why, and what to do.
    pub message: String,
}

/// A host for which somebody else's policy would decide if this service's entry were deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ToBeNamed {
    /// As it is written.
    pub host: String,
    /// What nginx should ask for.
    pub check: String,
}

/// What is refused because of what is unread, if anything is.
pub(super) fn refused(
    resolution: &Resolution,
    unread: Option<&Arc<Unread>>,
) -> Option<RefusedByHost> {
    let unread = unread.filter(|_| is_asked_by_host(resolution))?;
    let table = resolution.table();
    let hosts: BTreeSet<String> = table
        .hosts()
        .filter(|entry| unread.may_be_for(entry) && lets_in(table, entry))
        .map(|entry| entry.pattern.to_string())
        .collect();
    let prefix = &resolution.world().settings().installation.endpoint_prefix;
    let message = format!(
        "something is written that cannot be read and may be for these hosts, so a check of nginx that names no service is refused for them until it is mended: {}. A check that names its service goes on: auth_request {prefix}/auth/NAMESPACE/NAME",
        unread.why
    );
    (!hosts.is_empty()).then_some(RefusedByHost { hosts, message })
}

/// Every host where a wildcard of another service, or another service of the same host, would answer.
pub(super) fn to_be_named(resolution: &Resolution) -> BTreeSet<ToBeNamed> {
    if !is_asked_by_host(resolution) {
        return BTreeSet::new();
    }
    let table = resolution.table();
    let prefix = &resolution.world().settings().installation.endpoint_prefix;
    let is_covered = |entry: &HostEntry| match &entry.pattern {
        HostPattern::Exact(host) => table.wildcard_over(host).is_some_and(|wildcard| {
            wildcard.services != entry.services && lets_in(table, wildcard)
        }),
        HostPattern::Wildcard(_) => false,
    };
    let to_be_named = |entry: &&Arc<HostEntry>| {
        (entry.services.len() > 1 && lets_in(table, entry)) || is_covered(entry)
    };
    let of_one = |entry: &Arc<HostEntry>| {
        let host = entry.pattern.to_string();
        let services = entry.services.iter();
        let of_service = |id: &ServiceId| ToBeNamed {
            host: host.clone(),
            check: format!("{prefix}/auth/{id}"),
        };
        services.map(of_service).collect::<Vec<_>>()
    };
    table.hosts().filter(to_be_named).flat_map(of_one).collect()
}

/// Whether a policy decides there; what is closed opens nothing.
fn lets_in(table: &Table, entry: &HostEntry) -> bool {
    let services = entry.services.iter();
    let mut services = services.filter_map(|id| table.service(id.as_str()));
    services.any(|service| matches!(service.access, Access::Open(_)))
}

fn is_asked_by_host(resolution: &Resolution) -> bool {
    let standalone = resolution.world().settings().standalone();
    standalone.is_some_and(|standalone| standalone.asked_by_host)
}
