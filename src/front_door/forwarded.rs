//! What a service is told of where a request came from: X-Forwarded-* and X-Real-IP.
//!
//! The connection's own peer is known. What a peer says of hops before it counts only if the peer is a trusted
//! proxy, and then hop by hop from the right: each address was written by the proxy after it, so the first that is
//! not trusted is the client, and whatever stands before it is the client's own invention.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::policy::Origin;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Nobody has more proxies than that; a longer list is cut at its far end.
const HOPS: usize = 32;

/// The addresses a request came through, the client's first. Never empty: the last is the connection's peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<IpAddr>);

// === impl Path ===

impl Path {
    /// Follows a request back from the peer as far as trusted proxies tell. An address that cannot be read ends
    /// the path there: the proxy that passed it on counts as the client, which claims least.
    pub(super) fn of(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let mut told = told(headers).into_iter();
        let mut hop = peer.to_canonical();
        let mut hops = vec![hop];
        while is_trusted(hop, trusted) && hops.len() < HOPS {
            let Some(before) = told.next_back().and_then(address) else {
                break;
            };
            hop = before;
            hops.push(hop);
        }
        hops.reverse();
        Self(hops)
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn hops(self) -> Vec<IpAddr> {
        self.0
    }

    fn client(&self) -> Option<&IpAddr> {
        self.0.first()
    }
}

/// Whether an address is one of a trusted proxy.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The list in X-Forwarded-For, of all its lines; the one address in X-Real-IP if there is no such line.
fn told(headers: &HeaderMap) -> Vec<&[u8]> {
    let mut lines = headers.get_all(X_FORWARDED_FOR).iter().peekable();
    if lines.peek().is_none() {
        let mut lines = headers.get_all(X_REAL_IP).iter();
        return match (lines.next(), lines.next()) {
            (Some(line), None) => vec![line.as_bytes()],
            _ => Vec::new(),
        };
    }
    lines
        .flat_map(|line| line.as_bytes().split(|octet| *octet == b','))
        // RFC 9110 §5.6.1: empty elements of a list do not count.
        .filter(|element| !element.trim_ascii().is_empty())
        .collect()
}

/// An address as proxies write it: with or without port, IPv6 with or without brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => text
            .parse()
            .or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()))
            .ok()?,
    };
    Some(address.to_canonical())
}

