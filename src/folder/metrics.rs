//! What is counted of the folder. The names are those of the controller where it counts the same.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{finding::Severity, status::Current};
use crate::{policy::Moment, resource::HostStatus};

/// The folder's metrics; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    protected_hosts: Family<HostState, Gauge>,
    findings: Family<Found, Gauge>,
    last_read: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HostState {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Found {
    severity: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Names them in a registry whose prefix is `vestibule`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "protected_hosts",
            "Hosts that are to be protected, by state",
            metrics.protected_hosts.clone(),
        );
        registry.register(
            "manifest_findings",
            "What is wrong with the manifests, or likely so, by severity",
            metrics.findings.clone(),
        );
        registry.register(
            "manifests_last_read_timestamp_seconds",
            "When the manifests were looked at last",
            metrics.last_read.clone(),
        );
        metrics
    }

    pub(super) fn looked(&self, now: Moment) {
        self.last_read.set(now.0);
    }

    pub(super) fn show(&self, current: &Current) {
        for state in HostStatus::STATES {
            let hosts = current.hosts_that(|host| host.state_label() == state);
            self.protected_hosts
                .get_or_create(&HostState { state })
                .set(i64::try_from(hosts).unwrap_or(i64::MAX));
        }
        for severity in [Severity::Error, Severity::Warning] {
            let found = current.findings().iter();
            let found = found.filter(|finding| finding.severity == severity).count();
            self.findings
                .get_or_create(&Found {
                    severity: severity.as_str(),
                })
                .set(i64::try_from(found).unwrap_or(i64::MAX));
        }
    }
}
