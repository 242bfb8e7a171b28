//! Metrics of listeners: how many connections there are, and which of them end before their time. Labels are the
//! names of listeners, and closed lists.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of all listeners of a process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    open: Family<Listener, Gauge>,
    limit: Family<Listener, Gauge>,
    full: Family<Listener, Counter>,
    ended: Family<EndedEarly, Counter>,
}

/// Handles of one listener; held, so that nothing is looked up when a connection comes.
#[derive(Clone, Debug, Default)]
pub struct ListenerMetrics {
    pub(super) name: &'static str,
    pub(super) open: Gauge,
    limit: Gauge,
    pub(super) full: Counter,
    pub(super) gave_way: Counter,
    pub(super) headers_late: Counter,
    pub(super) headers_too_large: Counter,
    pub(super) handshake_late: Counter,
    pub(super) stalled: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedEarly {
    listener: &'static str,
    reason: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the metrics known under their full names.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "connections",
            "Connections that are open",
            metrics.open.clone(),
        );
        registry.register(
            "connections_limit",
            "Connections that may be open at once",
            metrics.limit.clone(),
        );
        registry.register(
            "connections_full",
            "Connections that came when no place was free",
            metrics.full.clone(),
        );
        registry.register(
            "connections_ended_early",
            "Connections that a limit has ended",
            metrics.ended.clone(),
        );
        metrics
    }

    /// The handles of the listener of that name.
    #[must_use]
    pub fn listener(&self, name: &'static str) -> ListenerMetrics {
        let listener = Listener { listener: name };
        let ended = |reason| {
            let labels = EndedEarly {
                listener: name,
                reason,
            };
            self.ended.get_or_create_owned(&labels)
        };
        ListenerMetrics {
            name,
            open: self.open.get_or_create_owned(&listener),
            limit: self.limit.get_or_create_owned(&listener),
            full: self.full.get_or_create_owned(&listener),
            gave_way: ended("gave_way"),
            headers_late: ended("headers_late"),
            headers_too_large: ended("headers_too_large"),
            handshake_late: ended("handshake_late"),
            stalled: ended("client_stalled"),
        }
    }
}

// === impl ListenerMetrics ===

impl ListenerMetrics {
    pub(super) fn limit(&self, connections: usize) {
        // Several that share an address add up.
        self.limit
            .inc_by(i64::try_from(connections).unwrap_or(i64::MAX));
    }
}
