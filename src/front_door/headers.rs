//! Which headers cross the front door, and which are made here.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    auth::{as_read, reads_as},
    session::Names,
};

/// Fields of one connection (RFC 9110 §7.6.1), those that a Connection field may not keep alive anyway, and what
/// only means something to a forward proxy.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    // CGI programs turn it into HTTP_PROXY and obey it.
    HeaderName::from_static("proxy"),
];

/// Families of headers by which proxies tell services what they know.
const CLAIM_FAMILIES: [&str; 3] = ["x-forwarded-", "x-auth-request-", "x-original-"];
/// Single headers of the same kind. Some frameworks take the last for the path, as they take `X-Original-URL`.
const CLAIMS: [&str; 5] = [
    "forwarded",
    "x-real-ip",
    "x-scheme",
    "x-forwarded",
    "x-rewrite-url",
];

/// Headers in which networks in front of a server say a client's address. Services that believe one would believe
/// anybody, so they pass only from a trusted proxy.
const CLIENT_ADDRESSES: [&str; 9] = [
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "fly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "x-envoy-external-address",
];

/// Removes what belongs to the connection it came on. It has to happen before anything is added: a Connection
/// field may name any header.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|octet| *octet == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether the client reads trailers (RFC 9110 §10.1.4); HTTP/2 allows TE to say nothing else.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|octet| *octet == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Removes everything by which a client could claim to be somebody, or to come from somewhere; of the latter, what
/// only a trusted proxy may say stays if it is one that says it.
pub(super) fn strip_claims(
    headers: &mut HeaderMap,
    identity_headers: &[HeaderName],
    is_trusted: bool,
) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name, identity_headers) || (!is_trusted && is_client_address(name)))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
    // Without it hyper sends no trailers, which some servers read as headers.
    headers.remove(header::TRAILER);
}

fn is_claim(name: &HeaderName, identity_headers: &[HeaderName]) -> bool {
    let read = || name.as_str().bytes().map(as_read);
    let begins = |family: &&str| family.bytes().eq(read().take(family.len()));
    identity_headers.iter().any(|ours| reads_as(ours, name))
        || CLAIMS.iter().any(|claim| claim.bytes().eq(read()))
        || CLAIM_FAMILIES.iter().any(begins)
}

fn is_client_address(name: &HeaderName) -> bool {
    let read = || name.as_str().bytes().map(as_read);
    CLIENT_ADDRESSES
        .iter()
        .any(|known| known.bytes().eq(read()))
}

/// Removes Vestibule's cookies: a service that could read one could be that person elsewhere on its host.
pub(super) fn strip_our_cookies(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    if !lines.iter().flat_map(pairs).any(is_ours) {
        return;
    }
    headers.remove(header::COOKIE);
    for line in &lines {
        let kept: Vec<&[u8]> = pairs(line).filter(|pair| !is_ours(pair)).collect();
        let Ok(line) = HeaderValue::from_bytes(&kept.join(&b"; "[..])) else {
            continue;
        };
        if !line.is_empty() {
            headers.append(header::COOKIE, line);
        }
    }
}

