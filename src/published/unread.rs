//! What is written somewhere and could not be read, so that nobody knows which requests it is for.

use std::{collections::BTreeSet, sync::Arc};

use crate::policy::Host;

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
    /// Both of them; what is wrong with the first is told.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.may_be_paths |= other.may_be_paths;
        self.hosts.extend(other.hosts);
        self
    }
}
