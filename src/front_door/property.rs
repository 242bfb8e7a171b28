//! What must hold of every request's headers on their way through the front door, and of every answer's; unit tests
//! and the fuzz target `headers` share it. Each second reading is plain and written without looking at the first.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::{
    forwarded,
    headers::{strip_claims, strip_hop_by_hop, strip_our_cookies, strip_our_set_cookies},
};

/// Lines: `NAME: VALUE`. They came from a trusted proxy, from a stranger, and from a service.
pub fn holds(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|octet| *octet == b'\n') {
        let colon = line.iter().position(|octet| *octet == b':');
        let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
            continue;
        };
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    nothing_of_a_connection_crosses(&headers);
    nothing_that_claims_crosses(&headers);
    our_cookies_stay_here(&headers);
    addresses_are_those_of_proxies(&headers);
}

fn nothing_of_a_connection_crosses(headers: &HeaderMap) {
    let mut crossed = headers.clone();
    strip_hop_by_hop(&mut crossed);
    let nominated: Vec<String> = headers
        .get_all("connection")
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase())
        .collect();
    let belongs = |name: &str| {
        let listed = nominated.iter().flat_map(|line| line.split(','));
        let always = "connection proxy-connection keep-alive te transfer-encoding upgrade \
            http2-settings proxy-authorization proxy-authenticate proxy";
        let never = ["host", "content-length"];
        always.split_whitespace().any(|one| one == name)
            || !never.contains(&name) && listed.into_iter().any(|one| one.trim_ascii() == name)
    };
    assert_eq!(listed(&crossed), without(headers, belongs));
}

fn nothing_that_claims_crosses(headers: &HeaderMap) {
    let identity = ["x-auth-request-user", "remote_user"].map(HeaderName::from_static);
    let mut crossed = headers.clone();
    strip_claims(&mut crossed, &identity, true);
    // A CGI program's variable for it.
    let variable = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        name.to_ascii_uppercase().chars().map(plain).collect()
    };
    let claims = |name: &str| {
        let variable = variable(name);
        let families = ["X_FORWARDED_", "X_AUTH_REQUEST_", "X_ORIGINAL_"];
        let single = "REMOTE_USER FORWARDED X_REAL_IP X_SCHEME X_FORWARDED X_REWRITE_URL";
        name == "trailer"
            || families.iter().any(|family| variable.starts_with(family))
            || single.split_whitespace().any(|one| one == variable)
    };
    assert_eq!(listed(&crossed), without(headers, claims));
}

fn our_cookies_stay_here(headers: &HeaderMap) {
    let mut crossed = headers.clone();
    strip_our_cookies(&mut crossed);
    let kept = |lines: &HeaderMap| -> Vec<Vec<u8>> {
        let lines = lines.get_all("cookie").into_iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|octet| *octet == b';'));
        pairs.map(|pair| pair.trim_ascii().to_vec()).collect()
    };
    let others: Vec<_> = kept(headers)
        .into_iter()
        .filter(|pair| !is_ours(pair))
        .collect();
    let left: Vec<_> = kept(&crossed);
    assert!(!left.iter().any(|pair| is_ours(pair)));
    let full = |pairs: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        pairs.into_iter().filter(|pair| !pair.is_empty()).collect()
    };
    assert_eq!(full(left), full(others), "octet for octet");

    let mut answered = headers.clone();
    strip_our_set_cookies(&mut answered);
    let lines = |headers: &HeaderMap| -> Vec<HeaderValue> {
        headers.get_all("set-cookie").iter().cloned().collect()
    };
    let others = lines(headers).into_iter().filter(|line| {
        let pair = line.as_bytes().split(|octet| *octet == b';').next();
        let pair = pair.unwrap_or_default().trim_ascii();
        // What a browser keeps and sends back: a cookie without a name is its value.
        let bare = pair.strip_prefix(b"=").unwrap_or(pair);
        !is_ours(pair) && !is_ours(bare)
    });
    assert_eq!(lines(&answered), others.collect::<Vec<_>>());
}

fn is_ours(pair: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pair);
    let name = text.split('=').next().unwrap_or_default().trim_ascii();
    ["__Host-vestibule", "vestibule-http"].iter().any(|ours| {
        name.strip_prefix(ours)
            .is_some_and(|rest| rest.is_empty() || rest == "-landed" || rest.starts_with("-try-"))
    })
}

fn addresses_are_those_of_proxies(headers: &HeaderMap) {
    let trusted: [IpNet; 2] = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
    let is_proxy = |hop: &IpAddr| trusted.iter().any(|net| net.contains(hop));
    let stranger: IpAddr = [198, 51, 100, 7].into();
    let read = |headers: &HeaderMap, peer| forwarded::Path::of(headers, peer, &trusted).hops();
    assert_eq!(read(headers, stranger), [stranger]);
    let near: IpAddr = [10, 0, 0, 1].into();
    let hops = read(headers, near);
    assert!((1..=32).contains(&hops.len()) && hops.last() == Some(&near));
    assert!(hops.iter().skip(1).all(is_proxy));
    if let Some(client) = hops.first().filter(|hop| !is_proxy(hop)) {
        // Whatever somebody writes in front of what the proxies wrote, the client stays who it is.
        let told: Vec<&[u8]> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let forged = [&b"192.0.2.66, 10.0.0.3"[..], &told.join(&b", "[..])].join(&b", "[..]);
        let mut again = HeaderMap::new();
        again.insert(
            "x-forwarded-for",
            HeaderValue::from_bytes(&forged).expect("values, joined"),
        );
        if !told.is_empty() {
            assert_eq!(read(&again, near).first(), Some(client));
        }
    }
}

fn listed(headers: &HeaderMap) -> Vec<(String, HeaderValue)> {
    without(headers, |_| false)
}

fn without(headers: &HeaderMap, left_out: impl Fn(&str) -> bool) -> Vec<(String, HeaderValue)> {
    let lines = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.clone()));
    let mut kept: Vec<_> = lines.filter(|(name, _)| !left_out(name)).collect();
    // A map that lost a name has the others in another order; the lines of each name keep theirs.
    kept.sort_by(|one, other| one.0.cmp(&other.0));
    kept
}

#[test]
fn every_committed_set_of_headers_holds_the_property() {
    let inputs = std::fs::read_dir("tests/fuzz/corpus/headers").unwrap();
    let held = inputs.map(|input| holds(&std::fs::read(input.unwrap().path()).unwrap()));
    assert!(held.count() > 10);
}
