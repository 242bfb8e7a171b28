//! A client that can stop in the middle: bodies that are sent and read bit by bit, and WebSockets.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, client::IntoClientRequest},
};

use crate::bench::SetUp;

/// How long a step may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a client connects from, unless said otherwise.
pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 77));

/// A WebSocket to a host of a set-up; an `Err` with the status if it is refused.
pub(super) async fn web_socket(
    set_up: &SetUp,
    host: &str,
    target: &str,
    cookie: &str,
) -> Result<std::result::Result<WebSocketStream<TlsStream<TcpStream>>, StatusCode>> {
    let mut request = format!("wss://{host}{target}").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(header::COOKIE, cookie.parse()?);
    headers.insert(header::ORIGIN, format!("https://{host}").parse()?);
    let stream = tls(set_up, host).await?;
    let asked = tokio_tungstenite::client_async(request, stream);
    match timeout(PATIENCE, asked).await? {
        Ok((socket, _)) => Ok(Ok(socket)),
        Err(tungstenite::Error::Http(answer)) => Ok(Err(answer.status())),
        Err(error) => Err(error.into()),
    }
}

/// A request whose body is what is sent into the channel, until that is dropped.
pub(super) async fn request(
    set_up: &SetUp,
    host: &str,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(
    mpsc::Sender<Bytes>,
    tokio::task::JoinHandle<Result<Response<Incoming>>>,
)> {
    let stream = tls(set_up, host).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = mpsc::channel::<Bytes>(1);
    let body = futures::stream::unfold(body, async |mut body| {
        let part = body.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(part)), body))
    });
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(StreamBody::new(Box::pin(body)))?;
    let answer = tokio::spawn(async move { Ok(sender.send_request(request).await?) });
    Ok((parts, answer))
}

/// A GET whose answer is read bit by bit.
pub(super) async fn get(
    set_up: &SetUp,
    host: &str,
    target: &str,
    cookie: &str,
) -> Result<Response<Incoming>> {
    let headers = [("cookie", cookie)];
    let (body, answer) = request(set_up, host, Method::GET, target, &headers).await?;
    drop(body);
    timeout(PATIENCE, answer)
        .await
        .with_context(|| format!("no answer to {target} in {PATIENCE:?}"))??
}

/// Reads until this has come.
pub(super) async fn reads(answer: &mut Response<Incoming>, text: &str) -> Result<()> {
    let mut seen = String::new();
    while !seen.contains(text) {
        let Ok(frame) = timeout(PATIENCE, answer.body_mut().frame()).await else {
            bail!("'{text}' did not come in {PATIENCE:?}; what came: '{seen}'");
        };
        let frame = frame.with_context(|| format!("it ended before '{text}': '{seen}'"))??;
        if let Ok(data) = frame.into_data() {
            seen.push_str(&String::from_utf8_lossy(&data));
        }
    }
    Ok(())
}

async fn tls(set_up: &SetUp, host: &str) -> Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((CLIENT, 0).into())?;
    let stream = socket.connect(set_up.https).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(set_up.certificate.trusted()?);
    Ok(connector.connect(name, stream).await?)
}
