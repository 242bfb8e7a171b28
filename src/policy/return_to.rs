//! Where a browser goes after sign-in: the `rd` parameter, read by a reader that knows only what is
//! safe.
//!
//! Not the WHATWG parser: that one repairs, and what it repairs differs between browsers. Here a
//! target is an absolute path, or a URL of the very host that is asked; the result is always a
//! path and query, so a redirect to it cannot leave the host.

use super::Host;

/// The scheme at which users reach protected hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain http, for demonstrations and tests only.
    Http,
    /// The default.
    Https,
}

/// How users reach protected hosts: a setting, never inferred from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The public scheme.
    pub scheme: Scheme,
    /// The public port.
    pub port: u16,
}

/// A safe place to return to on the host that is asked: path and query, starting with exactly one `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

/// The target could lead elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsafeReturn;

/// RFC 9112 §3 recommends supporting request lines of 8000 octets; nginx's default limit is 8 KiB.
const LONGEST: usize = 8 * 1024;

// === impl Scheme ===

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that need not be written.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

// === impl Origin ===

impl Default for Origin {
    fn default() -> Self {
        Self {
            scheme: Scheme::Https,
            port: Scheme::Https.default_port(),
        }
    }
}

impl Origin {
    /// `scheme://host` with the port where it is not the scheme's own.
    #[must_use]
    pub fn of(self, host: &str) -> String {
        let scheme = self.scheme.as_str();
        if self.port == self.scheme.default_port() {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

// === impl ReturnTo ===

impl ReturnTo {
    /// The front page of the host.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a return target for `host`.
    ///
    /// # Errors
    /// If it is not an absolute path or a URL of that host, or two readers could differ about it.
    pub fn parse(text: &str, host: &Host, origin: Origin) -> Result<Self, UnsafeReturn> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(is_uri_octet) {
            return Err(UnsafeReturn);
        }
        let path = if text.starts_with('/') {
            text
        } else {
            same_host(text, host, origin)?
        };
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        if path.is_empty() {
            return Ok(Self::root());
        }
        if !escapes_are_whole(path) {
            return Err(UnsafeReturn);
        }
        if path.starts_with('?') {
            return Ok(Self(format!("/{path}").into()));
        }
        let only_path = path.split_once('?').map_or(path, |(path, _)| path);
        if path.starts_with("//") || has_dot_segment(only_path) {
            return Err(UnsafeReturn);
        }
        Ok(Self(path.into()))
    }

    /// The path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows the authority, if that is `host` at the public port.
fn same_host<'a>(text: &'a str, host: &Host, origin: Origin) -> Result<&'a str, UnsafeReturn> {
    // ingress-nginx writes the scheme of the request it saw, which behind a balancer is http.
    let (scheme, rest) = if let Some(rest) = strip_scheme(text, "https://") {
        (Scheme::Https, rest)
    } else if let Some(rest) = strip_scheme(text, "http://") {
        (Scheme::Http, rest)
    } else {
        return Err(UnsafeReturn);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    let port_is_ours = match port {
        None => true,
        Some(port) => {
            !port.is_empty()
                && port.len() <= 5
                && port.bytes().all(|b| b.is_ascii_digit())
                && port
                    .parse::<u16>()
                    .is_ok_and(|n| n == origin.port || n == scheme.default_port())
        }
    };
    let host_is_asked = Host::parse(name).is_some_and(|name| &name == host);
    if host_is_asked && port_is_ours {
        Ok(path)
    } else {
        Err(UnsafeReturn)
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The octets that RFC 3986 allows in a path or query (§2.2, §2.3, §3.3, §3.4), and `%` and `#`.
fn is_uri_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&octet)
}

fn escapes_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let bytes = rest.as_bytes();
        bytes.len() >= 2 && bytes.iter().take(2).all(u8::is_ascii_hexdigit)
    })
}

/// Whether a segment is `.` or `..` once encoded dots, slashes and backslashes are read as plain ones.
fn has_dot_segment(path: &str) -> bool {
    let plain = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/");
    plain
        .split('/')
        .any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<String, UnsafeReturn> {
        let host = Host::parse("wiki.example").unwrap();
        ReturnTo::parse(text, &host, Origin::default()).map(|r| r.as_str().to_owned())
    }

    #[test]
    fn paths_and_urls_of_the_host_are_kept() {
        for (text, kept) in [
            ("/", "/"),
            ("/a/b?x=1&y=/../z//", "/a/b?x=1&y=/../z//"),
            ("/a%20b%2Fc", "/a%20b%2Fc"),
            ("/a#part", "/a"),
            ("https://wiki.example", "/"),
            ("https://wiki.example?x", "/?x"),
            ("https://wiki.example:443/a", "/a"),
            (
                "http://wiki.example/a?u=https://b.example/",
                "/a?u=https://b.example/",
            ),
            ("http://wiki.example:80/a", "/a"),
            ("HTTPS://WIKI.example/a", "/a"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(kept), "{text:?}");
        }
    }

    #[test]
    fn a_port_of_the_settings_counts_as_ours() {
        let host = Host::parse("wiki.localhost").unwrap();
        let origin = Origin {
            scheme: Scheme::Http,
            port: 8080,
        };
        assert!(ReturnTo::parse("http://wiki.localhost:8080/a", &host, origin).is_ok());
        assert!(ReturnTo::parse("http://wiki.localhost:8081/a", &host, origin).is_err());
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        let long = format!("/{}", "a".repeat(8 * 1024));
        for text in [
            "",
            "a",
            "//",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https://evil.example",
            "https://wiki.example.evil.example",
            "https://wiki.example@evil.example",
            "https://wiki.example:443@evil.example",
            "https://wiki.example:80:443/",
            "https://wiki.example:/",
            "https://wiki.example\\@evil.example",
            "https://wiki.example./",
            "https://wiki.example%2eevil/",
            "http://wiki.example:8080/",
            "ftp://wiki.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "/\t/evil.example",
            "/\n",
            "/a b",
            "/ä",
            "/a%",
            "/a%g0",
            "https://wiki.example?%2",
            "/..",
            "/../a",
            "/a/..",
            "/%2e%2e/a",
            "/.%2E/a",
            "/.",
            "https://wiki.example//evil.example",
            "https://wiki.example/../a",
            "/a/%2e%2e%2fb",
            "/..%5cb",
            "/[::1]",
            "/{a}",
            "/a|b",
            "/a\"b",
            "/a<b",
            "https://[::1]/",
            &long,
        ] {
            assert_eq!(read(text), Err(UnsafeReturn), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_on_the_host_for_a_browser_too(text in "(https?:)?[/\\\\]{0,3}(wiki\\.example)?[a-z@:./\\\\%?#\t ]{0,20}") {
            if let Ok(kept) = read(&text) {
                prop_assert!(kept.starts_with('/') && !kept.starts_with("//"));
                let base = url::Url::parse("https://wiki.example/oauth2/start").unwrap();
                let joined = base.join(&kept).unwrap();
                prop_assert_eq!(joined.host_str(), Some("wiki.example"));
                prop_assert_eq!(joined.origin(), base.origin());
            }
        }
    }
}
