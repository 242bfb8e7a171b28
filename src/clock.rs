//! The one place that asks what time it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::policy::Moment;

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that tests set.
    Manual(Arc<AtomicU64>),
}

// === impl Clock ===

impl Clock {
    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub fn manual(now: Moment) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now.0)))
    }

    /// The current moment. A machine clock before 1970 reads as 1970, where every session has ended.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    pub fn now(&self) -> Moment {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                Moment(since.map_or(0, |span| span.as_secs()))
            }
            Self::Manual(seconds) => Moment(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Sets a manual clock, forth or back.
    pub fn set(&self, now: Moment) {
        if let Self::Manual(seconds) = self {
            seconds.store(now.0, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock forward; the machine's clock moves by itself.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(seconds) = self {
            seconds.fetch_add(span.as_secs(), Ordering::Relaxed);
        }
    }
}
