//! The services behind the front door: a pool of connections, streamed both ways, and how long is waited for them.

mod failure;
mod line;

use std::{pin::pin, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, uri::Authority};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{self, Client, ResponseFuture},
    rt::{TokioExecutor, TokioTimer},
};

pub(super) use self::failure::Failure;
use self::line::{Answered, Dial};
use super::{
    admission::Admission,
    body::{Progress, Stage, Upload},
    settings::Settings,
};
use crate::session;

/// Every service, by address.
pub(super) struct Upstreams {
    pooled: Client<Dial, Upload>,
    /// A new connection for each request, and for no other.
    fresh: Client<Dial, Upload>,
    response_timeout: Duration,
    /// This process in `Via` (RFC 9110 §7.6.3), by which it knows a request it has sent itself.
    via: String,
}

/// Below the keep-alive of common servers, so that a pooled connection is seldom closed under a request.
const IDLE: Duration = Duration::from_secs(4);
/// Octets of a response's headers: as much as a request may have.
const HEADER_BYTES: usize = 96 * 1024;

// === impl Upstreams ===

impl Upstreams {
    pub(super) fn new(settings: &Settings) -> Self {
        let dial = Dial::within(settings.connect_timeout);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .http1_max_buf_size(HEADER_BYTES)
            // The public name is the Host that services expect.
            .set_host(false);
        let fresh = builder
            .clone()
            .pool_max_idle_per_host(0)
            .build(dial.clone());
        let pooled = builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(dial);
        let mut id = [0; 4];
        session::random(&mut id);
        Self {
            pooled,
            fresh,
            response_timeout: settings.response_timeout,
            via: format!("vestibule-{:08x}", u32::from_be_bytes(id)),
        }
    }

    /// Sends a request, whose headers are ready, to the service it was let through to, at `http://NAME:PORT`.
    pub(super) async fn send(
        &self,
        mut request: Request<Upload>,
        admission: &Admission,
    ) -> Result<Response<Incoming>, Failure> {
        if self.has_sent(request.headers()) {
            return Err(Failure::Loop);
        }
        let own =
            HeaderValue::try_from(format!("1.1 {}", self.via)).map_err(|_| Failure::Address)?;
        request.headers_mut().append(header::VIA, own);
        *request.uri_mut() = target(admission.upstream(), request.uri()).ok_or(Failure::Address)?;
        *request.version_mut() = http::Version::HTTP_11;

        let again = copy_to_repeat(&request);
        let progress = request.body().progress();
        let client = if signs_its_connection_in(request.headers()) {
            &self.fresh
        } else {
            &self.pooled
        };
        let sent = self
            .wait(client.request(request), progress, admission)
            .await;
        // A request that no octet of was sent is sent again by the client itself. Between that and an answer lies the
        // service that closes an idle connection at the very moment we use it.
        let sent = match (sent, again) {
            (Err(Failure::Broken(error)), Some(again)) if is_stale(&error) => {
                let progress = again.body().progress();
                self.wait(self.fresh.request(again), progress, admission)
                    .await
            }
            (sent, _) => sent,
        };
        let response = sent?;
        if let Some(answered) = response.extensions().get::<Answered>() {
            answered.mark();
        }
        let te = header::TRANSFER_ENCODING;
        if response.headers().contains_key(&te)
            && (!is_chunked(response.headers())
                || response.headers().contains_key(header::CONTENT_LENGTH))
        {
            return Err(Failure::Framing);
        }
        Ok(response)
    }

    /// Waits for the headers of the response, until nothing moves any more or whoever asked may no longer have it.
    async fn wait(
        &self,
        response: ResponseFuture,
        progress: Progress,
        admission: &Admission,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = pin!(response);
        loop {
            let left = self.response_timeout.saturating_sub(progress.idle());
            if left.is_zero() {
                return Err(match progress.stage() {
                    Stage::AwaitsClient => Failure::ClientLate,
                    _ => Failure::Late,
                });
            }
            let pause = left.min(admission.interval());
            if let Ok(answer) = tokio::time::timeout(pause, response.as_mut()).await {
                return answer.map_err(|error| match progress.stage() {
                    Stage::TooLong => Failure::TooLong,
                    Stage::Broken => Failure::ClientBroke,
                    Stage::AwaitsClient | Stage::AwaitsService => Failure::of(error),
                });
            }
            if !admission.holds() {
                return Err(Failure::Over);
            }
        }
    }

    fn has_sent(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::VIA).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.contains(&self.via))
    }
}

/// Whether what follows on the same connection is taken for the same person's (RFC 4559 §6): with these schemes servers
/// sign in the connection, and people share those to a service.
fn signs_its_connection_in(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::AUTHORIZATION).iter();
    let mut schemes = lines.filter_map(|line| line.as_bytes().split(|octet| *octet == b' ').next());
    schemes.any(|scheme| {
        [&b"ntlm"[..], b"negotiate"]
            .iter()
            .any(|one| scheme.eq_ignore_ascii_case(one))
    })
}

/// What may be sent twice without doing anything twice: a safe method (RFC 9110 §9.2.1), no body, no upgrade.
fn copy_to_repeat(request: &Request<Upload>) -> Option<Request<Upload>> {
    let repeatable = request.method().is_safe()
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::UPGRADE);
    repeatable.then(|| {
        let mut copy = Request::new(Upload::none());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        copy
    })
}

/// Whether the connection had answered before and ended without answering this request.
fn is_stale(error: &legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extras);
    }
    extras.get::<Answered>().is_some_and(Answered::is_marked) && failure::is_end(error)
}

/// Whether the framing of a message is `chunked` and nothing else: other codings would have to be undone here, and
/// two readers of a strange one are one too many.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

fn target(upstream: &str, asked: &Uri) -> Option<Uri> {
    let authority: Authority = upstream.strip_prefix("http://")?.parse().ok()?;
    let path = asked.path_and_query()?.clone();
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}
