//! What is wrong with the protection of something.

use std::sync::Arc;

use crate::{
    policy::HostPattern,
    published::Closed,
    resource::{ConditionType, Reason},
};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The condition that does not hold.
    pub condition: ConditionType,
    /// Why.
    pub reason: Reason,
    /// What happened, to which object, what to do next.
    pub message: String,
    /// The host it is about; all hosts if none is named.
    pub host: Option<HostPattern>,
}

// === impl Failure ===

impl Failure {
    pub(super) fn accepted(reason: Reason, message: String) -> Self {
        Self {
            condition: ConditionType::Accepted,
            reason,
            message,
            host: None,
        }
    }

    pub(super) fn refs(reason: Reason, message: String) -> Self {
        Self {
            condition: ConditionType::ResolvedRefs,
            reason,
            message,
            host: None,
        }
    }

    pub(super) fn programmed(reason: Reason, message: String) -> Self {
        Self {
            condition: ConditionType::Programmed,
            reason,
            message,
            host: None,
        }
    }

    /// The same about one host only.
    pub(super) fn at(self, host: &HostPattern) -> Self {
        Self {
            host: Some(host.clone()),
            ..self
        }
    }

    /// As the reason for which nobody may enter.
    pub(super) fn closed(&self) -> Closed {
        Closed {
            reason: self.reason.as_str().into(),
            message: Arc::from(self.message.as_str()),
        }
    }

    /// Whether its owner has to do something; what is merely under way is no event.
    pub(super) fn is_problem(&self) -> bool {
        self.reason != Reason::Pending
    }
}
