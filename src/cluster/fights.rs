//! Fights over annotations: somebody takes ours off an Ingress again and again, and they are put back each time. The
//! status says so from the third time on, until nobody has done it for a while; so it is written twice a fight,
//! however long that lasts.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::resource::Key;

/// Every Ingress that lost annotations of ours lately.
#[derive(Debug, Default)]
pub(super) struct Fights(HashMap<Key, Losses>);

#[derive(Debug)]
struct Losses {
    count: u32,
    last: Instant,
}

/// Once is a slip, twice are two people.
const FIGHT: u32 = 3;
/// Longer than tools that put a cluster back to what is in a repository take from one look to the next.
const QUIET: Duration = Duration::from_secs(15 * 60);

// === impl Fights ===

impl Fights {
    /// Annotations of ours were taken off this Ingress.
    pub(super) fn lost(&mut self, ingress: &Key, now: Instant) {
        let losses = self.0.entry(ingress.clone()).or_insert(Losses {
            count: 0,
            last: now,
        });
        losses.count = losses.count.saturating_add(1);
        losses.last = now;
    }

    /// Whether somebody fights for it.
    pub(super) fn is_fought_for(&self, ingress: &Key) -> bool {
        let losses = self.0.get(ingress);
        losses.is_some_and(|losses| losses.count >= FIGHT)
    }

    /// Forgets an Ingress that is gone.
    pub(super) fn forget(&mut self, ingress: &Key) {
        self.0.remove(ingress);
    }

    /// Forgets whatever has come to rest; the fights among it.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Key> {
        let rested = self
            .0
            .extract_if(|_, losses| now.duration_since(losses.last) >= QUIET);
        let fights = rested.filter(|(_, losses)| losses.count >= FIGHT);
        fights.map(|(ingress, _)| ingress).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_is_the_third_loss_and_ends_when_nothing_is_lost_for_a_while() {
        let (wiki, other) = (Key::new("docs", "wiki"), Key::new("docs", "other"));
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_secs(minutes * 60);
        let mut fights = Fights::default();
        for minutes in [0, 10] {
            fights.lost(&wiki, after(minutes));
            assert!(!fights.is_fought_for(&wiki));
        }
        fights.lost(&wiki, after(20));
        fights.lost(&other, after(20));
        assert!(fights.is_fought_for(&wiki) && !fights.is_fought_for(&other));
        assert!(fights.ended(after(34)).is_empty() && fights.is_fought_for(&wiki));
        assert_eq!(fights.ended(after(35)), std::slice::from_ref(&wiki));
        assert!(!fights.is_fought_for(&wiki) && fights.0.is_empty());
    }

    #[test]
    fn losses_that_lie_far_apart_are_no_fight() {
        let wiki = Key::new("docs", "wiki");
        let start = Instant::now();
        let mut fights = Fights::default();
        for day in 0..5 {
            let now = start + Duration::from_secs(day * 86400);
            assert!(fights.ended(now).is_empty());
            fights.lost(&wiki, now);
        }
        assert!(!fights.is_fought_for(&wiki));
    }
}
