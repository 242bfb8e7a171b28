//! Metrics of the endpoint. Labels come from the Table or from closed lists, never from a request.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Handles to the counters; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) checks: Checks,
    sign_ins: Family<SignInLabels, Counter>,
    pub(super) sign_outs: Counter,
}

/// Checks by outcome; each handle is held, so that the hot path looks nothing up.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    pub(super) allowed: Counter,
    pub(super) public: Counter,
    pub(super) sign_in: Counter,
    pub(super) denied: Counter,
    pub(super) closed: Counter,
    pub(super) endpoint_not_routed: Counter,
    pub(super) malformed: Counter,
    pub(super) unknown_service: Counter,
    pub(super) disguised_header: Counter,
    pub(super) identity_header: Counter,
    pub(super) http2_upgrade: Counter,
    pub(super) path_not_told: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInLabels {
    provider: String,
    result: SignInResult,
}

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum SignInResult {
    /// With a session.
    Success,
    /// The provider said no, or the person did.
    ProviderRefused,
    /// The provider did not answer.
    ProviderUnavailable,
    /// The answer did not verify.
    Untrusted,
    /// The provider was changed meanwhile.
    Outdated,
    /// The browser had no attempt for the answer.
    UnknownAttempt,
}

// === impl Metrics ===

impl Metrics {
    /// Registers every metric of the endpoint.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let checks = Family::<CheckLabels, Counter>::default();
        // A family makes its own counters; handing out clones keeps the handles and the family in step.
        let handle = |outcome| checks.get_or_create_owned(&CheckLabels { outcome });
        let metrics = Self {
            checks: Checks {
                allowed: handle("allowed"),
                public: handle("public"),
                sign_in: handle("sign_in"),
                denied: handle("denied"),
                closed: handle("closed"),
                endpoint_not_routed: handle("endpoint_not_routed"),
                malformed: handle("malformed"),
                unknown_service: handle("unknown_service"),
                disguised_header: handle("disguised_header"),
                identity_header: handle("identity_header"),
                http2_upgrade: handle("http2_upgrade"),
                path_not_told: handle("path_not_told"),
            },
            ..metrics
        };
        registry.register("checks", "Requests judged, by outcome", checks);
        registry.register(
            "sign_ins",
            "Sign-ins that came back, by provider and result",
            metrics.sign_ins.clone(),
        );
        registry.register(
            "sign_outs",
            "People who signed out",
            metrics.sign_outs.clone(),
        );
        metrics
    }

    pub(super) fn sign_in(&self, provider: &str, result: SignInResult) {
        self.sign_ins
            .get_or_create(&SignInLabels {
                provider: provider.to_owned(),
                result,
            })
            .inc();
    }
}
