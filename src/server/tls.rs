//! TLS on a listener: certificates from files, chosen by the name that the client asks for and replaced while it runs;
//! HTTP/2 or HTTP/1.1 as ALPN chooses.

mod age;
mod choice;
mod files;
mod follow;

use std::{io, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::ResolvesServerCert,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::choice::Choice;
pub use self::{
    files::{CertificateFiles, Fault},
    follow::{Certificates, NoTls},
};
use super::{
    Connection, HttpService, Limits,
    connection::OnConnection,
    http1::{self, Answers},
    http2,
    places::Ending,
    stall::Stalling,
};

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// How long somebody who speaks HTTP here may take to read what is wrong.
const PLAIN: Duration = Duration::from_secs(2);
const SPOKE_PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 63\r\n\
    connection: close\r\n\r\n\
    This port speaks HTTPS: write https:// in front of the address\n";

// === impl Tls ===

impl Tls {
    fn new(choice: Arc<Choice>) -> Result<Self, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = choice;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Sealed tickets instead of a list of sessions: people who come back do so without a full handshake, however
        // many they are.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self(Arc::new(config).into()))
    }

    pub(super) async fn converse(
        self,
        stream: TcpStream,
        connection: Connection,
        service: impl HttpService + Sync,
        limits: Limits,
    ) {
        let stream = tokio::select! {
            agreed = timeout(limits.handshake_timeout, self.agree(stream, limits)) => agreed,
            ending = connection.ending() => {
                if ending == Ending::GiveWay {
                    connection.metrics().gave_way.inc();
                }
                return;
            }
        };
        let stream = match stream {
            Ok(Ok(Some(stream))) => stream,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                tracing::debug!(peer = %connection.peer(), %error, "no TLS was agreed on");
                return;
            }
            Err(_) => {
                connection.metrics().handshake_late.inc();
                tracing::debug!(peer = %connection.peer(), "TLS was not agreed on in time");
                return;
            }
        };
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            http2::converse(stream, connection, service, limits).await;
        } else {
            let service = OnConnection {
                service,
                connection: connection.clone(),
            };
            http1::converse(stream, connection, service, Answers::Bodies, limits).await;
        }
    }

    /// The handshake; `None` if it is plain HTTP that the client speaks, which is told to it.
    async fn agree(
        &self,
        stream: TcpStream,
        limits: Limits,
    ) -> io::Result<Option<TlsStream<Stalling<TcpStream>>>> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        // A handshake begins with 22, and a method with a letter.
        if first.iter().all(u8::is_ascii_alphabetic) {
            timeout(PLAIN, explain(stream)).await.ok();
            return Ok(None);
        }
        let stream = Stalling::new(stream, limits.write_timeout);
        self.0.accept(stream).await.map(Some)
    }
}

/// What the process-wide provider is too; asked for by name, so that nothing depends on who was first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

async fn explain(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(SPOKE_PLAIN_HTTP.as_bytes()).await?;
    stream.shutdown().await?;
    // A socket that is closed with unread octets takes the answer back with a reset.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
