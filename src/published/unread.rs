//! What is written somewhere and could not be read, so that nobody knows which requests it is for.

use std::{collections::BTreeSet, sync::Arc};

use super::HostEntry;
use crate::policy::{Host, HostPattern};

/// Something written that could not be read. It may name a host that a wildcard covers, or a path of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it stands and what is wrong with it.
    pub why: Arc<str>,
    /// Whether it may be for a path of any host; else it is for whole hosts.
    pub may_be_paths: bool,
    /// Hosts that it seems to name.
    pub hosts: BTreeSet<Host>,
}

// === impl Unread ===

impl Unread {
    /// Whether it may be for what this entry answers too. Then the entry decides about nothing that somebody else sends
    /// on: it may be broader than what is meant.
    #[must_use]
    pub fn may_be_for(&self, entry: &HostEntry) -> bool {
        let is_shared =
            || entry.services.len() > 1 || entry.routes.iter().any(|route| route.service.is_none());
        match &entry.pattern {
            HostPattern::Wildcard(_) => true,
            HostPattern::Exact(host) => {
                self.hosts.contains(host) || (self.may_be_paths && is_shared())
            }
        }
    }

    /// Both of them; what is wrong with the first is told.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.may_be_paths |= other.may_be_paths;
        self.hosts.extend(other.hosts);
        self
    }
}
