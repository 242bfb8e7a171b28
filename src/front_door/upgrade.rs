//! Upgrades: WebSocket, and whatever else a service switches to on a connection of HTTP/1.1.
//!
//! A request that asks for one is judged like any other. If the service agrees, with a 101 that names a protocol the
//! client asked for, both connections are joined; until then nothing behind the request reaches the service, so
//! nothing can hide behind an upgrade that is refused. HTTP itself is no protocol to switch to: requests inside would
//! not be judged.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::admission::Admission;

/// The protocols that a request asks to switch to, in its order.
pub(super) struct Offer {
    protocols: Vec<String>,
    client: OnUpgrade,
}

/// How long what is under way in one direction may take when the other has ended.
const LINGER: Duration = Duration::from_secs(5);

// === impl Offer ===

impl Offer {
    /// Takes the offer out of a request, if there is one that can be passed on.
    pub(super) fn take(request: &mut Request<Body>) -> Option<Self> {
        if request.version() != Version::HTTP_11 || !asks(request.headers()) {
            return None;
        }
        let protocols = protocols(request.headers());
        let client = request.extensions_mut().remove::<OnUpgrade>()?;
        (!protocols.is_empty()).then_some(Self { protocols, client })
    }

    /// Makes it anew, for the connection to the service.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Ok(protocols) = HeaderValue::try_from(self.protocols.join(", ")) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocols);
            headers.remove(header::TE);
        }
    }

    /// The protocol that a 101 with these headers switches to, if it is one that was asked for.
    pub(super) fn accepted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = headers.get_all(header::UPGRADE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let text = line.to_str().ok()?.trim();
        let offered = |protocol: &String| protocol.eq_ignore_ascii_case(text);
        self.protocols.iter().any(offered).then(|| line.clone())
    }

    /// Passes octets both ways until one side closes, or whoever asked may no longer be here.
    pub(super) async fn join(self, service: OnUpgrade, mut admission: Admission) {
        let host = admission.asked().host.clone();
        let (client, service) = match futures::try_join!(self.client, service) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%host, %error, "a connection ended before its protocol was switched");
                return;
            }
        };
        tokio::select! {
            () = converse(client, service) => {}
            () = admission.end() => {
                tracing::info!(%host, "closing a switched connection: its session has ended, or the policy has changed");
            }
        }
    }
}

/// Whether a request asks to switch protocols (RFC 9110 §7.8): Upgrade counts only if Connection names it.
pub(super) fn asks(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        && list(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

fn protocols(headers: &HeaderMap) -> Vec<String> {
    list(headers, &header::UPGRADE)
        .filter_map(|token| std::str::from_utf8(token).ok())
        .filter(|protocol| !is_http(protocol))
        .map(ToOwned::to_owned)
        .collect()
}

/// By any version or draft (`h2c-14`, `HTTP-draft-09/2.0`).
fn is_http(protocol: &str) -> bool {
    let name = protocol.split(['/', '-']).next().unwrap_or(protocol).trim();
    ["h2c", "h2", "h3", "http", "https", "tls"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http))
}

fn list<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|octet| *octet == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Copies both ways. When one direction ends, what is under way in the other still arrives; after that a side that
/// keeps its connection open would keep ours for ever.
async fn converse(client: Upgraded, service: Upgraded) {
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_service, to_service) = tokio::io::split(TokioIo::new(service));
    let mut upward = std::pin::pin!(copy(from_client, to_service));
    let mut downward = std::pin::pin!(copy(from_service, to_client));
    let (ended, other) = tokio::select! {
        ended = upward.as_mut() => (ended, downward),
        ended = downward.as_mut() => (ended, upward),
    };
    if ended.is_ok() {
        tokio::time::timeout(LINGER, other).await.ok();
    }
}

/// Copies until the end, and passes the end on.
async fn copy(
    mut from: ReadHalf<TokioIo<Upgraded>>,
    mut to: WriteHalf<TokioIo<Upgraded>>,
) -> std::io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: header::HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn an_upgrade_is_asked_for_in_two_places() {
        let both = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert!(asks(&headers(&both)));
        assert!(!asks(&headers(&both[..1])));
        assert!(!asks(&headers(&both[1..])));
        assert!(!asks(&headers(&[
            ("connection", "upgrades"),
            ("upgrade", "x")
        ])));
    }

    #[test]
    fn http_is_no_protocol_to_switch_to() {
        let read = |value| protocols(&headers(&[("upgrade", value)]));
        assert_eq!(
            read("h2c, websocket,SPDY/3.1 , HTTP/2.0"),
            ["websocket", "SPDY/3.1"]
        );
        for none in ["H2C", "h2c-14", "HTTP-draft-09/2.0", "TLS/1.0", ","] {
            assert!(read(none).is_empty(), "{none}");
        }
    }
}
