//! Cookies: names, reading, writing (RFC 6265bis).
//!
//! On https every name has the `__Host-` prefix: browsers then accept it only with Secure, from the host
//! itself, for the whole host, so no sibling domain can plant one. On plain http (demonstrations) other
//! names are used, which no https installation reads.

use std::time::Duration;

use crate::policy::Scheme;

/// The cookie names of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The session.
    pub session: &'static str,
    /// In front of the id of a sign-in under way.
    pub attempt: &'static str,
    /// The mark that a sign-in has just ended well.
    pub landed: &'static str,
    secure: bool,
}

/// The cookies of a request, found by scanning; nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Jar<'a>(&'a http::HeaderMap);

const HTTPS: Names = Names {
    session: "__Host-vestibule",
    attempt: "__Host-vestibule-try-",
    landed: "__Host-vestibule-landed",
    secure: true,
};

const HTTP: Names = Names {
    session: "vestibule-http",
    attempt: "vestibule-http-try-",
    landed: "vestibule-http-landed",
    secure: false,
};

// === impl Names ===

impl Names {
    /// The names that hold at a public scheme.
    #[must_use]
    pub fn at(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Https => HTTPS,
            Scheme::Http => HTTP,
        }
    }

    /// Whether a cookie is one of ours, of either scheme: no service gets to see it.
    #[must_use]
    pub fn is_ours(name: &[u8]) -> bool {
        [HTTPS, HTTP].iter().any(|names| {
            name == names.session.as_bytes()
                || name == names.landed.as_bytes()
                || name.starts_with(names.attempt.as_bytes())
        })
    }
}

// === impl Jar ===

impl<'a> Jar<'a> {
    /// The cookies of these request headers.
    #[must_use]
    pub fn of(headers: &'a http::HeaderMap) -> Self {
        Self(headers)
    }

    /// Every cookie, name and value, in the order sent.
    pub fn all(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0
            .get_all(http::header::COOKIE)
            .into_iter()
            .flat_map(|line| Pairs(Some(line.as_bytes())))
            .filter_map(|pair| {
                let pair = pair.trim_ascii();
                let equals = memchr::memchr(b'=', pair)?;
                Some((pair.get(..equals)?, pair.get(equals.checked_add(1)?..)?))
            })
    }

    /// The values of every cookie with this name.
    pub fn named(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all()
            .filter(move |(n, _)| *n == name.as_bytes())
            .map(|(_, value)| value)
    }
}

/// What stands between the semicolons of a Cookie line, found a vector register at a time.
struct Pairs<'a>(Option<&'a [u8]>);

// === impl Pairs ===

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0?;
        let (pair, rest) = match memchr::memchr(b';', line) {
            Some(end) => (line.get(..end)?, line.get(end.checked_add(1)?..)),
            None => (line, None),
        };
        self.0 = rest;
        Some(pair)
    }
}

/// A Set-Cookie value: host-only, for the whole host, HttpOnly, SameSite=Lax, Secure on https. A `life` of
/// zero deletes.
#[must_use]
pub fn set_cookie(names: Names, name: &str, value: &str, life: Duration) -> String {
    let secure = if names.secure { "; Secure" } else { "" };
    format!(
        "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        life.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::*;

    #[test]
    fn cookies_are_found_wherever_they_stand() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; __Host-vestibule=x=y ;b;  __Host-vestibule=z"),
        );
        headers.append(
            COOKIE,
            HeaderValue::from_bytes(b"c=\xff; __Host-vestibule2=no").unwrap(),
        );
        let found: Vec<_> = Jar::of(&headers).named("__Host-vestibule").collect();
        assert_eq!(found, [&b"x=y"[..], &b"z"[..]]);
        assert_eq!(Jar::of(&HeaderMap::new()).all().count(), 0);
    }

    #[test]
    fn https_cookies_are_bound_to_the_host_by_the_browser() {
        let names = Names::at(Scheme::Https);
        let line = set_cookie(names, names.session, "v", Duration::from_secs(60));
        assert_eq!(
            line,
            "__Host-vestibule=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(!line.contains("Domain"));
        assert!(names.session.starts_with("__Host-") && names.attempt.starts_with("__Host-"));
        assert!(Names::is_ours(b"vestibule-http-try-x") && !Names::is_ours(b"vestibulex"));
    }
}
