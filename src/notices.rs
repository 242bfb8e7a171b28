//! What an administrator must read in the log although every single request shows it: said at once, and then again
//! only now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::policy::Moment;

/// When what was last said. Its keys are services, hosts and providers of the Table and names of listeners, so it does
/// not grow with requests.
#[derive(Debug, Default)]
pub struct Notices(Mutex<HashMap<(Box<str>, &'static str), Moment>>);

/// Seconds between two notices of the same.
const PAUSE: u64 = 600;

// === impl Notices ===

impl Notices {
    /// Whether it is time to say this of that; whoever asks says it.
    pub fn are_due(&self, about: &str, what: &'static str, now: Moment) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = said.entry((about.into(), what)).or_insert(Moment(0));
        let due = last.0 == 0 || now.since(*last).as_secs() >= PAUSE;
        if due {
            *last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_every_ten_minutes() {
        let notices = Notices::default();
        let due = |about, what, now| notices.are_due(about, what, Moment(now));
        assert!(due("a", "rules", 1000));
        assert!(!due("a", "rules", 1599));
        assert!(due("b", "rules", 1001));
        assert!(due("a", "closed", 1002));
        assert!(due("a", "rules", 1600));
        assert!(!due("a", "rules", 1601));
    }
}
