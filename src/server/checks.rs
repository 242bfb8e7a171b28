//! The check listener: a thread for each core, with a listening socket and connections of its own.
//!
//! ingress-nginx opens a connection for each check. On the runtime that everything else shares, each of them woke other
//! threads three or four times; here the thread that accepts it answers it. And a flood of the public listener or a
//! Table that is being built has no turn before a check.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    thread,
};

use hyper::service::service_fn;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Connection, HttpService, Limits, Listener, ListenerMetrics, cannot_listen,
    http1::{self, Answers},
    socket,
    stall::Stalling,
};

/// Bound sockets that are not served yet, one for each core, at one address.
#[derive(Debug)]
pub struct CheckListener {
    sockets: Vec<TcpListener>,
    limits: Limits,
    metrics: ListenerMetrics,
}

/// Threads, where nobody knows how many cores there are.
const UNKNOWN: NonZero<usize> = NonZero::<usize>::MIN;

// === impl CheckListener ===

impl CheckListener {
    /// Binds an address, for as many threads as this process may run at once.
    ///
    /// # Errors
    /// If it cannot be bound; the text names the address.
    pub async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        // Sockets that share an address share it with those of other processes too, and say nothing: so one that
        // shares with none goes first.
        let address = Listener::bind(address, limits).await?.address()?;
        let threads = thread::available_parallelism().unwrap_or(UNKNOWN).get();
        let bind = |_| {
            let socket = socket(address)?;
            socket.set_reuseport(true)?;
            socket.bind(address)?;
            socket.listen(super::QUEUE)?.into_std()
        };
        let sockets: io::Result<Vec<TcpListener>> = (0..threads).map(bind).collect();
        Ok(Self {
            sockets: sockets.map_err(|e| cannot_listen(address, &e))?,
            limits: Limits {
                connections: limits.connections.div_ceil(threads),
                ..limits
            },
            metrics: ListenerMetrics::default(),
        })
    }

    /// Counts its connections with these.
    #[must_use]
    pub fn counted(self, metrics: ListenerMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// The address that was bound, with the port the system chose if 0 was asked for.
    ///
    /// # Errors
    /// If the sockets are gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let first = self.sockets.first().map(TcpListener::local_addr);
        first.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    /// Serves HTTP/1.1 until `stop`, then lets requests in flight finish. The service answers with headers alone and
    /// is not told who is at the other end: checks are not made to pay for more.
    ///
    /// # Errors
    /// If a thread cannot start.
    pub async fn serve(
        self,
        service: impl HttpService + Clone,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let limits = self.limits;
        let mut ends = Vec::with_capacity(self.sockets.len());
        for (number, socket) in self.sockets.into_iter().enumerate() {
            let (service, stop) = (service.clone(), stop.clone());
            let metrics = self.metrics.clone();
            let (end, ended) = oneshot::channel();
            let serve = move || {
                let served = serve_here((socket, limits, metrics), service, stop);
                // Nobody waits any more once the process ends.
                end.send(served).ok();
            };
            thread::Builder::new()
                .name(format!("check-{number}"))
                .spawn(serve)?;
            ends.push(ended);
        }
        for ended in ends {
            ended.await.unwrap_or_else(|_| {
                Err(io::Error::other("a thread that answers checks ended early"))
            })?;
        }
        Ok(())
    }
}

/// Serves one socket on this thread.
fn serve_here(
    (socket, limits, metrics): (TcpListener, Limits, ListenerMetrics),
    service: impl HttpService + Clone,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let answer = |stream, connection: Connection| {
            let (service, asked) = (service.clone(), connection.clone());
            let service = service_fn(move |request| {
                asked.note_request();
                service.call(request)
            });
            let stream = Stalling::new(stream, limits.write_timeout);
            http1::converse(stream, connection, service, Answers::Headers, limits)
        };
        let listener = Listener {
            socket,
            limits,
            metrics,
        };
        listener.converse(stop, answer).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::*;

    const ANYWHERE: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn ask(address: SocketAddr) -> String {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let question = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        connection.write_all(question).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn every_connection_is_answered_until_the_listener_stops() {
        let listener = CheckListener::bind(ANYWHERE, Limits::default())
            .await
            .unwrap();
        let address = listener.address().unwrap();
        let stop = CancellationToken::new();
        let empty = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let served = tokio::spawn(listener.serve(empty, stop.clone()));
        // As many as meet each thread, whichever the kernel chooses.
        for _ in 0..50 {
            assert!(ask(address).await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        stop.cancel();
        served.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn whoever_asks_and_reads_no_answer_loses_the_place() {
        let limits = Limits {
            write_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let listener = CheckListener::bind(ANYWHERE, limits).await.unwrap();
        let address = listener.address().unwrap();
        let stop = CancellationToken::new();
        let empty = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let served = tokio::spawn(listener.serve(empty, stop.clone()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        let questions = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        let ended = async { while silent.write_all(&questions).await.is_ok() {} };
        timeout(Duration::from_secs(60), ended).await.unwrap();
        stop.cancel();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_address_is_not_shared_with_whoever_has_it() {
        let first = CheckListener::bind(ANYWHERE, Limits::default())
            .await
            .unwrap();
        let address = first.address().unwrap();
        let second = CheckListener::bind(address, Limits::default()).await;
        let error = second.unwrap_err().to_string();
        assert!(error.contains("Another process has it"), "{error}");
    }
}
