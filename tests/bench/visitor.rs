//! A client that sends exactly what it is told: targets are not normalised, redirects not followed,
//! names not resolved.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::bench::Certificate;

/// A request to be sent to an address over HTTP/1.1, plain or inside TLS.
#[derive(Clone, Debug)]
pub struct Visitor {
    address: SocketAddr,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, with what is not UTF-8 replaced.
    pub body: String,
}

// === impl Visitor ===

impl Visitor {
    /// A GET to this address for a host, as a browser at `http://HOST/...` would send it.
    pub fn get(address: SocketAddr, host: &str, target: &str) -> Self {
        let visitor = Self {
            address,
            method: Method::GET,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            tls: None,
        };
        visitor.header("host", host)
    }

    /// Another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header. A value that HTTP forbids is left out.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.headers.append(name, value);
        }
        self
    }

    /// Says what a browser says when a person follows a link.
    pub fn navigating(self) -> Self {
        self.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Inside TLS, where the host asked for must show this certificate.
    pub fn trusting(mut self, certificate: &Certificate) -> Result<Self> {
        self.tls = Some(certificate.trusted()?);
        Ok(self)
    }

    /// Inside TLS, whatever certificate is shown.
    pub fn trusting_anybody(mut self) -> Result<Self> {
        self.tls = Some(Certificate::any()?);
        Ok(self)
    }

    /// Sends it on a connection of its own.
    pub async fn send(self) -> Result<Answer> {
        let address = self.address;
        tokio::time::timeout(Duration::from_secs(30), self.exchange())
            .await
            .with_context(|| format!("{address} gave no answer in 30 s"))?
    }

    async fn exchange(self) -> Result<Answer> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        let Some(config) = self.tls.clone() else {
            return self.converse(stream).await;
        };
        let host = self.headers.get("host").context("no host is asked for")?;
        let name = host.to_str()?.split(':').next().unwrap_or_default();
        let name = ServerName::try_from(name.to_owned())?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        self.converse(stream).await
    }

    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Answer> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(self.target);
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers;
        }
        let answer = sender
            .send_request(request.body(Full::new(self.body))?)
            .await;
        let (head, body) = answer
            .context("the connection ended before an answer")?
            .into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

// === impl Answer ===

impl Answer {
    /// A header's first value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Where it redirects to.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// What [`crate::bench::Echo`] says it got, if the answer is from it.
    pub fn echoed(&self) -> Result<crate::bench::echo::Seen> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("not from the service: {} {}", self.status, self.body))
    }

    /// The cookies it sets, as a browser would send them back.
    pub fn cookies(&self) -> String {
        let set = self.headers.get_all("set-cookie").iter();
        let pairs = set.filter_map(|value| value.to_str().ok()?.split(';').next());
        pairs.collect::<Vec<_>>().join("; ")
    }
}
