//! A service made of octets: it records what arrives on each connection, and answers what it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What is done on a connection when a whole request has come.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// Answer, and wait for the next request.
    Answer(&'static str),
    /// Answer, and close.
    AnswerAndClose(&'static str),
    /// Nothing, until the other side closes.
    Wait,
}

pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    connections: Arc<Mutex<Vec<Seen>>>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Clone, Default)]
struct Seen {
    requests: Vec<String>,
    /// Octets that are no whole request yet.
    rest: Vec<u8>,
    closed: bool,
}

impl Recorder {
    /// Does on each connection what `script` says for its requests in turn; the last for all that follow.
    pub(super) async fn start(script: &'static [Then]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(Seen::default());
                    log.len() - 1
                };
                tokio::spawn(converse(stream, number, Arc::clone(&log), script));
            }
        });
        Self {
            address,
            connections,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Every whole request, octet by octet, in the order of connections.
    pub(super) fn requests(&self) -> Vec<String> {
        let connections = self.connections.lock().unwrap();
        connections
            .iter()
            .flat_map(|seen| seen.requests.clone())
            .collect()
    }

    /// The same, connection by connection.
    pub(super) fn by_connection(&self) -> Vec<Vec<String>> {
        let connections = self.connections.lock().unwrap();
        connections
            .iter()
            .map(|seen| seen.requests.clone())
            .collect()
    }

    /// Requests that were begun and have no end, or what followed a whole one.
    pub(super) fn fragments(&self) -> Vec<String> {
        let connections = self.connections.lock().unwrap();
        connections
            .iter()
            .filter(|seen| !seen.rest.is_empty())
            .map(|seen| String::from_utf8_lossy(&seen.rest).into_owned())
            .collect()
    }

    /// Waits until something holds of all connections: how many there are, how many are closed.
    pub(super) async fn wait_for(&self, what: &str, holds: impl Fn(usize, usize) -> bool) {
        for _ in 0..1000 {
            let (all, closed) = {
                let connections = self.connections.lock().unwrap();
                let closed = connections.iter().filter(|seen| seen.closed).count();
                (connections.len(), closed)
            };
            if holds(all, closed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }
}

async fn converse(
    mut stream: TcpStream,
    number: usize,
    log: Arc<Mutex<Vec<Seen>>>,
    script: &'static [Then],
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut answered = 0;
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            log.lock().unwrap()[number].closed = true;
            return;
        }
        let whole = {
            let mut log = log.lock().unwrap();
            let seen = &mut log[number];
            seen.rest.extend_from_slice(&buffer[..read]);
            while let Some(length) = request_length(&seen.rest) {
                let request: Vec<u8> = seen.rest.drain(..length).collect();
                seen.requests
                    .push(String::from_utf8_lossy(&request).into_owned());
            }
            seen.requests.len()
        };
        while answered < whole {
            let then = script[answered.min(script.len() - 1)];
            answered += 1;
            match then {
                Then::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap_or(()),
                Then::AnswerAndClose(text) => {
                    stream.write_all(text.as_bytes()).await.ok();
                    log.lock().unwrap()[number].closed = true;
                    return;
                }
                Then::Wait => {}
            }
        }
    }
}

/// The length of the request at the start, by the one framing that the front door writes.
fn request_length(octets: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(octets);
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        let end = text[head - 2..].find("\r\n0\r\n\r\n")?;
        return Some(head - 2 + end + 7);
    }
    let length = lower
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest[..rest.find('\r').unwrap()].parse().unwrap());
    (octets.len() >= head + length).then_some(head + length)
}
