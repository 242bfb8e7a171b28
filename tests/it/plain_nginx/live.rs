//! What is not one answer to one request, through set-up A: WebSockets and server-sent events.

use futures::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A service that says everything back to a WebSocket, and to everyone else an event at a time.
struct Live {
    address: SocketAddr,
    /// Lets the next event go.
    next: mpsc::Sender<()>,
    _task: AbortOnDropHandle<()>,
}

impl Live {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind(free_component_address()?).await?;
        let address = listener.local_addr()?;
        let (next, mut allowed) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // What fails here is seen by the client.
                drop(serve(stream, &mut allowed).await);
            }
        });
        Ok(Self {
            address,
            next,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

async fn serve(mut stream: TcpStream, allowed: &mut mpsc::Receiver<()>) -> Result<()> {
    let mut head = vec![0; 16 * 1024];
    let read = stream.peek(&mut head).await?;
    let head = String::from_utf8_lossy(head.get(..read).unwrap_or_default()).to_ascii_lowercase();
    if head.contains("upgrade: websocket") {
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_text() {
                socket.send(message).await?;
            }
        }
        return Ok(());
    }
    let mut request = vec![0; read];
    stream.read_exact(&mut request).await?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for number in 1..=3 {
        stream
            .write_all(format!("data: event {number}\n\n").as_bytes())
            .await?;
        allowed.recv().await;
    }
    Ok(())
}

async fn connect(set_up: &SetUp, host: &str) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(set_up.https).await?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(set_up.certificate.trusted()?)
        .connect(name, stream)
        .await?)
}

#[tokio::test]
async fn web_sockets_and_event_feeds_pass_for_those_who_may_enter() -> Result<()> {
    let live = Live::start().await?;
    let blocks = BLOCKS.replace("PGWEB", &live.address.to_string());
    let set_up = SetUp::with("", &[], &blocks).await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    let socket = async |cookies: &str| {
        let mut request = format!("wss://{PGWEB}/socket").into_client_request()?;
        request.headers_mut().insert("cookie", cookies.parse()?);
        let stream = connect(&set_up, PGWEB).await?;
        Ok::<_, anyhow::Error>(
            timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await?,
        )
    };
    let Err(tungstenite::Error::Http(refused)) = socket("").await? else {
        anyhow::bail!("a stranger is connected");
    };
    assert_eq!(refused.status(), 401);
    let (mut connected, _) = socket(&ann).await??;
    connected.send(Message::text("hello")).await?;
    let said = timeout(PATIENCE, connected.next())
        .await?
        .context("it hung up")??;
    assert_eq!(said, Message::text("hello"));
    drop(connected);

    let mut feed = connect(&set_up, PGWEB).await?;
    let request = format!("GET /feed HTTP/1.1\r\nHost: {PGWEB}\r\nCookie: {ann}\r\n\r\n");
    feed.write_all(request.as_bytes()).await?;
    let mut seen = String::new();
    for number in 1..=3 {
        let event = format!("data: event {number}\n\n");
        while !seen.contains(&event) {
            let mut some = [0; 1024];
            let read = timeout(PATIENCE, feed.read(&mut some)).await??;
            ensure!(read > 0, "it ended early: {seen}");
            seen.push_str(&String::from_utf8_lossy(
                some.get(..read).unwrap_or_default(),
            ));
        }
        ensure!(!seen.contains(&format!("event {}", number + 1)), "{seen}");
        live.next.send(()).await?;
    }
    Ok(())
}
