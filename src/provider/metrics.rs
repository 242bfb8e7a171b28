//! What providers are asked, how they answer and how long it takes. Labels come from the Table and from
//! here, never from a request.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Counters and times of the requests to providers.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    durations: Family<Timed, Histogram, fn() -> Histogram>,
    under_way: Family<Provider, Gauge>,
}

/// A request that is under way.
pub(super) struct UnderWay(Gauge);

/// What a provider was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Discovery,
    Keys,
    Token,
    UserInfo,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// 2xx.
    Success,
    /// 4xx, or a redirect.
    Refused,
    /// No answer, 5xx, or an answer that is too long or too large.
    Failed,
    /// Its turn did not come.
    NotSent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    provider: Arc<str>,
    operation: Operation,
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Provider {
    provider: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Timed {
    provider: Arc<str>,
    operation: Operation,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the metrics known under their full names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.005, 2.0, 12))
            }),
            under_way: Family::default(),
        };
        registry.register(
            "provider_requests",
            "Requests to identity providers",
            metrics.requests.clone(),
        );
        registry.register(
            "provider_request_duration_seconds",
            "How long identity providers take to answer",
            metrics.durations.clone(),
        );
        registry.register(
            "provider_requests_under_way",
            "Requests to identity providers that have no answer yet",
            metrics.under_way.clone(),
        );
        metrics
    }

    /// Counts a request for as long as what is returned lives.
    pub(super) fn under_way(&self, provider: &Arc<str>) -> UnderWay {
        let provider = Provider {
            provider: provider.clone(),
        };
        let gauge = self.under_way.get_or_create_owned(&provider);
        gauge.inc();
        UnderWay(gauge)
    }

    /// A request whose turn did not come.
    pub(super) fn not_sent(&self, provider: &Arc<str>, operation: Operation) {
        let request = Request {
            provider: provider.clone(),
            operation,
            result: Outcome::NotSent,
        };
        self.requests.get_or_create(&request).inc();
    }

    pub(super) fn record(
        &self,
        provider: &Arc<str>,
        operation: Operation,
        result: Outcome,
        took: Duration,
    ) {
        let request = Request {
            provider: provider.clone(),
            operation,
            result,
        };
        self.requests.get_or_create(&request).inc();
        let timed = Timed {
            provider: provider.clone(),
            operation,
        };
        self.durations
            .get_or_create(&timed)
            .observe(took.as_secs_f64());
    }
}

// === impl UnderWay ===

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl Operation ===

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Token => "token",
            Self::UserInfo => "userinfo",
        };
        name.encode(encoder)
    }
}

// === impl Outcome ===

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NotSent => "not_sent",
        };
        name.encode(encoder)
    }
}
