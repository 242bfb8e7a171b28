//! Names: of objects we read, and of what we make.

use std::{fmt, sync::Arc};

use crate::policy::HostPattern;

/// A namespaced object's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// An object that has an owner who wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectRef {
    /// An Ingress.
    Ingress(Key),
    /// A ProtectedService.
    ProtectedService(Key),
    /// An IdentityProvider.
    IdentityProvider(Arc<str>),
}

/// `app.kubernetes.io/managed-by`, on everything the controller makes.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "vestibule";
/// Which installation made an object.
pub const INSTANCE_LABEL: &str = "vestibule.dev/instance";
/// On endpoint Ingresses: the host, as far as a label can hold it.
pub const ENDPOINT_HOST_LABEL: &str = "vestibule.dev/endpoint-host";
/// On a ProtectedService made from annotations, with the value `ingress`.
pub const DERIVED_FROM_LABEL: &str = "vestibule.dev/derived-from";

/// The longest name of an object that is a DNS subdomain (RFC 1123).
const LONGEST_NAME: usize = 253;
/// The longest value of a label.
const LONGEST_LABEL: usize = 63;

/// The name of the endpoint Ingress of a host. Two hosts never share one.
#[must_use]
pub fn endpoint_ingress_name(host: &HostPattern) -> String {
    let (name, unambiguous) = match host {
        HostPattern::Wildcard(suffix) => (format!("vestibule-wildcard.{suffix}"), true),
        HostPattern::Exact(name) => (
            format!("vestibule-{name}"),
            !name.as_str().starts_with("wildcard."),
        ),
    };
    if unambiguous && name.len() <= LONGEST_NAME {
        return name;
    }
    shortened(&name, &host.to_string(), LONGEST_NAME)
}

/// The value of [`ENDPOINT_HOST_LABEL`] for a host.
#[must_use]
pub fn host_label(host: &HostPattern) -> String {
    let (name, unambiguous) = match host {
        HostPattern::Wildcard(suffix) => (format!("wildcard.{suffix}"), true),
        HostPattern::Exact(name) => (name.to_string(), !name.as_str().starts_with("wildcard.")),
    };
    if unambiguous && name.len() <= LONGEST_LABEL {
        return name;
    }
    shortened(&name, &host.to_string(), LONGEST_LABEL)
}

/// A short, stable fingerprint (FNV-1a, 64 bits). It tells versions apart; it is no protection.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// `name` cut so that a fingerprint of `whole` fits behind it.
fn shortened(name: &str, whole: &str, longest: usize) -> String {
    let room = longest.saturating_sub(17);
    let kept = name.get(..room).unwrap_or(name);
    let kept = kept.trim_end_matches(['.', '-']);
    format!("{kept}-{}", fingerprint(whole.as_bytes()))
}

// === impl Key ===

impl Key {
    /// Joins the two names.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl ObjectRef ===

impl ObjectRef {
    /// The kind, as in manifests.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ingress(_) => "Ingress",
            Self::ProtectedService(_) => "ProtectedService",
            Self::IdentityProvider(_) => "IdentityProvider",
        }
    }

    /// The namespace, if the kind has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Ingress(key) | Self::ProtectedService(key) => Some(&key.namespace),
            Self::IdentityProvider(_) => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ingress(key) | Self::ProtectedService(key) => &key.name,
            Self::IdentityProvider(name) => name,
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingress(key) | Self::ProtectedService(key) => write!(f, "{} {key}", self.kind()),
            Self::IdentityProvider(name) => write!(f, "{} {name}", self.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> String {
        endpoint_ingress_name(&HostPattern::parse(host).unwrap())
    }

    #[test]
    fn every_host_has_an_endpoint_ingress_name_of_its_own() {
        assert_eq!(name("wiki.corp.example"), "vestibule-wiki.corp.example");
        assert_eq!(name("*.corp.example"), "vestibule-wildcard.corp.example");
        assert_ne!(name("wildcard.corp.example"), name("*.corp.example"));
        let long = |first: &str| format!("{first}{}.example", ".abcdefgh".repeat(26));
        assert_ne!(name(&long("a")), name(&long("b")));
        for host in ["wildcard.corp.example", &long("a")] {
            assert!(name(host).len() <= 253, "{}", name(host));
        }
    }

    #[test]
    fn a_host_label_fits_into_a_label() {
        let long = format!("*.{}.example", "a".repeat(63));
        for host in [
            "wiki.corp.example",
            "*.corp.example",
            "wildcard.x.example",
            &long,
        ] {
            let label = host_label(&HostPattern::parse(host).unwrap());
            assert!(label.len() <= 63, "{label}");
            assert!(!label.contains('*'), "{label}");
        }
    }
}
