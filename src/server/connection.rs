//! A connection: its place among those that the listener puts up with, and what may take it over once it no longer
//! speaks HTTP.

use std::{fmt, net::SocketAddr, sync::Arc};

use http::{Request, header::UPGRADE};
use hyper::{body::Incoming, service::Service};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Peer;

/// The connection that a request came on; in the extensions of every request that asks for an upgrade.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    peer: SocketAddr,
    /// Free again once nothing knows of the connection any more.
    _place: OwnedSemaphorePermit,
    connections: TaskTracker,
    stop: CancellationToken,
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
        connections: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            peer,
            _place: place,
            connections,
            stop,
        }))
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Waits until the listener stops.
    pub(super) async fn stopped(&self) {
        self.0.stop.cancelled().await;
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

// === impl OnConnection ===

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for OnConnection<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request
            .extensions_mut()
            .insert(Peer(self.connection.peer()));
        // Checks ask for none, and are not made to pay for it.
        if request.headers().contains_key(UPGRADE) {
            let connection = self.connection.clone();
            request.extensions_mut().insert(connection);
        }
        self.service.call(request)
    }
}
