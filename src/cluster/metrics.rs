//! What the controller counts. Labels come from closed sets, never from a name in the cluster.

use std::{collections::HashMap, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    resolve::Plan,
    resource::{HostStatus, Key},
};

/// The cluster half's metrics; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Writes by kind and result.
    pub reconcile: Family<Written, Counter>,
    /// Protected hosts by state.
    pub protected_hosts: Family<HostState, Gauge>,
    /// Annotations that were taken or changed by others and put back.
    pub annotation_drift: Counter,
    /// 1 while this replica writes.
    pub leader: Gauge,
    /// Watches that broke and were taken up again, by kind.
    pub watch_failures: Family<OfKind, Counter>,
    /// Changes that reached the World.
    pub changes: Counter<u64, AtomicU64>,
    /// 1 when the session keys are there and readable.
    pub session_keys: Gauge,
}

/// Labels of a write.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Written {
    /// What was written.
    pub kind: Kind,
    /// How it went.
    pub result: Outcome,
}

/// How many hosts each ProtectedService adds to each state.
#[derive(Debug, Default)]
pub struct HostCounts(HashMap<Key, Vec<&'static str>>);

/// A kind alone.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfKind {
    /// What is watched.
    pub kind: Kind,
}

/// Label of a protected host.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct HostState {
    /// As in the status of its ProtectedService.
    pub state: &'static str,
}

/// What is watched or written.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum Kind {
    /// An Ingress, or the three annotations of one.
    Ingress,
    /// An endpoint Ingress.
    EndpointIngress,
    /// A ProtectedService.
    ProtectedService,
    /// The status of a ProtectedService.
    ProtectedServiceStatus,
    /// An IdentityProvider.
    IdentityProvider,
    /// The status of an IdentityProvider.
    IdentityProviderStatus,
    /// An IngressClass.
    IngressClass,
    /// A Namespace.
    Namespace,
    /// A Secret of our own namespace.
    Secret,
}

/// How a write went.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum Outcome {
    /// It stands.
    Success,
    /// Another field manager owns what we would write.
    Conflict,
    /// Admission or validation refused it.
    Refused,
    /// It could not be tried; it will be again.
    Error,
}

// === impl Metrics ===

impl Metrics {
    /// Names those of a process that only watches, in a registry whose prefix is `vestibule`.
    pub fn register_watches(&self, registry: &mut Registry) {
        registry.register(
            "watch_failures",
            "Watches that broke and were taken up again, by kind",
            self.watch_failures.clone(),
        );
        registry.register(
            "changes",
            "Changes of watched objects that could matter",
            self.changes.clone(),
        );
    }

    /// Names all of them in a registry whose prefix is `vestibule`.
    pub fn register(&self, registry: &mut Registry) {
        self.register_watches(registry);
        registry.register(
            "reconcile",
            "Writes to the cluster by kind and result",
            self.reconcile.clone(),
        );
        registry.register(
            "protected_hosts",
            "Hosts that are to be protected, by state",
            self.protected_hosts.clone(),
        );
        registry.register(
            "annotation_drift",
            "Annotations of ours that somebody else changed and that were put back",
            self.annotation_drift.clone(),
        );
        registry.register(
            "leader",
            "Whether this replica holds the Lease and writes",
            self.leader.clone(),
        );
        registry.register(
            "session_keys",
            "Whether the session keys are there and readable",
            self.session_keys.clone(),
        );
    }

    /// Counts a write.
    pub fn wrote(&self, kind: Kind, result: Outcome) {
        self.reconcile
            .get_or_create(&Written { kind, result })
            .inc();
    }
}

// === impl HostCounts ===

impl HostCounts {
    /// Counts the hosts in the report among these plans instead of what was counted for the service before.
    pub fn count(&mut self, key: &Key, plans: &[Plan], metrics: &Metrics) {
        let add = |state: &'static str, change: i64| {
            metrics
                .protected_hosts
                .get_or_create(&HostState { state })
                .inc_by(change);
        };
        for state in self.0.remove(key).unwrap_or_default() {
            add(state, -1);
        }
        let reports = plans.iter().filter_map(|plan| match plan {
            Plan::ServiceStatus { report, .. } => Some(report),
            _ => None,
        });
        let states: Vec<_> = reports
            .flat_map(|report| &report.hosts)
            .map(HostStatus::state_label)
            .collect();
        for state in &states {
            add(state, 1);
        }
        if !states.is_empty() {
            self.0.insert(key.clone(), states);
        }
    }
}
