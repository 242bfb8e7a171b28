//! The places of a listener: how many connections it serves at once, and which of them end when more people come.
//!
//! A limit alone would let whoever opens as many connections and says nothing keep everybody else out. So when
//! somebody waits and no place is free, connections that are between requests give way, the oldest first: idle ones,
//! and those whose headers or handshake are not complete. Whoever is being answered stays.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::metrics::ListenerMetrics;
use crate::{clock::Clock, notices::Notices};

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    free: Arc<Semaphore>,
    state: AtomicU8,
    told: Notify,
    pub(super) metrics: ListenerMetrics,
    notices: Notices,
}

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The listener stops.
    Stop,
    /// Somebody else waits for its place.
    GiveWay,
}

const ROOM: u8 = 0;
const CROWDED: u8 = 1;
const STOPPING: u8 = 2;

/// How soon another connection is asked to give way if the last one did not.
const PATIENCE: Duration = Duration::from_millis(10);

// === impl Places ===

impl Places {
    pub(super) fn new(limit: usize, metrics: ListenerMetrics) -> Self {
        metrics.limit(limit);
        Self {
            limit,
            free: Arc::new(Semaphore::new(limit)),
            state: AtomicU8::new(ROOM),
            told: Notify::new(),
            metrics,
            notices: Notices::default(),
        }
    }

    /// A place for a connection that has come; others give way if there is none.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(place);
        }
        self.metrics.full.inc();
        if self.is_time_to_say("no place is free") {
            tracing::warn!(
                listener = self.metrics.name,
                connections = self.limit,
                "as many connections are open as may be (--max-connections); those between requests give way to new ones. \
                 If it is not a flood, raise the limit, and that of open files with it"
            );
        }
        self.turns(ROOM, CROWDED);
        let place = loop {
            self.told.notify_one();
            let place = Arc::clone(&self.free).acquire_owned();
            if let Ok(place) = timeout(PATIENCE, place).await {
                break place.ok();
            }
        };
        self.turns(CROWDED, ROOM);
        place
    }

    /// Asks one connection to give way, for want of something else than a place.
    pub(super) async fn make_room(&self) {
        self.turns(ROOM, CROWDED);
        self.told.notify_one();
        tokio::time::sleep(PATIENCE).await;
        self.turns(CROWDED, ROOM);
    }

    /// Tells every connection that the listener stops.
    pub(super) fn stop(&self) {
        self.state.store(STOPPING, Ordering::Relaxed);
        self.told.notify_waiters();
    }

    /// Waits until the connection that asks is to end.
    pub(super) async fn ending(&self) -> Ending {
        loop {
            // Whoever waits is told of what happens from here on, so nothing falls between the look and the wait.
            let told = self.told.notified();
            if self.state.load(Ordering::Relaxed) == STOPPING {
                return Ending::Stop;
            }
            told.await;
            match self.state.load(Ordering::Relaxed) {
                STOPPING => return Ending::Stop,
                CROWDED => return Ending::GiveWay,
                // Asked when there was room again.
                _ => {}
            }
        }
    }

    /// A listener that stops does not become another.
    fn turns(&self, from: u8, to: u8) {
        let order = Ordering::Relaxed;
        self.state.compare_exchange(from, to, order, order).ok();
    }

    /// Whether something that every connection may show is to be said now.
    pub(super) fn is_time_to_say(&self, what: &'static str) -> bool {
        self.notices
            .are_due(self.metrics.name, what, Clock::System.now())
    }
}
