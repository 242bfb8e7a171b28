//! Pages of other origins: what a browser does for one of them with the cookies of a host.

use http::{
    HeaderMap,
    header::{ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION},
};

use crate::policy::{Host, Origin};

/// Whether a request comes from a page of another origin, as browsers say. Browsers ask nobody before they open a
/// WebSocket across origins, and the page can read what comes back.
#[must_use]
pub fn is_foreign(headers: &HeaderMap, host: &str, origin: Origin) -> bool {
    let mut lines = headers.get_all(ORIGIN).iter().peekable();
    let own = |line: &http::HeaderValue| {
        let text = line.to_str().unwrap_or_default();
        let rest = text
            .strip_prefix(origin.scheme.as_str())
            .and_then(|rest| rest.strip_prefix("://"));
        // Cookies know no ports, and the public one may differ from what stands in the settings.
        rest.and_then(Host::from_authority)
            .is_some_and(|page| page.as_str() == host)
    };
    lines.peek().is_some() && !lines.all(own)
}

/// Whether a page of another origin is about to open a WebSocket (RFC 6455 §4.1). Proxies that ask take Upgrade away
/// and leave the handshake's other headers. Few requests have an Origin, so most pay for one look.
pub(super) fn opens_a_web_socket(headers: &HeaderMap, host: &str, origin: Origin) -> bool {
    headers.contains_key(ORIGIN)
        && (headers.contains_key(SEC_WEBSOCKET_KEY) || headers.contains_key(SEC_WEBSOCKET_VERSION))
        && is_foreign(headers, host, origin)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::policy::Scheme;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_page_is_foreign_unless_its_host_and_scheme_are_the_ones_that_are_asked() {
        let host = "wiki.example";
        let origin = Origin {
            scheme: Scheme::Https,
            port: 443,
        };
        let foreign = |lines: &[(&str, &str)]| is_foreign(&headers(lines), host, origin);
        assert!(!foreign(&[]));
        for own in [
            "https://wiki.example",
            "https://WIKI.example",
            "https://wiki.example:8443",
        ] {
            assert!(!foreign(&[("origin", own)]), "{own}");
        }
        for other in [
            "https://evil.wiki.example",
            "https://wiki.example.evil",
            "http://wiki.example",
            "httpss://wiki.example",
            "https://wiki.example@evil.example",
            "https://wiki.example/",
            "null",
            "",
        ] {
            assert!(foreign(&[("origin", other)]), "{other}");
        }
        assert!(foreign(&[
            ("origin", "https://wiki.example"),
            ("origin", "https://evil.example")
        ]));
    }

    #[test]
    fn a_web_socket_is_known_by_any_header_of_its_handshake() {
        let origin = Origin {
            scheme: Scheme::Https,
            port: 443,
        };
        let (other, own) = ("https://evil.example", "https://wiki.example");
        for (lines, expected) in [
            (&[("origin", other)][..], false),
            (&[("sec-websocket-key", "x")], false),
            (&[("origin", other), ("sec-websocket-key", "x")], true),
            (&[("origin", other), ("sec-websocket-version", "13")], true),
            (&[("origin", own), ("sec-websocket-key", "x")], false),
        ] {
            let opens = opens_a_web_socket(&headers(lines), "wiki.example", origin);
            assert_eq!(opens, expected, "{lines:?}");
        }
    }
}
