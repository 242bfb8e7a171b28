//! Requests octet by octet, as no HTTP library would send them, and a service that notes request lines as they come.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An answer as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct RawAnswer {
    /// The status; 0 if the connection was closed without one.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What came behind them, framing and further answers included.
    pub rest: String,
}

/// Sends these octets and reads until the other side closes, or says nothing for a while.
pub async fn send(address: SocketAddr, octets: &[u8]) -> Result<RawAnswer> {
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    // Whoever refuses early may close before all is written.
    drop(stream.write_all(octets).await);
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut chunk)).await;
        match read {
            Ok(Ok(count)) if count > 0 => {
                answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
            }
            _ => break,
        }
    }
    Ok(RawAnswer::read(&answer))
}

/// A GET of this target, which may hold any octets, on a connection of its own.
pub async fn get(
    address: SocketAddr,
    host: &str,
    target: &[u8],
    lines: &[&str],
) -> Result<RawAnswer> {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(target);
    request.extend_from_slice(
        format!(" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n").as_bytes(),
    );
    for line in lines {
        request.extend_from_slice(line.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    send(address, &request).await
}

/// A service that answers 200 to everything and remembers the targets, octet by octet.
#[derive(Debug)]
pub struct Recorder {
    heads: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

// === impl RawAnswer ===

impl RawAnswer {
    fn read(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets);
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_owned(),
            rest: rest.to_owned(),
        }
    }
}

// === impl Recorder ===

impl Recorder {
    /// Listens on this address, which may be that of a Service.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&memory)));
            }
        });
        Ok(Self { heads, task })
    }

    /// The targets so far, which are forgotten.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let target = |head: &Vec<u8>| {
            let line = head
                .split(|octet| *octet == b'\r')
                .next()
                .unwrap_or_default();
            let from_target = line
                .splitn(2, |octet| *octet == b' ')
                .nth(1)
                .unwrap_or_default();
            let end = from_target.iter().rposition(|octet| *octet == b' ');
            from_target
                .get(..end.unwrap_or_default())
                .unwrap_or_default()
                .to_vec()
        };
        self.take_heads().iter().map(target).collect()
    }

    /// Request lines and headers so far, which are forgotten.
    pub fn take_heads(&self) -> Vec<Vec<u8>> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut heads)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut stream: TcpStream, heads: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 128 * 1024 {
        match stream.read(&mut octet).await {
            Ok(1) => head.extend_from_slice(&octet),
            _ => return,
        }
    }
    heads
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreached";
    drop(stream.write_all(answer).await);
}
