//! Request targets and the paths that rules name (docs/protecting.md, "Paths").
//!
//! A proxy, a service and we must mean the same thing by a path, or a rule protects something else
//! than what is served. So rules judge only targets in canonical form, where there is nothing
//! left to interpret; every other target counts as "could be anything".

use std::borrow::Cow;

/// The path of a request target, decoded once; its existence proves that the target was canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a>(Cow<'a, [u8]>);

/// The target has more than one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCanonical;

/// What a path rule names. Values are kept decoded, as they are compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// This path.
    Exact(Box<[u8]>),
    /// Everything at or below this path, which ends in `/`.
    Prefix(Box<[u8]>),
}

// === impl CanonicalPath ===

impl<'a> CanonicalPath<'a> {
    /// Reads the path of a request target, up to the first `?`.
    ///
    /// # Errors
    /// If proxies and services could read the target differently.
    pub fn parse(target: &'a str) -> Result<Self, NotCanonical> {
        let end = target.find('?').unwrap_or(target.len());
        let path = target.as_bytes().get(..end).ok_or(NotCanonical)?;
        if path.first() != Some(&b'/') || !path.iter().all(|b| is_plain(*b)) {
            return Err(NotCanonical);
        }
        let decoded = decode(path)?;
        let mut segments = decoded.split(|b| *b == b'/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let empty_inside = segment.is_empty() && segments.peek().is_some();
            if empty_inside || segment == b"." || segment == b".." {
                return Err(NotCanonical);
            }
        }
        Ok(Self(decoded))
    }

    /// The decoded octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

// === impl PathMatch ===

impl PathMatch {
    /// Reads the value of an `Exact` rule.
    ///
    /// # Errors
    /// If the value is not a canonical path without a query.
    pub fn exact(value: &str) -> Result<Self, NotCanonical> {
        Ok(Self::Exact(rule_value(value)?))
    }

    /// Reads the value of a `Prefix` rule, which must end in `/`.
    ///
    /// # Errors
    /// If the value is not a canonical path that ends in `/`.
    pub fn prefix(value: &str) -> Result<Self, NotCanonical> {
        let octets = rule_value(value)?;
        if octets.last() == Some(&b'/') {
            Ok(Self::Prefix(octets))
        } else {
            Err(NotCanonical)
        }
    }

    /// Whether an exception that opens means this path: octet by octet.
    #[must_use]
    pub fn opens(&self, path: &CanonicalPath<'_>) -> bool {
        match self {
            Self::Exact(value) => path.as_bytes() == &**value,
            Self::Prefix(value) => path.as_bytes().starts_with(value),
        }
    }

    /// Whether an exception that closes means this path: ASCII case and a slash at the end are ignored, since some
    /// services ignore them (`/admin/` covers `/admin` too, and the other way round).
    #[must_use]
    pub fn closes(&self, path: &CanonicalPath<'_>) -> bool {
        let octets = path.as_bytes();
        let (Self::Exact(value) | Self::Prefix(value)) = self;
        let below = match self {
            Self::Exact(_) => false,
            Self::Prefix(_) => octets
                .get(..value.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(value)),
        };
        below || without_slash(octets).eq_ignore_ascii_case(without_slash(value))
    }

