//! `vestibule health`: asks a running Vestibule whether it is ready, where the image has no shell and no HTTP client to
//! do so. For a Compose `healthcheck` and for exec probes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::settings;

/// Ask a running Vestibule on this machine whether it is ready, for health checks; the exit status says it
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Its admin listener: what it was given as --admin-listen
    #[arg(
        long = "admin",
        env = "VESTIBULE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        value_parser = settings::address
    )]
    admin: SocketAddr,
}

/// Shorter than what Compose and Kubernetes wait for a check, so that the sentence is seen.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than the name of every part that can be waited for.
const LONGEST_ANSWER: usize = 4096;

/// Prints `ready`; an `Err` says what is in the way.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let admin = reachable(options.admin);
    let Ok(answer) = timeout(PATIENCE, ask(admin)).await else {
        bail!("{admin} takes connections, and gave no answer to /readyz within {PATIENCE:?}");
    };
    match answer? {
        // The word is asked for too: much else that listens on a port like this one answers 200 to any path.
        (StatusCode::OK, said) if said == "ok" => {
            println!("ready");
            Ok(())
        }
        // `/readyz` says what it waits for.
        (StatusCode::SERVICE_UNAVAILABLE, said) => bail!("{said}"),
        (status, _) => {
            bail!("{admin} answers {status} to /readyz: it is not the admin listener of Vestibule")
        }
    }
}

/// Where to ask: a listener on all addresses is asked on loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

async fn ask(admin: SocketAddr) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(admin).await.with_context(|| {
        format!(
            "nothing answers at {admin} (is Vestibule running, with this as its --admin-listen?)"
        )
    })?;
    let no_http = || format!("{admin} does not speak HTTP");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .with_context(no_http)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get("/readyz")
        .header(HOST, admin.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await.with_context(no_http)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
    let said = match body.await {
        Ok(said) => String::from_utf8_lossy(&said.to_bytes()).trim().to_owned(),
        Err(_) => bail!("{admin} answers {status} to /readyz and does not end its answer"),
    };
    Ok((status, said))
}

#[cfg(test)]
mod tests {
    use hyper_util::service::TowerToHyperService;
    use prometheus_client::registry::Registry;
    use tokio::{io::AsyncWriteExt, net::TcpListener};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::{Limits, Listener, Readiness, admin_router};

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    async fn said(admin: SocketAddr) -> Result<(), String> {
        let outcome = run(Options { admin }).await;
        outcome.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn it_says_what_is_still_waited_for_and_then_that_all_is_there() {
        let listener = Listener::bind(ANY, Limits::default()).await.unwrap();
        let admin = listener.address().unwrap();
        let readiness = Readiness::waiting_for(&["the session keys"]);
        let router = admin_router(readiness.clone(), Registry::default());
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(TowerToHyperService::new(router), stop));
        assert_eq!(
            said(admin).await.unwrap_err(),
            "not ready, waiting for: the session keys"
        );
        readiness.report("the session keys");
        assert_eq!(said(admin).await, Ok(()));
    }

    #[tokio::test]
    async fn what_is_not_vestibule_is_not_ready() {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let admin = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
                "220 mail\r\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        assert!(said(admin).await.unwrap_err().contains("404 Not Found"));
        let another = said(admin).await.unwrap_err();
        assert!(another.contains("not the admin listener"), "{another}");
        let no_http = said(admin).await.unwrap_err();
        assert!(no_http.contains("does not speak HTTP"), "{no_http}");
        let gone = said(admin).await.unwrap_err();
        assert!(gone.starts_with("nothing answers at 127.0.0.1:"), "{gone}");
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listener, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.1.2.3:9", "10.1.2.3:9"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), asked);
        }
    }
}
