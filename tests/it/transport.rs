//! The front door's transport over real sockets: TLS, its certificates and their renewal, HTTP/2 and its limits, the
//! redirect of plain HTTP, and how `serve` starts with all of it.

mod floods;
mod protocols;
mod renewal;
mod start;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::Notify, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use vestibule::{
    clock::Clock,
    server::{CertificateFiles, Certificates, Limits, Listener, Peer},
};

/// No answer over loopback takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// An authority whose certificates the tests' clients trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// A listener with certificates from a folder.
struct Bench {
    address: SocketAddr,
    authority: Arc<Authority>,
    folder: TempDir,
    stop: CancellationToken,
    /// Lets requests for `/held` go on.
    release: Arc<Notify>,
    serving: AbortOnDropHandle<()>,
    _following: AbortOnDropHandle<()>,
}

// === impl Authority ===

impl Authority {
    fn new() -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Arc::new(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(KeyPair::generate().unwrap(), names)
    }

    fn issue_for(&self, key: KeyPair, names: &[&str]) -> Issued {
        self.sign(key, names, |_| {})
    }

    /// A certificate that ends with the beginning of a year.
    fn issue_until(&self, year: i32, names: &[&str]) -> Issued {
        self.sign(KeyPair::generate().unwrap(), names, |params| {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        })
    }

    fn sign(
        &self,
        key: KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { certificate, key }
    }

    fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }
}

// === impl Issued ===

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`.
    fn write(&self, folder: &Path, name: &str) -> CertificateFiles {
        let files = files(folder, name);
        fs::write(&files.certificate, self.certificate.pem()).unwrap();
        fs::write(&files.key, self.key.serialize_pem()).unwrap();
        files
    }

    fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }
}

fn files(folder: &Path, name: &str) -> CertificateFiles {
    CertificateFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    }
}

// === impl Bench ===

impl Bench {
    /// With one certificate, for `wiki.example`.
    async fn start(limits: Limits) -> Self {
        let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
        let files = authority
            .issue(&["wiki.example"])
            .write(folder.path(), "wiki");
        Self::with(authority, folder, vec![files], limits).await
    }

    async fn with(
        authority: Arc<Authority>,
        folder: TempDir,
        files: Vec<CertificateFiles>,
        limits: Limits,
    ) -> Self {
        let certificates = Certificates::open(files, Clock::System).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).await;
        let listener = listener.unwrap();
        let address = listener.address().unwrap();
        let (stop, release) = (CancellationToken::new(), Arc::new(Notify::new()));
        let held = Arc::clone(&release);
        let service = service_fn(move |request| echo(request, Arc::clone(&held)));
        let serving = tokio::spawn(listener.serve_tls(certificates.tls(), service, stop.clone()));
        let following = tokio::spawn(certificates.follow(stop.clone()));
        Self {
            address,
            authority,
            folder,
            stop,
            release,
            serving: AbortOnDropHandle::new(serving),
            _following: AbortOnDropHandle::new(following),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A TLS connection to a host, with these protocols offered.
    async fn connect(&self, host: &str, protocols: &[&str]) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.authority.client(protocols)));
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connecting = timeout(LIMIT, connector.connect(name, stream));
        connecting.await.unwrap().unwrap()
    }

    /// The certificate that whoever asks for a host is shown, whether or not it is for that host.
    async fn shown(&self, host: &str) -> CertificateDer<'static> {
        let config = crate::bench::Certificate::any().unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connecting = TlsConnector::from(config).connect(name, stream);
        let stream = timeout(LIMIT, connecting).await.unwrap().unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    /// A conversation in HTTP/2.
    async fn http2(&self) -> SendRequest<Empty<Bytes>> {
        let stream = self.connect("wiki.example", &["h2"]).await;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        sender
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("https://wiki.example{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = timeout(LIMIT, response.into_body().collect()).await;
    String::from_utf8(body.unwrap().unwrap().to_bytes().to_vec()).unwrap()
}

/// Says what it was asked and by whom; `/held` waits, and `/large` says more than any buffer holds.
async fn echo(
    request: Request<Incoming>,
    release: Arc<Notify>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    if request.uri().path() == "/held" {
        release.notified().await;
    }
    if request.uri().path() == "/large" {
        return Ok(Response::new(Full::from(vec![0; 64 * 1024 * 1024])));
    }
    let Peer(peer) = request.extensions().get::<Peer>().unwrap();
    let answer = format!(
        "{:?} {} {}",
        request.version(),
        request.uri().path(),
        peer.ip()
    );
    Ok(Response::new(Full::from(answer)))
}
