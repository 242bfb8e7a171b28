//! A connection: its place among those that the listener puts up with, and what may take it over once it no longer
//! speaks HTTP.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Request, header::UPGRADE};
use hyper::{body::Incoming, service::Service};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Peer,
    metrics::ListenerMetrics,
    places::{Ending, Places},
};

/// The connection that a request came on; in the extensions of every request that asks for an upgrade.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    peer: SocketAddr,
    /// Free again once nothing knows of the connection any more.
    _place: OwnedSemaphorePermit,
    places: Arc<Places>,
    connections: TaskTracker,
    stop: CancellationToken,
    /// A request has come on it.
    was_asked: AtomicBool,
}

/// A service that is told about the connection.
#[derive(Clone)]
pub(super) struct OnConnection<S> {
    pub(super) service: S,
    pub(super) connection: Connection,
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        places: Arc<Places>,
        connections: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        places.metrics.open.inc();
        Self(Arc::new(Inner {
            peer,
            _place: place,
            places,
            connections,
            stop,
            was_asked: AtomicBool::new(false),
        }))
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Waits until it is to end.
    pub(super) async fn ending(&self) -> Ending {
        self.0.places.ending().await
    }

    /// Notes that a request has come on it.
    pub(super) fn note_request(&self) {
        self.0.was_asked.store(true, Ordering::Relaxed);
    }

    /// Whether a request has come on it.
    pub(super) fn was_asked(&self) -> bool {
        self.0.was_asked.load(Ordering::Relaxed)
    }

    pub(super) fn metrics(&self) -> &ListenerMetrics {
        &self.0.places.metrics
    }

    /// Notes that it ended otherwise than both sides meant.
    pub(super) fn ended_early(&self, error: &hyper::Error) {
        let metrics = self.metrics();
        if error.is_parse_too_large() {
            metrics.headers_too_large.inc();
            if self.0.places.is_time_to_say("headers are too large") {
                tracing::warn!(
                    listener = metrics.name,
                    "a request's headers are larger than may be (--max-header-size), and it was refused with 431. If \
                     people complain, look for cookies that services pile up, or raise the limit"
                );
            }
        } else if is_stalled(error) {
            metrics.stalled.inc();
        } else if error.is_timeout() && !self.was_asked() {
            metrics.headers_late.inc();
        }
        tracing::debug!(peer = %self.0.peer, %error, "connection ended early");
    }

    /// Runs what takes the connection over once it no longer speaks HTTP. It keeps the connection's place, and it
    /// ends when the listener stops: such a conversation has no end of its own, and everyone else would wait for it.
    pub fn hand_over(&self, task: impl Future<Output = ()> + Send + 'static) {
        let itself = self.clone();
        self.0.connections.spawn(async move {
            itself.0.stop.run_until_cancelled(task).await;
        });
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.peer).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.places.metrics.open.dec();
    }
}

/// Whether it was the socket that gave up on the client.
fn is_stalled(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

// === impl OnConnection ===

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for OnConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request
            .extensions_mut()
            .insert(Peer(self.connection.peer()));
        self.connection.note_request();
        // Checks ask for none, and are not made to pay for it.
        if request.headers().contains_key(UPGRADE) {
            let connection = self.connection.clone();
            request.extensions_mut().insert(connection);
        }
        self.service.call(request)
    }
}
