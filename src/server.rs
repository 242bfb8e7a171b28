//! Listeners: accept, limit, serve, drain.
//!
//! An accept loop of our own over hyper, for what `axum::serve` does not expose: header limits and
//! time-outs, a bound on connections, and a drain that lets requests in flight finish. A plain listener speaks
//! HTTP/1.1 and nothing else (`http1`); one with certificates (`tls`) speaks HTTP/2 too (`http2`), where ALPN has
//! chosen it. Checks have threads of their own (`checks`).

mod admin;
mod admin_names;
mod checks;
mod connection;
mod descriptors;
mod http1;
mod http2;
mod http_service;
mod limits;
mod metrics;
mod places;
mod redirect;
mod stall;
mod tls;
mod turns;

use std::{io::ErrorKind, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    admin::{Readiness, admin_router},
    admin_names::AdminNames,
    checks::CheckListener,
    connection::Connection,
    descriptors::connections_that_fit,
    http_service::HttpService,
    limits::Limits,
    metrics::{ListenerMetrics, Metrics},
    redirect::Redirect,
    tls::{CertificateFiles, Certificates, Fault, NoTls, Tls},
};
use self::{connection::OnConnection, http1::Answers, places::Places, stall::Stalling};

/// A bound socket that is not served yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: Limits,
    metrics: ListenerMetrics,
}

/// Who is at the other end of the connection; in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Connections that wait to be accepted.
const QUEUE: u32 = 1024;

// === impl Listener ===

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// If it cannot be bound; the text names the address.
    pub async fn bind(address: SocketAddr, limits: Limits) -> std::io::Result<Self> {
        let listen = || {
            let socket = socket(address)?;
            socket.bind(address)?;
            socket.listen(QUEUE)
        };
        let socket = listen().map_err(|e| cannot_listen(address, &e))?;
        Ok(Self {
            socket,
            limits,
            metrics: ListenerMetrics::default(),
        })
    }

    /// The address that was bound, with the port the system chose if 0 was asked for.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Counts its connections with these.
    #[must_use]
    pub fn counted(self, metrics: ListenerMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Serves HTTP/1.1 until `stop`, then lets requests in flight finish.
    pub async fn serve(self, service: impl HttpService + Clone, stop: CancellationToken) {
        let limits = self.limits;
        self.converse(stop, |stream, connection| {
            let stream = Stalling::new(stream, limits.write_timeout);
            let service = OnConnection {
                service: service.clone(),
                connection: connection.clone(),
            };
            http1::converse(stream, connection, service, Answers::Bodies, limits)
        })
        .await;
    }

    /// Serves HTTP/2 and HTTP/1.1 over TLS until `stop`, then lets requests in flight finish.
    pub async fn serve_tls(
        self,
        tls: Tls,
        service: impl HttpService + Clone + Sync,
        stop: CancellationToken,
    ) {
        let limits = self.limits;
        self.converse(stop, |stream, connection| {
            tls.clone()
                .converse(stream, connection, service.clone(), limits)
        })
        .await;
    }

    /// Accepts connections until `stop`, has each conversation in a task of its own, and waits for them.
    async fn converse<F>(
        self,
        stop: CancellationToken,
        conversation: impl Fn(TcpStream, Connection) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Places::new(self.limits.connections, self.metrics.clone()));
        let connections = TaskTracker::new();
        while let Some((stream, peer, place)) = self.next(&places, &stop).await {
            let connection = Connection::new(
                peer,
                place,
                Arc::clone(&places),
                connections.clone(),
                stop.clone(),
            );
            connections.spawn(conversation(stream, connection));
        }
        drop(self.socket);
        places.stop();
        connections.close();
        if tokio::time::timeout(self.limits.drain, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                open = connections.len(),
                "closing connections that did not finish in time"
            );
        }
    }

    async fn next(
        &self,
        places: &Places,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        stop.run_until_cancelled(async {
            loop {
                match self.socket.accept().await {
                    // It waits in hand, and those behind it in the kernel's queue.
                    Ok((stream, peer)) => return Some((stream, peer, places.take().await?)),
                    // Out of file descriptors, mostly: others give way, instead of spinning.
                    Err(e) => {
                        if places.is_time_to_say("cannot accept") {
                            tracing::warn!(
                                listener = self.metrics.name,
                                error = %e,
                                "cannot accept a connection; those between requests give way. If files ran out, raise \
                                 the limit of open files, or lower --max-connections"
                            );
                        }
                        places.make_room().await;
                    }
                }
            }
        })
        .await
        .flatten()
    }
}

/// A socket to listen with, not bound yet.
fn socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Connections inherit both. After an upgrade nothing else notices a client that vanished without a word; and small
    // answers must not wait for Nagle's algorithm.
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> std::io::Error {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => ". Another process has it: stop that one, or name another",
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            ". Ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE"
        }
        ErrorKind::AddrNotAvailable => ". It is none of this machine's addresses",
        _ => "",
    };
    let text = format!("cannot listen on {address}: {error}{advice}");
    std::io::Error::new(error.kind(), text)
}

/// Waits for the signal to stop: SIGTERM from a supervisor, SIGINT from a terminal.
async fn stop_signal() {
    let mut terminate = match tokio::signal::unix::signal(
        tokio::signal::unix::SignalKind::terminate(),
    ) {
        Ok(signal) => signal,
        Err(e) => {
            tracing::error!(error = %e, "cannot wait for SIGTERM; only an interrupt will stop this process");
            tokio::signal::ctrl_c().await.ok();
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// A token that is cancelled by the signal to stop.
#[must_use]
pub fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        cancel.cancel();
    });
    stop
}
