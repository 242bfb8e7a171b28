//! Which host a request asks, settled once: two readings of it are the way around every rule that is written by host.

use axum::body::Body;
use http::{HeaderValue, Method, Request, Uri, Version, header};

use super::page::Problem;
use crate::policy::Host;

/// The host that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Without port and trailing dot, in lower case.
    pub(super) host: Host,
    /// The host with the port that the client named.
    pub(super) authority: HeaderValue,
}

// === impl Asked ===

impl Asked {
    /// Reads the host. In HTTP/1.1 there is exactly one Host header, and an absolute-form target counts more than it
    /// (RFC 9112 §3.2.2). In HTTP/2 `:authority` takes its place, and a Host header that says anything else is
    /// refused (RFC 9113 §8.3.1).
    pub(super) fn read(request: &Request<Body>) -> Result<Self, Problem> {
        if request.method() == Method::CONNECT {
            return Err(Problem::Unreadable(
                "CONNECT asks for a tunnel, and none is given here.",
            ));
        }
        let uri = request.uri();
        let target = match (uri.authority(), uri.scheme_str()) {
            (Some(authority), Some("http" | "https")) => Some(authority.as_str()),
            (None, None) => None,
            _ => {
                return Err(Problem::Unreadable(
                    "The request's target has an unknown scheme.",
                ));
            }
        };
        if !uri.path().starts_with('/') {
            return Err(Problem::Unreadable("The request's target is not a path."));
        }
        let mut lines = request.headers().get_all(header::HOST).iter();
        let header = match (lines.next(), lines.next()) {
            (Some(line), None) => Some(line.to_str().map_err(|_| Problem::UnknownHost)?),
            (None, None) if request.version() == Version::HTTP_2 && target.is_some() => None,
            _ => {
                return Err(Problem::Unreadable(
                    "A request must have exactly one Host header.",
                ));
            }
        };
        let text = target.or(header).ok_or(Problem::UnknownHost)?;
        let asked = Self::parse(text).ok_or(Problem::UnknownHost)?;
        if request.version() == Version::HTTP_2
            && header.is_some_and(|header| Self::parse(header).as_ref() != Some(&asked))
        {
            return Err(Problem::Unreadable(
                "The Host header and the :authority of a request must be the same.",
            ));
        }
        Ok(asked)
    }

    fn parse(text: &str) -> Option<Self> {
        let host = Host::from_authority(text)?;
        let authority = match text.split_once(':') {
            Some((_, port)) => {
                HeaderValue::try_from(format!("{host}:{}", port.parse::<u16>().ok()?))
            }
            None => HeaderValue::from_str(host.as_str()),
        };
        Some(Self {
            authority: authority.ok()?,
            host,
        })
    }

    /// Writes the reading back, so that whoever is asked next cannot read anything else: one Host header, a target
    /// that is a path, one Cookie line (HTTP/2 splits it, RFC 9113 §8.2.3, and servers of HTTP/1.1 read only one).
    pub(super) fn settle(&self, request: &mut Request<Body>) {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.authority.clone());
        let crumbs: Vec<&[u8]> = headers
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if crumbs.len() > 1
            && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
        {
            headers.insert(header::COOKIE, whole);
        }
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version, target: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let asked = Asked::read(&request.body(Body::empty()).unwrap()).ok()?;
        Some(asked.authority.to_str().unwrap().to_owned())
    }

    #[test]
    fn one_way_to_write_a_host_comes_out_of_many() {
        for (host, expected) in [
            ("wiki.example", Some("wiki.example")),
            ("WIKI.example.:0443", Some("wiki.example:443")),
            ("wiki.example:99999", None),
            ("wiki.example:", None),
            ("wiki.example:+80", None),
            ("user@wiki.example", None),
            ("user:80@wiki.example", None),
            ("127.0.0.1", None),
            ("[::1]", None),
            ("[::1]:80", None),
            ("::1", None),
            ("[wiki.example]:80", None),
            ("wiki.example, wiki.example", None),
            ("", None),
        ] {
            assert_eq!(
                asked(Version::HTTP_11, "/", &[host]).as_deref(),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn http_2_needs_no_host_header_and_takes_no_other() {
        let (two, url) = (Version::HTTP_2, "https://wiki.example/");
        let wiki = Some("wiki.example".to_owned());
        assert_eq!(asked(two, url, &[]), wiki);
        assert_eq!(asked(two, url, &["WIKI.example."]), wiki);
        assert_eq!(asked(two, "/", &["wiki.example"]), wiki);
        assert_eq!(asked(two, url, &["open.example"]), None);
        assert_eq!(asked(two, url, &["wiki.example:443"]), None);
        assert_eq!(asked(two, url, &["wiki.example", "wiki.example"]), None);
        assert_eq!(asked(two, "/", &[]), None);
        assert_eq!(asked(Version::HTTP_11, url, &[]), None);
        assert_eq!(asked(Version::HTTP_10, "/", &[]), None);
    }
}
