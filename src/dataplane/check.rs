//! The question as ingress-nginx and Traefik's provider for it ask it:
//! `/verify/nginx/NAMESPACE/INGRESS?m=METHOD&u=TARGET&h=HOST`.
//!
//! The controller wrote the Ingress's name, nginx fills the three parameters. Exactly these are accepted, in this
//! order, once each: a client can put `&`, `=` and `#` into `$host` where a wildcard or default server
//! matches, which is why it comes last and must be a host name.

use std::borrow::Cow;

/// A question, taken apart. It borrows from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// `NAMESPACE/INGRESS`.
    pub service: &'a str,
    /// The client's method.
    pub method: &'a str,
    /// The client's request target, decoded once. What is no UTF-8 becomes U+FFFD, which no rule matches.
    pub target: Cow<'a, str>,
    /// The host as nginx matched it, in lower case. Not more than text yet: it counts once it is a host of
    /// the Ingress.
    pub host: &'a str,
}

/// Not a question that our annotations produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCheck;

/// Where the data planes ask.
pub const PATH: &str = "/verify/nginx/";

/// Takes a question apart.
///
/// # Errors
/// If it is anything but what our own annotation makes a data plane ask.
pub fn parse<'a>(path: &'a str, query: &'a str) -> Result<Check<'a>, NoCheck> {
    let service = path.strip_prefix(PATH).ok_or(NoCheck)?;
    let (namespace, ingress) = service.split_once('/').ok_or(NoCheck)?;
    if !is_object_name(namespace) || !is_object_name(ingress) {
        return Err(NoCheck);
    }
    let (method, rest) = query
        .strip_prefix("m=")
        .and_then(|rest| next(rest, "u="))
        .ok_or(NoCheck)?;
    let (target, host) = next(rest, "h=").ok_or(NoCheck)?;
    let method_is_plain = !method.is_empty()
        && method
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-');
    let host_is_plain = !host.is_empty()
        && host
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    if !method_is_plain || !host_is_plain {
        return Err(NoCheck);
    }
    Ok(Check {
        service,
        method,
        target: decode(target)?,
        host,
    })
}

/// A value, and what follows the next parameter's name. Neither a method nor an escaped target has a `&` in it.
fn next<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (value, rest) = text.split_at_checked(memchr::memchr(b'&', text.as_bytes())?)?;
    Some((value, rest.get(1..)?.strip_prefix(name)?))
}

/// The characters of names in Kubernetes (RFC 1123 subdomains).
fn is_object_name(name: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes
            .iter()
            .all(|b| alphanumeric(b) || *b == b'-' || *b == b'.')
}

/// nginx escapes everything but unreserved characters, so a separator here was put there by somebody else.
fn decode(text: &str) -> Result<Cow<'_, str>, NoCheck> {
    if text.is_empty() || text.bytes().any(|b| matches!(b, b'&' | b'=' | b'#' | b'?')) {
        return Err(NoCheck);
    }
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, tail)) = rest.split_first() {
        rest = tail;
        if *octet != b'%' {
            decoded.push(*octet);
            continue;
        }
        let digits = tail.split_first_chunk::<2>().ok_or(NoCheck)?;
        let high = char::from(digits.0[0]).to_digit(16).ok_or(NoCheck)?;
        let low = char::from(digits.0[1]).to_digit(16).ok_or(NoCheck)?;
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| NoCheck)?);
        rest = digits.1;
    }
    Ok(Cow::Owned(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: &str = "/verify/nginx/team-a/wiki";

    #[test]
    fn what_nginx_asks_is_read() {
        let check = parse(PLACE, "m=GET&u=%2Fa%2Fb%3Fx%3D1%26y%3D%252F&h=wiki.example").unwrap();
        assert_eq!(check.service, "team-a/wiki");
        assert_eq!((check.method, check.host), ("GET", "wiki.example"));
        assert_eq!(check.target, "/a/b?x=1&y=%2F");
        assert_eq!(
            parse(PLACE, "m=VERSION-CONTROL&u=%2F%FF&h=a")
                .unwrap()
                .target,
            "/\u{fffd}"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for query in [
            "",
            "m=GET",
            "m=GET&u=%2F",
            "m=GET&h=a&u=%2F",
            "u=%2F&m=GET&h=a",
            "h=a&u=%2F&m=GET",
            "m=&u=%2F&h=a",
            "m=GET&u=&h=a",
            "m=GET&u=%2F&h=",
            "m=GET&m=GET&u=%2F&h=a",
            "m=GET&u=%2F&u=%2Fpub&h=a",
            "m=GET&u=%2F&h=a&h=b",
            "m=GET&u=%2F&h=a&u=%2Fpub",
            "m=GET&u=%2F&h=a&x=1",
            "m=get&u=%2F&h=a",
            "m=GET&u=%2&h=a",
            "m=GET&u=%zz&h=a",
            "m=GET&u=/a?b&h=a",
            "m=GET&u=%2F&h=A.example",
            "m=GET&u=%2F&h=a%26b",
            "m=GET&u=%2F&h=a:80",
            "m=GET&u=%2F&h=a b",
            "m=G%45T&u=%2F&h=a",
            "M=GET&u=%2F&h=a",
            "&m=GET&u=%2F&h=a",
            "m=GET&&u=%2F&h=a",
            "m=GET&u=%2F&h=a&",
            "m=GET;u=%2F;h=a",
        ] {
            assert_eq!(parse(PLACE, query), Err(NoCheck), "{query:?}");
        }
        for path in [
            "/",
            "/verify",
            "/verify/nginx",
            "/verify/nginx/",
            "/verify/nginx/a",
            "/verify/nginx/a/",
            "/verify/nginx//a",
            "/verify/nginx/a/b/c",
            "/verify/nginx/a/b/",
            "/verify/nginx/../a",
            "/verify/nginx/a/%2e",
            "/verify/traefik/a/b",
            "/verify/nginx/A/b",
            "//verify/nginx/a/b",
        ] {
            assert_eq!(parse(path, "m=GET&u=%2F&h=a"), Err(NoCheck), "{path:?}");
        }
    }

    proptest! {
        /// docs/security.md, 2: what a client puts into its Host header never becomes another method or target.
        #[test]
        fn a_host_smuggles_nothing(host in "[a-z.&=#%?;mu0-9]{0,30}") {
            let query = format!("m=GET&u=%2Fsecret&h={host}");
            if let Ok(check) = parse(PLACE, &query) {
                prop_assert_eq!(check.method, "GET");
                prop_assert_eq!(&*check.target, "/secret");
                prop_assert_eq!(check.host, host);
            }
        }

        #[test]
        fn whatever_nginx_escapes_comes_back(target in "/[ -~]{0,40}") {
            let escaped: String = target.bytes().map(|b| format!("%{b:02X}")).collect();
            let query = format!("m=GET&u={escaped}&h=a");
            prop_assert_eq!(&*parse(PLACE, &query).unwrap().target, target.as_str());
        }

        #[test]
        fn no_query_makes_it_panic(query in "\\PC{0,60}", path in "\\PC{0,30}") {
            drop(parse(&path, &query));
        }
    }
}
