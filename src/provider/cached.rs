//! A document that is fetched when it is needed and kept: one fetch at a time however many wait for it, and
//! pauses after failures, so that an outage is not made worse. What was fetched before stays good while
//! nothing newer can be had.
//!
//! The fetch runs in a task of its own: a browser that goes away takes neither the answer nor the pause from those
//! who come after it.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::error::ProviderError;
use crate::{clock::Clock, policy::Moment};

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How soon after the last fetch something newer may be asked for.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// The longest pause after a failure, in seconds.
const LONGEST_PAUSE: u64 = 60;

#[derive(Debug)]
pub(super) struct Cached<T> {
    provider: Arc<str>,
    clock: Clock,
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<Arc<T>>,
    fetched_at: Moment,
    attempted_at: Moment,
    failures: u32,
    /// The last failure, and how long to wait after it.
    failure: Option<(ProviderError, Duration)>,
    flight: Option<Flight<T>>,
}

type Answer<T> = Result<Arc<T>, ProviderError>;
type Flight<T> = Shared<BoxFuture<'static, Answer<T>>>;

enum Step<T> {
    Done(Answer<T>),
    Join(Flight<T>),
    Fetch,
}

// === impl Cached ===

impl<T: Send + Sync + 'static> Cached<T> {
    pub(super) fn new(provider: Arc<str>, clock: Clock) -> Self {
        let state = State {
            value: None,
            fetched_at: Moment(0),
            attempted_at: Moment(0),
            failures: 0,
            failure: None,
            flight: None,
        };
        Self {
            provider,
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The document, fetched if there is none or it has aged.
    pub(super) async fn current<F>(&self, fetch: impl FnOnce() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, ProviderError>> + Send + 'static,
    {
        self.get(FRESH, Duration::ZERO, fetch).await
    }

    /// The document as it is now, unless it was fetched a moment ago.
    pub(super) async fn newer<F>(&self, fetch: impl FnOnce() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, ProviderError>> + Send + 'static,
    {
        self.get(Duration::ZERO, COOL_DOWN, fetch).await
    }

    async fn get<F>(
        &self,
        good_for: Duration,
        cool_down: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, ProviderError>> + Send + 'static,
    {
        let flight = {
            let mut state = lock(&self.state);
            match state.step(self.clock.now(), good_for, cool_down) {
                Step::Done(answer) => return answer,
                Step::Join(flight) => flight,
                Step::Fetch => {
                    let flight = self.depart(fetch());
                    state.flight = Some(flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    fn depart(
        &self,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Flight<T> {
        let (state, clock) = (Arc::clone(&self.state), self.clock.clone());
        let provider = Arc::clone(&self.provider);
        let task = tokio::spawn(async move {
            let fetched = fetch.await;
            lock(&state).land(fetched, clock.now())
        });
        let landed = async move {
            let stopped = || ProviderError::Unreachable {
                provider,
                reason: "the request was given up".into(),
            };
            task.await.unwrap_or_else(|_| Err(stopped()))
        };
        landed.boxed().shared()
    }
}

// === impl State ===

impl<T> State<T> {
    fn step(&self, now: Moment, good_for: Duration, cool_down: Duration) -> Step<T> {
        if let Some(value) = &self.value
            && !passed(self.fetched_at, good_for, now)
        {
            return Step::Done(Ok(Arc::clone(value)));
        }
        // A flight that ended without landing (its task was stopped) is nobody's to wait for.
        if let Some(flight) = &self.flight
            && flight.peek().is_none()
        {
            return Step::Join(flight.clone());
        }
        let pause = self
            .failure
            .as_ref()
            .map_or(cool_down, |(_, pause)| (*pause).max(cool_down));
        if passed(self.attempted_at, pause, now) {
            return Step::Fetch;
        }
        match (&self.value, &self.failure) {
            (Some(value), _) => Step::Done(Ok(Arc::clone(value))),
            (None, Some((failure, _))) => Step::Done(Err(failure.clone())),
            (None, None) => Step::Fetch,
        }
    }

    fn land(&mut self, fetched: Result<T, ProviderError>, now: Moment) -> Answer<T> {
        self.flight = None;
        self.attempted_at = now;
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                self.fetched_at = now;
                self.failures = 0;
                self.failure = None;
                self.value = Some(Arc::clone(&value));
                Ok(value)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.failure = Some((error.clone(), pause_after(self.failures, random())));
                match &self.value {
                    Some(value) => {
                        tracing::warn!(%error, "going on with what the identity provider said before");
                        Ok(Arc::clone(value))
                    }
                    None => Err(error),
                }
            }
        }
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that was set back must not freeze anything: a moment in the future has passed.
fn passed(since: Moment, span: Duration, now: Moment) -> bool {
    now < since || now.since(since) >= span
}

/// 1 s, 2 s, 4 s ... 60 s, shortened by up to a half, so that replicas do not come back in step.
fn pause_after(failures: u32, random: u16) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let full = (1 << doublings).min(LONGEST_PAUSE);
    let half = full / 2;
    Duration::from_secs(full - u64::from(random) % (half + 1))
}

fn random() -> u16 {
    let mut octets = [0; 2];
    // Without random bytes replicas come back in step, and nothing worse happens.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    u16::from_ne_bytes(octets)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn down() -> ProviderError {
        ProviderError::Unreachable {
            provider: "corp".into(),
            reason: "down".into(),
        }
    }

    #[tokio::test]
    async fn many_who_wait_share_one_fetch_although_the_first_of_them_leaves() {
        let cached = Arc::new(Cached::new("corp".into(), Clock::manual(Moment(1_000))));
        let fetches = Arc::new(AtomicU32::new(0));
        let get = || {
            let (cached, fetches) = (cached.clone(), fetches.clone());
            tokio::spawn(async move {
                let fetch = || async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok(fetches.fetch_add(1, Ordering::Relaxed))
                };
                cached.current(fetch).await
            })
        };
        let leaving = get();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let waiting: Vec<_> = (0..20).map(|_| get()).collect();
        leaving.abort();
        for one in waiting {
            assert_eq!(*one.await.unwrap().unwrap(), 0);
        }
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_was_fetched_stays_good_while_nothing_newer_can_be_had() {
        let clock = Clock::manual(Moment(1_000));
        let cached = Cached::new("corp".into(), clock.clone());
        assert_eq!(*cached.current(|| async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*cached.current(|| async { Ok(2) }).await.unwrap(), 1);
        clock.advance(FRESH);
        let failing = || async { Err(down()) };
        assert_eq!(*cached.current(failing).await.unwrap(), 1);
        assert_eq!(*cached.current(|| async { Ok(3) }).await.unwrap(), 1);
        clock.advance(Duration::from_secs(2));
        assert_eq!(*cached.current(|| async { Ok(4) }).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn something_newer_is_asked_for_once_in_a_cool_down() {
        let clock = Clock::manual(Moment(1_000));
        let cached = Cached::new("corp".into(), clock.clone());
        assert_eq!(*cached.current(|| async { Ok(1) }).await.unwrap(), 1);
        assert_eq!(*cached.newer(|| async { Ok(2) }).await.unwrap(), 1);
        clock.advance(COOL_DOWN);
        assert_eq!(*cached.newer(|| async { Ok(3) }).await.unwrap(), 3);
        assert_eq!(*cached.newer(|| async { Ok(4) }).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_fetch_that_panics_is_not_waited_for_by_those_who_come_later() {
        let cached: Cached<u32> = Cached::new("corp".into(), Clock::manual(Moment(1_000)));
        let panicking = || async { panic!("on purpose") };
        assert!(cached.current(panicking).await.is_err());
        assert_eq!(*cached.current(|| async { Ok(1) }).await.unwrap(), 1);
    }

    proptest! {
        #[test]
        fn pauses_grow_to_a_minute_and_are_never_cut_by_more_than_half(failures in 1u32.., random: u16) {
            let full = pause_after(failures, 0).as_secs();
            let pause = pause_after(failures, random).as_secs();
            prop_assert!((1..=LONGEST_PAUSE).contains(&pause));
            prop_assert!(pause <= full && pause * 2 >= full);
            prop_assert!(full >= pause_after(failures.saturating_sub(1).max(1), 0).as_secs());
        }
    }
}
