//! What one identity provider may take of this process: time for an answer, and requests at once.
//!
//! Anybody can begin sign-ins and come back with made-up codes, and each of those is a request to the provider. They
//! are bounded, so that neither the provider nor this process is flooded through the other. Discovery and keys are
//! not: there is one fetch at a time of each.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{clock::Clock, notices::Notices};

/// The limits of every provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may take, from the connection to the last octet; half of it until there is a connection, and
    /// half of it until a request's turn comes.
    pub timeout: Duration,
    /// How many requests for people are under way at once.
    pub at_once: usize,
}

/// The turns of one provider.
#[derive(Debug)]
pub(super) struct Turns {
    limits: Limits,
    free: Semaphore,
    notices: Notices,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            at_once: 64,
        }
    }
}

// === impl Turns ===

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            free: Semaphore::new(limits.at_once),
            notices: Notices::default(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits for a turn; `None` if none came in time.
    pub(super) async fn take(&self, provider: &Arc<str>) -> Option<SemaphorePermit<'_>> {
        let waiting = timeout(self.limits.timeout / 2, self.free.acquire());
        let turn = waiting.await.ok().and_then(Result::ok);
        if turn.is_none()
            && self
                .notices
                .are_due(provider, "no turn", Clock::System.now())
        {
            tracing::warn!(
                provider = &**provider,
                at_once = self.limits.at_once,
                "as many sign-ins are put to the identity provider as may be at once (--provider-max-requests), and more \
                 wait than get a turn in time: those are told to try again. If it is not a flood, see why the provider is \
                 slow, or raise the limit"
            );
        }
        turn
    }
}