    /// How specific the match is: longer is more, and an exact path is more than any prefix.
    #[must_use]
    pub fn specificity(&self) -> (bool, usize) {
        match self {
            Self::Exact(value) => (true, value.len()),
            Self::Prefix(value) => (false, value.len()),
        }
    }
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Octets that stand for themselves in a path: visible ASCII without those that some reader treats
/// as a separator, a quote or an escape.
fn is_plain(octet: u8) -> bool {
    (0x21..=0x7e).contains(&octet) && !br#"#;\"<>^`{|}"#.contains(&octet)
}

fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, NotCanonical> {
    if memchr::memchr(b'%', path).is_none() {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((octet, tail)) = rest.split_first() {
        rest = tail;
        if *octet != b'%' {
            decoded.push(*octet);
            continue;
        }
        let (Some(high), Some(low)) = (hex(tail.first()), hex(tail.get(1))) else {
            return Err(NotCanonical);
        };
        let value = (high << 4) | low;
        if value < 0x20 || value == 0x7f || b"/\\.%;?#".contains(&value) {
            return Err(NotCanonical);
        }
        decoded.push(value);
        rest = tail.get(2..).ok_or(NotCanonical)?;
    }
    let text = std::str::from_utf8(&decoded).map_err(|_| NotCanonical)?;
    // C1 controls are controls as well (ISO 6429), two octets each in UTF-8.
    if text.chars().any(char::is_control) {
        return Err(NotCanonical);
    }
    Ok(Cow::Owned(decoded))
}

fn hex(octet: Option<&u8>) -> Option<u8> {
    match octet? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        letter @ b'a'..=b'f' => Some(letter - b'a' + 10),
        letter @ b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

fn rule_value(value: &str) -> Result<Box<[u8]>, NotCanonical> {
    if value.contains('?') {
        return Err(NotCanonical);
    }
    Ok(CanonicalPath::parse(value)?
        .0
        .into_owned()
        .into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(target: &str) -> CanonicalPath<'_> {
        CanonicalPath::parse(target).unwrap()
    }

    #[test]
    fn canonical_targets_are_decoded_once() {
        assert_eq!(path("/").as_bytes(), b"/");
        assert_eq!(path("/a/b/?x=//../%2f").as_bytes(), b"/a/b/");
        assert_eq!(path("/a%20b/%C3%A4").as_bytes(), "/a b/ä".as_bytes());
        assert_eq!(
            path("/a:b@c!$&'()*+,=~-_[].x").as_bytes(),
            b"/a:b@c!$&'()*+,=~-_[].x"
        );
    }

    #[test]
    fn what_has_two_readings_is_not_canonical() {
        for target in [
            "",
            "a",
            "*",
            "http://h/",
            "//",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/..",
            "/a/./b",
            "/../a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/%2e%2e/a",
            "/%2e",
            "/a%252f",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a;b",
            "/a%3bb",
            "/a%3fb",
            "/a%23b",
            "/a#b",
            "/a\\b",
            "/a b",
            "/a\tb",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/%C3",
            "/%C0%AE",
            "/%ED%A0%80",
            "/%C2%85",
            "/ä",
            "/a\"b",
            "/a<b",
            "/a|b",
            "/a^b",
            "/a`b",
            "/a{b}",
            "/a\u{0}",
        ] {
            assert_eq!(
                CanonicalPath::parse(target),
                Err(NotCanonical),
                "{target:?}"
            );
        }
    }

    #[test]
    fn opening_is_exact_and_closing_is_generous() {
        let prefix = PathMatch::prefix("/admin/").unwrap();
        assert!(prefix.opens(&path("/admin/x")) && !prefix.opens(&path("/Admin/x")));
        assert!(!prefix.opens(&path("/admin")) && !prefix.opens(&path("/adminx")));
        assert!(prefix.closes(&path("/ADMIN/x")) && prefix.closes(&path("/admin")));
        assert!(!prefix.closes(&path("/adminx")));
        let exact = PathMatch::exact("/healthz").unwrap();
        assert!(exact.opens(&path("/healthz?full")) && !exact.opens(&path("/healthz/")));
        assert!(exact.closes(&path("/HealthZ")) && exact.closes(&path("/healthz/")));
        assert!(!exact.closes(&path("/healthz/x")) && !exact.closes(&path("/healthzz")));
    }

    #[test]
    fn rule_values_are_canonical_and_prefixes_end_in_a_slash() {
        assert!(PathMatch::prefix("/admin").is_err());
        assert!(PathMatch::prefix("/a/../b/").is_err());
        assert!(PathMatch::exact("/a?b").is_err());
        assert!(PathMatch::exact("").is_err());
    }

    proptest! {
        #[test]
        fn a_canonical_path_has_no_dot_segment_no_escape_and_no_empty_segment(target in "/[a-zA-Z0-9%./;?# \\\\_äC3]{0,24}") {
            if let Ok(canonical) = CanonicalPath::parse(&target) {
                let text = std::str::from_utf8(canonical.as_bytes()).unwrap();
                prop_assert!(!text.contains("//"));
                prop_assert!(!text.split('/').any(|s| s == "." || s == ".."));
                prop_assert!(!text.contains(['\\', ';', '%', '#', '?']));
                prop_assert!(!text.chars().any(char::is_control));
            }
        }

        #[test]
        fn what_opens_also_closes(value in "/([a-b]{1,2}/){0,2}", target in "/([a-bA]{1,2}/){0,3}") {
            let rule = PathMatch::prefix(&value).unwrap();
            let path = CanonicalPath::parse(&target).unwrap();
            prop_assert!(!rule.opens(&path) || rule.closes(&path));
        }
    }
}
