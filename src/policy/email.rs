//! E-mail addresses as identities: compared byte for byte, with ASCII case folding and
//! nothing else, so that what an identity provider vouched for is what is compared.

use std::{fmt, sync::Arc};

use super::{Host, host::is_dns_name};

/// An address that can be compared safely: printable ASCII, exactly one `@`, a dot-atom local part
/// (RFC 5322 §3.2.3) and a DNS name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    folded: Arc<str>,
    at: usize,
}

/// `corp.example`: that domain alone. `*.corp.example`: its subdomains alone, at any depth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// This domain and no other.
    Exact(Host),
    /// Every domain below this one, and not this one.
    Below(Host),
}

// === impl Email ===

impl Email {
    /// Reads an address; `None` if it is not one that may be compared.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 254 {
            return None;
        }
        let (local, domain) = text.split_once('@')?;
        let dot_atom = local.len() <= 64 && local.as_bytes().split(|b| *b == b'.').all(is_atom);
        if !dot_atom || !is_dns_name(domain) {
            return None;
        }
        let mut folded = Arc::<str>::from(text);
        Arc::make_mut(&mut folded).make_ascii_lowercase();
        Some(Self {
            folded,
            at: local.len(),
        })
    }

    /// The address in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.folded
    }

    /// The part behind the `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.folded
            .get(self.at.saturating_add(1)..)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folded)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folded)
    }
}

// === impl DomainPattern ===

impl DomainPattern {
    /// Reads an entry of `emailDomains`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(parent) => Host::parse(parent).map(Self::Below),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    /// Whether an address of `domain` (in lower case) is meant.
    #[must_use]
    pub fn covers(&self, domain: &str) -> bool {
        match self {
            Self::Exact(host) => host.as_str() == domain,
            Self::Below(parent) => domain
                .strip_suffix(parent.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn is_atom(text: &[u8]) -> bool {
    let is_text = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(b);
    !text.is_empty() && text.iter().all(is_text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_addresses_are_read_and_folded() {
        let email = Email::parse("Ann.O'Neil+x@Corp.Example").unwrap();
        assert_eq!(email.as_str(), "ann.o'neil+x@corp.example");
        assert_eq!(email.domain(), "corp.example");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "",
            "@",
            "ann",
            "ann@",
            "@corp.example",
            "a@b@corp.example",
            "\"a@b\"@corp.example",
            "ann@corp.example ",
            " ann@corp.example",
            "ann(x)@corp.example",
            "ann@corp.example.",
            "ann@corp..example",
            ".ann@corp.example",
            "ann.@corp.example",
            "a..b@corp.example",
            "ann@[127.0.0.1]",
            "ann@127.0.0.1",
            "ann@corp.exаmple",
            "änn@corp.example",
            "ann@corp.example\n",
            "ann@corp.example\0",
            "ann@corp_x.example",
            "<ann@corp.example>",
        ] {
            assert!(Email::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_domain_is_itself_and_a_wildcard_is_what_lies_below() {
        let exact = DomainPattern::parse("Corp.Example").unwrap();
        let below = DomainPattern::parse("*.corp.example").unwrap();
        assert!(exact.covers("corp.example") && !exact.covers("eu.corp.example"));
        assert!(!exact.covers("notcorp.example") && !exact.covers("corp.example.evil"));
        assert!(below.covers("eu.corp.example") && below.covers("a.eu.corp.example"));
        assert!(!below.covers("corp.example") && !below.covers("evilcorp.example"));
        for text in [
            "*",
            "*.",
            "",
            ".corp.example",
            "@corp.example",
            "corp.example/",
            "*corp.example",
        ] {
            assert!(DomainPattern::parse(text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_address_read_has_one_at_and_a_domain_that_is_a_host(text in "\\PC{0,40}") {
            if let Some(email) = Email::parse(&text) {
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert!(email.as_str().bytes().all(|b| (0x21..0x7f).contains(&b)));
                prop_assert!(Host::parse(email.domain()).is_some());
                prop_assert!(email.as_str().eq_ignore_ascii_case(&text));
            }
        }

        #[test]
        fn no_domain_is_covered_by_both_forms(domain in "[a-z]{1,3}(\\.[a-z]{1,3}){0,3}", parent in "[a-z]{1,3}(\\.[a-z]{1,3}){0,2}") {
            let exact = DomainPattern::parse(&parent).unwrap();
            let below = DomainPattern::parse(&format!("*.{parent}")).unwrap();
            prop_assert!(!(exact.covers(&domain) && below.covers(&domain)));
            prop_assert_eq!(below.covers(&domain), domain.ends_with(&format!(".{parent}")));
        }
    }
}
