//! How far a certificate is from its end.

use std::time::Duration;

use crate::policy::Moment;

/// How far a certificate is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Good,
    EndsSoon,
    Ended,
}

/// When it is time to look why nobody has renewed a certificate; at most a sixth of its life, since some live for six
/// days only.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

// === impl Age ===

impl Age {
    pub(super) fn of(start: Moment, end: Moment, now: Moment) -> Self {
        let life = end.since(start);
        let left = end.since(now);
        if left.is_zero() {
            Self::Ended
        } else if left < SOON.min(life / 6) {
            Self::EndsSoon
        } else {
            Self::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_ends_soon_by_the_length_of_its_life() {
        let days = |days: u64| Moment(1_000_000 + days * 24 * 3600);
        for (life, last_good, first_soon) in [(365, 351, 352), (90, 76, 77), (6, 5, 6)] {
            let age = |day| Age::of(days(0), days(life), days(day));
            assert_eq!(age(last_good), Age::Good, "{life}");
            let hour_before = Moment(days(first_soon).0 - 3600);
            assert_eq!(
                Age::of(days(0), days(life), hour_before),
                Age::EndsSoon,
                "{life}"
            );
            assert_eq!(age(life), Age::Ended, "{life}");
        }
    }
}