/// Removes cookies that a service sets under Vestibule's names: it could end a session, or start somebody else's.
pub(super) fn strip_our_set_cookies(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    // A cookie without a name comes back as its bare value, which then reads as a name and a value.
    let nameless = |pair: &[u8]| pair.strip_prefix(b"=").is_some_and(is_ours);
    let is_our_line = |line: &HeaderValue| {
        pairs(line)
            .next()
            .is_some_and(|pair| is_ours(pair) || nameless(pair))
    };
    if !lines.iter().any(is_our_line) {
        return;
    }
    headers.remove(header::SET_COOKIE);
    for line in lines.into_iter().filter(|line| !is_our_line(line)) {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Asks nginx to pass an answer on as it comes. Left to itself it waits until it has some kilobytes, and a feed may
/// never say so much. What a service says about it stands, and so does an answer whose end is in sight.
pub(super) fn ask_for_no_buffering(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        let buffering = headers.entry("x-accel-buffering");
        buffering.or_insert(HeaderValue::from_static("no"));
    }
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes()
        .split(|octet| *octet == b';')
        .map(<[u8]>::trim_ascii)
}

fn is_ours(pair: &[u8]) -> bool {
    let name = pair.split(|octet| *octet == b'=').next().unwrap_or(pair);
    Names::is_ours(name.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn listed(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut map = headers(&[
            ("connection", "close, X-Hop , host,content-length"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy", "http://evil.example"),
            ("host", "wiki.example"),
            ("content-length", "3"),
            ("x-app", "1"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(
            listed(&map),
            ["content-length: 3", "host: wiki.example", "x-app: 1"]
        );
    }

    #[test]
    fn no_spelling_of_an_identity_header_crosses() {
        let list = ["x-auth-request-user", "remote_user"].map(|n| n.parse().unwrap());
        let mut map = headers(&[
            ("X-Auth-Request-User", "root"),
            ("x_auth_request_user", "root"),
            ("x-auth_request-Anything", "root"),
            ("x.auth!request~user", "root"),
            ("X-Rewrite-URL", "/open"),
            ("Remote-User", "root"),
            ("remote.user", "root"),
            ("X-Forwarded-Email", "root@corp.example"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Original-URL", "/open"),
            ("Trailer", "X-Auth-Request-User"),
            ("X-Forward", "kept"),
            ("Authorization", "Bearer kept"),
        ]);
        strip_claims(&mut map, &list, false);
        assert_eq!(
            listed(&map),
            ["authorization: Bearer kept", "x-forward: kept"]
        );
    }

    #[test]
    fn a_clients_address_is_said_by_trusted_proxies_alone() {
        let lines = [
            ("True-Client-IP", "1.2.3.4"),
            ("CF_Connecting_IP", "1.2.3.4"),
            ("X-Client-IP", "1.2.3.4"),
            ("Client-Hints", "kept"),
        ];
        let left = |is_trusted| {
            let mut map = headers(&lines);
            strip_claims(&mut map, &[], is_trusted);
            map.len()
        };
        assert_eq!((left(false), left(true)), (1, 4));
    }

    #[test]
    fn our_cookies_go_and_others_stay_octet_by_octet() {
        let mut map = headers(&[
            ("cookie", "a=1; __Host-vestibule=s; b=2=3"),
            ("cookie", "vestibule-http=s"),
            ("cookie", "vestibule-http-try-x=s;c"),
        ]);
        map.append(header::COOKIE, HeaderValue::from_bytes(b"d=\xff").unwrap());
        strip_our_cookies(&mut map);
        let left: Vec<&[u8]> = map
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        assert_eq!(left, [&b"a=1; b=2=3"[..], b"c", b"d=\xff"]);
        let mut untouched = headers(&[("cookie", "a=1;b=2")]);
        strip_our_cookies(&mut untouched);
        assert_eq!(untouched[header::COOKIE], "a=1;b=2");
    }

    #[test]
    fn nginx_is_asked_to_hold_back_no_answer_of_unknown_length() {
        for (sent, said) in [
            (&[("content-type", "text/event-stream")][..], Some("no")),
            (&[("content-length", "5")], None),
            (&[("x-accel-buffering", "yes")], Some("yes")),
        ] {
            let mut headers = headers(sent);
            ask_for_no_buffering(&mut headers);
            let now = headers.get("x-accel-buffering");
            assert_eq!(now.map(|now| now.to_str().unwrap()), said);
        }
    }

    #[test]
    fn a_service_cannot_set_our_cookies() {
        let mut map = headers(&[
            ("set-cookie", "a=__Host-vestibule; Path=/"),
            ("set-cookie", " __Host-vestibule =x; Path=/; Secure"),
            ("set-cookie", "vestibule-http=; Max-Age=0"),
            ("set-cookie", "=vestibule-http=x"),
        ]);
        strip_our_set_cookies(&mut map);
        assert_eq!(listed(&map), ["set-cookie: a=__Host-vestibule; Path=/"]);
    }
}