/// Says who asked, for which host, at which public address. The scheme and port are settings, never inferred.
pub(super) fn tell(
    headers: &mut HeaderMap,
    path: Option<&Path>,
    authority: &HeaderValue,
    origin: Origin,
) {
    if let Some(path) = path {
        let list: Vec<String> = path.0.iter().map(ToString::to_string).collect();
        let client = path.client().map(ToString::to_string);
        if let Ok(list) = HeaderValue::try_from(list.join(", ")) {
            headers.insert(X_FORWARDED_FOR, list);
        }
        if let Some(Ok(client)) = client.map(HeaderValue::try_from) {
            headers.insert(X_REAL_IP, client);
        }
    }
    headers.insert(X_FORWARDED_HOST, authority.clone());
    headers.insert(X_FORWARDED_PORT, HeaderValue::from(origin.port));
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(origin.scheme.as_str()),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Scheme;

    const NEAR: &str = "10.0.0.1";

    fn trusted() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn path(peer: &str, lines: &[(&str, &str)]) -> Vec<String> {
        let path = Path::of(&headers(lines), peer.parse().unwrap(), &trusted());
        path.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let lines = [("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.2")];
        assert_eq!(path("198.51.100.7", &lines), ["198.51.100.7"]);
        assert_eq!(path(NEAR, &lines), ["192.0.2.1", NEAR]);
        assert_eq!(path(NEAR, &lines[1..]), ["192.0.2.2", NEAR]);
        assert_eq!(path("::ffff:10.0.0.1", &[]), [NEAR]);
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
        for (list, expected) in [
            ("1.1.1.1, 192.0.2.1", &["192.0.2.1", NEAR][..]),
            (
                "1.1.1.1, 192.0.2.1, 10.9.9.9",
                &["192.0.2.1", "10.9.9.9", NEAR],
            ),
            ("nonsense, 192.0.2.1:4711", &["192.0.2.1", NEAR]),
            ("[2001:db8::1]:80", &["2001:db8::1", NEAR]),
            ("[2001:db8::1],", &["2001:db8::1", NEAR]),
            ("2001:db8::1, fd00::2", &["2001:db8::1", "fd00::2", NEAR]),
            ("::ffff:192.0.2.1", &["192.0.2.1", NEAR]),
            ("10.0.0.3, 10.0.0.2", &["10.0.0.3", "10.0.0.2", NEAR]),
        ] {
            assert_eq!(path(NEAR, &[("x-forwarded-for", list)]), expected, "{list}");
        }
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(path(NEAR, &lines), ["192.0.2.1", NEAR]);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_proxy_that_passed_it_on() {
        for list in [
            "192.0.2.1, unknown",
            "192.0.2.1, 10.0.0.256",
            "192.0.2.1, 192.0.2.1 10.0.0.2",
            "192.0.2.1, [10.0.0.2]",
            "192.0.2.1, \"10.0.0.2\"",
            "192.0.2.1, _hidden",
        ] {
            assert_eq!(path(NEAR, &[("x-forwarded-for", list)]), [NEAR], "{list}");
        }
        let doubled = [("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.2")];
        assert_eq!(path(NEAR, &doubled), [NEAR]);
        assert_eq!(
            path(
                NEAR,
                &[("x-forwarded-for", "unknown"), ("x-real-ip", "192.0.2.1")]
            ),
            [NEAR]
        );
    }

    #[test]
    fn services_hear_of_the_client_and_of_the_public_address() {
        let mut map = HeaderMap::new();
        let origin = Origin {
            scheme: Scheme::Https,
            port: 8443,
        };
        let list = headers(&[("x-forwarded-for", "192.0.2.7")]);
        let path = Path::of(&list, NEAR.parse().unwrap(), &trusted());
        let authority = HeaderValue::from_static("wiki.example:8443");
        tell(&mut map, Some(&path), &authority, origin);
        assert_eq!(map["x-forwarded-for"], "192.0.2.7, 10.0.0.1");
        assert_eq!(map["x-real-ip"], "192.0.2.7");
        assert_eq!(map["x-forwarded-host"], "wiki.example:8443");
        assert_eq!(map["x-forwarded-port"], "8443");
        assert_eq!(map["x-forwarded-proto"], "https");
    }

    fn hop() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => any::<[u8; 3]>().prop_map(|[a, b, c]| format!("10.{a}.{b}.{c}")),
            3 => any::<[u8; 2]>().prop_map(|[a, b]| format!("192.0.{a}.{b}")),
            1 => any::<u16>().prop_map(|n| format!("[2001:db8::{n:x}]:{n}")),
            1 => "[ -+\\--~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_says_nothing(list in "[ -~]{0,60}", real in "[ -~]{0,20}") {
            let lines = [("x-forwarded-for", &*list), ("x-real-ip", &*real)];
            prop_assert_eq!(path("198.51.100.7", &lines), ["198.51.100.7"]);
        }

        #[test]
        fn every_hop_but_the_client_is_a_trusted_proxy(list in prop::collection::vec(hop(), 0..6)) {
            let list = headers(&[("x-forwarded-for", &list.join(", "))]);
            let path = Path::of(&list, NEAR.parse().unwrap(), &trusted());
            let trusted = trusted();
            for hop in &path.0[1..] {
                prop_assert!(trusted.iter().any(|net| net.contains(hop)));
            }
        }

        #[test]
        fn what_a_client_writes_before_its_own_address_changes_nothing(
            invented in prop::collection::vec(hop(), 0..6),
            proxies in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let honest: Vec<String> = std::iter::once("192.0.2.1".to_owned())
                .chain(proxies.iter().map(|n| format!("10.1.1.{n}")))
                .collect();
            let forged: Vec<String> = invented.into_iter().chain(honest.clone()).collect();
            prop_assert_eq!(
                path(NEAR, &[("x-forwarded-for", &forged.join(","))]),
                path(NEAR, &[("x-forwarded-for", &honest.join(","))])
            );
        }
    }
}
