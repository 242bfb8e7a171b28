//! What an administrator must read in the log although every single request shows it: said at once, and then again
//! only now and then.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::policy::Moment;

/// When what was last said. Its keys are services, hosts and providers of the Table and names of listeners. A wildcard
/// covers as many hosts as anybody can think of, so what comes after the first thousand shares a place.
#[derive(Debug, Default)]
pub struct Notices(Mutex<HashMap<(Box<str>, &'static str), Moment>>);

/// Seconds between two notices of the same.
const PAUSE: u64 = 600;
/// Things that are told apart.
const MOST: usize = 1000;

// === impl Notices ===

impl Notices {
    /// Whether it is time to say this of that; whoever asks says it.
    pub fn are_due(&self, about: &str, what: &'static str, now: Moment) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (about.into(), what);
        if said.len() >= MOST && !said.contains_key(&key) {
            key.0 = "".into();
        }
        let last = said.entry(key).or_insert(Moment(0));
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

    #[test]
    fn hosts_that_somebody_makes_up_neither_fill_the_memory_nor_the_log() {
        let notices = Notices::default();
        let due = |n: usize| notices.are_due(&format!("h{n}.example"), "rules", Moment(1000));
        let said = (0..10 * MOST).filter(|n| due(*n)).count();
        assert_eq!(said, MOST + 1);
        assert_eq!(notices.0.lock().unwrap().len(), MOST + 1);
        assert!(!due(0) && notices.are_due("h0.example", "rules", Moment(1600)));
    }
}
