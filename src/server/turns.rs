//! Whose turn it is on a stream of HTTP/2. A client that opens no window takes nothing of an answer while its connection
//! is as lively as it likes, so the socket (`stall`) notices nothing: the stream, and the connection to the service
//! behind it, would stay for ever.
//!
//! hyper runs each stream in a task of its own, and asks a body for its next part once the client has taken the one
//! before. If it does not ask for so long, the task is dropped, which resets the stream and lets go of the service. A
//! feed on which the service is silent is no such case: hyper has asked, and waits.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    static TURN: Turn;
}

/// Whose turn it is; shared between a stream's task and the body inside.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_the_clients: AtomicBool,
    /// How many parts were handed out.
    parts: AtomicU64,
}

/// Runs streams, and drops those whose client takes nothing for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watching(pub(super) Duration);

// === impl Turn ===

impl Turn {
    /// That of the stream whose task this is.
    pub(super) fn of_this_stream() -> Self {
        TURN.try_with(Self::clone).unwrap_or_default()
    }

    /// A part was handed out.
    pub(super) fn is_the_clients(&self) {
        self.0.parts.fetch_add(1, Ordering::Relaxed);
        self.0.is_the_clients.store(true, Ordering::Relaxed);
    }

    /// The service was asked, and has nothing yet.
    pub(super) fn is_the_services(&self) {
        self.0.is_the_clients.store(false, Ordering::Relaxed);
    }

    /// The part that waits for the client.
    fn awaited(&self) -> Option<u64> {
        let is_the_clients = self.0.is_the_clients.load(Ordering::Relaxed);
        is_the_clients.then(|| self.0.parts.load(Ordering::Relaxed))
    }
}

// === impl Watching ===

impl<F> Executor<F> for Watching
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Self(limit) = *self;
        tokio::spawn(async move {
            let turn = Turn::default();
            let mut stream = pin!(TURN.scope(turn.clone(), stream));
            let mut awaited = None;
            let mut patience = None;
            poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let now = turn.awaited();
                if now != awaited {
                    awaited = now;
                    patience = now.map(|_| Box::pin(sleep_until(Instant::now() + limit)));
                }
                let Some(patience) = &mut patience else {
                    return Poll::Pending;
                };
                patience.as_mut().poll(cx).map(|()| {
                    tracing::debug!("resetting a stream whose client takes nothing of its answer");
                })
            })
            .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{
        sync::oneshot,
        time::{sleep, timeout},
    };

    use super::*;

    // Long enough for a busy machine to keep the steps within it.
    const LIMIT: Duration = Duration::from_secs(1);

    /// Runs a stream that hands out a part again and again, and then asks its service.
    async fn is_dropped_within(parts: u32, then_asks: bool, span: Duration) -> bool {
        let (held, dropped) = oneshot::channel::<()>();
        Watching(LIMIT).execute(async move {
            let _held = held;
            let turn = Turn::of_this_stream();
            for part in 0..parts {
                if part > 0 {
                    sleep(LIMIT / 4).await;
                }
                turn.is_the_clients();
            }
            if then_asks {
                turn.is_the_services();
            }
            pending::<()>().await;
        });
        timeout(span, dropped).await.is_ok()
    }

    #[tokio::test]
    async fn a_stream_ends_whose_client_takes_nothing_and_no_other() {
        assert!(is_dropped_within(1, false, LIMIT * 20).await);
        // A slow one takes a part now and then.
        assert!(!is_dropped_within(8, false, LIMIT * 3 / 2).await);
        // A feed on which the service is silent, and a request that is not answered yet.
        assert!(!is_dropped_within(1, true, LIMIT * 2).await);
        assert!(!is_dropped_within(0, false, LIMIT * 2).await);
    }
}
