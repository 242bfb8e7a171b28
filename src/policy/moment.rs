//! Points in time, as whole seconds since 1970-01-01T00:00:00Z. The core holds no clock: whoever
//! asks says what time it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment(pub u64);

/// How far the clocks of replicas may be apart. What was made later than that was made by a clock that nobody can rely on
/// to end it.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

// === impl Moment ===

impl Moment {
    /// This moment plus a span; saturates at the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Whether it lies in the future, by more than clocks differ.
    #[must_use]
    pub fn is_to_come(self, now: Self) -> bool {
        self > now.after(CLOCKS_DIFFER)
    }

    /// Whether it was no longer ago than this, and is not to come.
    #[must_use]
    pub fn was_within(self, span: Duration, now: Self) -> bool {
        !self.is_to_come(now) && now.since(self) <= span
    }
}
