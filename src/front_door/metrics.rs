//! Metrics of the front door: requests that got no further, by why.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Counters of the front door; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    stopped: Family<Stopped, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stopped {
    reason: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the metrics known under their full names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "front_door_stopped",
            "Requests that the front door answered itself, by why; sign-in apart",
            metrics.stopped.clone(),
        );
        metrics
    }

    pub(super) fn stopped(&self, reason: &'static str) {
        self.stopped.get_or_create(&Stopped { reason }).inc();
    }
}
