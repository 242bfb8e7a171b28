//! DNS host names as the data planes route them: lower case, no port, no trailing dot.

use std::{fmt, sync::Arc};

/// A well-formed DNS host name in lower case (RFC 1123 §2.1): labels of letters, digits and inner
/// hyphens, 253 octets at most. Never an IP address: an Ingress cannot have one as host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

/// A host of an Ingress: one name, or `*.suffix`, which covers exactly one more label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This name alone.
    Exact(Host),
    /// Every name with exactly one label before this one.
    Wildcard(Host),
}

// === impl Host ===

impl Host {
    /// Reads a host name; ASCII upper case is folded. Anything else that is not a plain DNS name
    /// (a port, a trailing dot, an address, an underscore) is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !is_dns_name(text) {
            return None;
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Some(Self(text.to_ascii_lowercase().into()));
        }
        Some(Self(text.into()))
    }

    /// Reads the value of a Host header: a host name, perhaps a trailing dot, perhaps `:port`.
    /// The port is not part of who is asked, so it is dropped.
    #[must_use]
    pub fn from_authority(text: &str) -> Option<Self> {
        let name = match text.split_once(':') {
            Some((name, port)) => {
                if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                name
            }
            None => text,
        };
        Self::parse(name.strip_suffix('.').unwrap_or(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first label, if there is more than one.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, rest)| rest)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

// === impl HostPattern ===

impl HostPattern {
    /// Reads the `host` of an Ingress rule.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(suffix) => Host::parse(suffix).map(Self::Wildcard),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    /// Whether a request for `host` is for this pattern.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::Wildcard(suffix) => host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == suffix.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

pub(super) fn is_dns_name(text: &str) -> bool {
    if text.is_empty() || text.len() > 253 {
        return false;
    }
    let mut last: &[u8] = &[];
    for label in text.as_bytes().split(|b| *b == b'.') {
        let well_formed = (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-');
        if !well_formed {
            return false;
        }
        last = label;
    }
    // A name whose last label is a number is read as an address by browsers (WHATWG URL §3.5).
    !last.iter().all(u8::is_ascii_digit) && !is_hex_number(last)
}

fn is_hex_number(label: &[u8]) -> bool {
    label
        .strip_prefix(b"0x")
        .or_else(|| label.strip_prefix(b"0X"))
        .is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_folded_and_a_port_is_no_part_of_a_host() {
        assert_eq!(
            Host::parse("Wiki.Example").unwrap().as_str(),
            "wiki.example"
        );
        assert_eq!(
            Host::from_authority("Wiki.Example.:8443").unwrap().as_str(),
            "wiki.example"
        );
        assert!(Host::parse("wiki.example:80").is_none());
        assert!(Host::parse("wiki.example.").is_none());
    }

    #[test]
    fn what_is_not_a_plain_dns_name_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["a"; 128].join(".");
        for text in [
            "",
            ".",
            "a..b",
            "-a.example",
            "a-.example",
            "a_b.example",
            "127.0.0.1",
            "0x7f.0x1",
            "[::1]",
            "a b",
            "a/b",
            "a&b",
            "a%2eb",
            "exämple",
            "a\tb",
            "*.example",
            "user@host",
            &long,
            &longer,
        ] {
            assert!(Host::parse(text).is_none(), "{text:?}");
        }
        for text in ["a:", "a:b", "a:123456", "a:80:80", "a..", "a.:"] {
            assert!(Host::from_authority(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let pattern = HostPattern::parse("*.corp.example").unwrap();
        assert!(pattern.covers("wiki.corp.example"));
        assert!(!pattern.covers("corp.example"));
        assert!(!pattern.covers(".corp.example"));
        assert!(!pattern.covers("a.wiki.corp.example"));
        assert!(HostPattern::parse("*").is_none());
        assert!(HostPattern::parse("*.*.example").is_none());
        assert!(HostPattern::parse("a.*.example").is_none());
    }
}
