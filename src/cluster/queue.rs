//! Work by key: what is wanted last wins, one attempt at a time for each key, failures come back later.
//!
//! Nothing here knows what the work is. Keys may have to wait for others (an Ingress is annotated after its
//! hosts have their endpoint Ingress); they wait for those keys' next attempt, not for their success.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Nothing is left to do.
    Done,
    /// It could not be done now.
    Again,
}

/// Pauses between attempts for one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    /// After the first failure; doubles with each further one.
    pub first: Duration,
    /// Never longer than this.
    pub longest: Duration,
}

/// The work there is.
#[derive(Debug)]
pub(super) struct Queue<K, W> {
    pauses: Pauses,
    entries: HashMap<K, Entry<K, W>>,
    ready: VecDeque<K>,
    delayed: BTreeMap<(Instant, u64), K>,
    parked: HashMap<K, Vec<K>>,
    running: usize,
    counter: u64,
}

#[derive(Debug)]
struct Entry<K, W> {
    /// What is wanted; `None` while an attempt at the last thing wanted is under way.
    work: Option<W>,
    after: Vec<K>,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Parked,
    Delayed(Instant, u64),
    Running,
}

// === impl Pauses ===

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(300),
        }
    }
}

// === impl Queue ===

impl<K: Clone + Eq + Hash, W: Clone + PartialEq> Queue<K, W> {
    /// An empty queue.
    #[must_use]
    pub(super) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            entries: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            parked: HashMap::new(),
            running: 0,
            counter: 0,
        }
    }

    /// Wants `work` for `key`, instead of whatever was wanted before. It waits for the next attempt of those keys
    /// in `after` that have one before them. Nothing may wait for itself, however indirectly. Wanting what already failed does not shorten its pause.
    pub(super) fn want(&mut self, key: K, work: W, after: Vec<K>) {
        let Some(entry) = self.entries.get_mut(&key) else {
            let entry = Entry {
                work: Some(work),
                after,
                failures: 0,
                state: State::Ready,
            };
            self.entries.insert(key.clone(), entry);
            self.ready.push_back(key);
            return;
        };
        entry.after = after;
        let is_news = entry.work.as_ref() != Some(&work);
        entry.work = Some(work);
        if let State::Delayed(due, number) = entry.state
            && is_news
        {
            entry.failures = 0;
            entry.state = State::Ready;
            self.delayed.remove(&(due, number));
            self.ready.push_back(key);
        }
    }

    /// The same, but no attempt begins before `due` if none was to begin anyway. Whoever waits goes on waiting as long as
    /// before, also for other work.
    pub(super) fn want_later(&mut self, key: K, work: W, after: Vec<K>, due: Instant) {
        match self.entries.get_mut(&key) {
            None => {
                self.counter = self.counter.wrapping_add(1);
                let entry = Entry {
                    work: Some(work),
                    after,
                    failures: 0,
                    state: State::Delayed(due, self.counter),
                };
                self.delayed.insert((due, self.counter), key.clone());
                self.entries.insert(key, entry);
            }
            Some(entry) if matches!(entry.state, State::Delayed(..)) => {
                entry.work = Some(work);
                entry.after = after;
            }
            Some(_) => self.want(key, work, after),
        }
    }

    /// Wants nothing for `key` any more. An attempt that is under way goes on.
    pub(super) fn drop_wish(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.work = None;
        if let State::Delayed(due, number) = entry.state {
            self.delayed.remove(&(due, number));
            self.entries.remove(key);
        }
    }

    /// The next key to attempt, if fewer than `limit` attempts are under way. Whoever takes it reports
    /// back with `finished`.
    pub(super) fn start(&mut self, limit: usize, now: Instant) -> Option<(K, W)> {
        self.wake(now);
        while self.running < limit {
            let key = self.ready.pop_front()?;
            let after = self
                .entries
                .get(&key)
                .map_or(&[][..], |entry| entry.after.as_slice());
            let obstacle = after
                .iter()
                .find(|other| **other != key && self.is_due(other))
                .cloned();
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if let Some(obstacle) = obstacle {
                entry.state = State::Parked;
                self.parked.entry(obstacle).or_default().push(key);
                continue;
            }
            let Some(work) = entry.work.take() else {
                self.entries.remove(&key);
                self.unpark(&key);
                continue;
            };
            entry.state = State::Running;
            self.running = self.running.saturating_add(1);
            return Some((key, work));
        }
        None
    }

    /// The attempt at `work` for `key` has ended.
    pub(super) fn finished(&mut self, key: &K, work: W, attempt: Attempt, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if let Some(entry) = self.entries.get_mut(key) {
            match (entry.work.is_some(), attempt) {
                // Something else has been wanted meanwhile (or the same again, since the world moved on).
                (true, _) => {
                    entry.failures = 0;
                    entry.state = State::Ready;
                    self.ready.push_back(key.clone());
                }
                (false, Attempt::Done) => {
                    self.entries.remove(key);
                }
                (false, Attempt::Again) => {
                    let pause = self
                        .pauses
                        .first
                        .saturating_mul(2_u32.saturating_pow(entry.failures))
                        .min(self.pauses.longest);
                    let due = now.checked_add(pause).unwrap_or(now);
                    self.counter = self.counter.wrapping_add(1);
                    entry.failures = entry.failures.saturating_add(1);
                    entry.work = Some(work);
                    entry.state = State::Delayed(due, self.counter);
                    self.delayed.insert((due, self.counter), key.clone());
                }
            }
        }
        self.unpark(key);
    }

    /// When the next delayed key is due.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    fn is_due(&self, key: &K) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| !matches!(entry.state, State::Delayed(..)))
    }

    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = State::Ready;
                self.ready.push_back(key);
            }
        }
    }

    fn unpark(&mut self, key: &K) {
        for waiting in self.parked.remove(key).unwrap_or_default() {
            if let Some(entry) = self.entries.get_mut(&waiting)
                && entry.state == State::Parked
            {
                entry.state = State::Ready;
                self.ready.push_back(waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Names = Queue<&'static str, u32>;

    fn queue() -> Names {
        Queue::new(Pauses {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(3),
        })
    }

    #[test]
    fn what_is_wanted_later_waits_and_is_dropped_like_everything_else() {
        let now = Instant::now();
        let due = now + Duration::from_secs(5);
        let mut queue = Queue::new(Pauses::default());
        queue.want_later("a", 1, vec![], due);
        queue.want_later("b", 1, vec![], due);
        queue.want_later("a", 2, vec![], due + Duration::from_secs(5));
        assert_eq!(queue.start(9, now), None);
        assert_eq!(queue.next_due(), Some(due));
        queue.drop_wish(&"b");
        assert_eq!(queue.start(9, due), Some(("a", 2)));
        assert_eq!(queue.start(9, due), None);
        // What is news to somebody who does not wait is not put off.
        queue.want_later("c", 1, vec![], due);
        queue.want("c", 2, vec![]);
        assert_eq!(queue.start(9, now), Some(("c", 2)));
    }

    #[test]
    fn what_is_wanted_last_wins_and_one_key_runs_once_at_a_time() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.want("a", 1, vec![]);
        queue.want("a", 2, vec![]);
        assert_eq!(queue.start(9, now), Some(("a", 2)));
        queue.want("a", 3, vec![]);
        assert_eq!(queue.start(9, now), None);
        queue.finished(&"a", 2, Attempt::Again, now);
        assert_eq!(queue.start(9, now), Some(("a", 3)));
        queue.finished(&"a", 3, Attempt::Done, now);
        assert_eq!(queue.start(9, now), None);
        assert!(queue.entries.is_empty() && queue.running == 0);
    }

    #[test]
    fn failures_wait_longer_each_time_and_only_news_shortens_the_wait() {
        let (mut queue, mut now) = (queue(), Instant::now());
        queue.want("a", 1, vec![]);
        for pause in [1, 2, 3, 3] {
            assert_eq!(queue.start(9, now), Some(("a", 1)));
            queue.finished(&"a", 1, Attempt::Again, now);
            queue.want("a", 1, vec![]);
            assert_eq!(
                queue.start(9, now + Duration::from_millis(pause * 1000 - 1)),
                None
            );
            now += Duration::from_secs(pause);
            assert_eq!(queue.next_due(), Some(now));
        }
        queue.want("a", 2, vec![]);
        assert_eq!(queue.start(9, now - Duration::from_secs(1)), Some(("a", 2)));
    }

    #[test]
    fn a_key_waits_for_the_attempts_of_those_before_it_but_not_for_their_success() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.want("ingress", 1, vec!["host", "other host"]);
        queue.want("status", 1, vec!["ingress"]);
        queue.want("host", 1, vec![]);
        assert_eq!(queue.start(9, now), Some(("host", 1)));
        assert_eq!(queue.start(9, now), None);
        queue.finished(&"host", 1, Attempt::Again, now);
        assert_eq!(queue.start(9, now), Some(("ingress", 1)));
        assert_eq!(queue.start(9, now), None);
        queue.finished(&"ingress", 1, Attempt::Done, now);
        assert_eq!(queue.start(9, now), Some(("status", 1)));
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_started_and_blocks_nobody() {
        let (mut queue, now) = (queue(), Instant::now());
        queue.want("host", 1, vec![]);
        queue.want("ingress", 1, vec!["host"]);
        queue.drop_wish(&"host");
        assert_eq!(queue.start(1, now), Some(("ingress", 1)));
        assert_eq!(queue.start(1, now), None);
        queue.finished(&"ingress", 1, Attempt::Again, now);
        queue.drop_wish(&"ingress");
        assert!(queue.entries.is_empty() && queue.next_due().is_none());
    }

    #[test]
    fn no_more_attempts_run_at_once_than_allowed() {
        let (mut queue, now) = (queue(), Instant::now());
        for name in ["a", "b", "c"] {
            queue.want(name, 1, vec![]);
        }
        assert!(queue.start(2, now).is_some() && queue.start(2, now).is_some());
        assert_eq!(queue.start(2, now), None);
        queue.finished(&"a", 1, Attempt::Done, now);
        assert!(queue.start(2, now).is_some());
    }
}
