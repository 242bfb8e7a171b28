//! Which certificate a client is shown: the one for the very name it asks for, else one with a wildcard over it, else
//! the first.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::files::Certificate;

/// The certificates in force. New connections see a change, open ones keep what they have.
#[derive(Debug)]
pub(super) struct Choice(ArcSwap<Names>);

/// By name, each the first certificate that has it.
#[derive(Debug, Default)]
struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Under what follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

// === impl Choice ===

impl Choice {
    pub(super) fn new<'c>(certificates: impl IntoIterator<Item = &'c Certificate>) -> Self {
        Self(ArcSwap::from_pointee(Names::of(certificates)))
    }

    pub(super) fn change<'c>(&self, certificates: impl IntoIterator<Item = &'c Certificate>) {
        self.0.store(Arc::new(Names::of(certificates)));
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().find(client_hello.server_name()).cloned()
    }
}

// === impl Names ===

impl Names {
    fn of<'c>(certificates: impl IntoIterator<Item = &'c Certificate>) -> Self {
        let mut names = Self::default();
        for certificate in certificates {
            let certified = &certificate.certified;
            names.first.get_or_insert_with(|| Arc::clone(certified));
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut names.wildcard, suffix),
                    None => (&mut names.exact, name.as_str()),
                };
                map.entry(name.to_owned())
                    .or_insert_with(|| Arc::clone(certified));
            }
        }
        names
    }

    /// A client that names nobody (it knows an address only) or somebody unknown gets the first: it may know better,
    /// and an error of TLS tells people less than their browser's page about the wrong name.
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return self.first.as_ref();
        };
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact
            .get(&name)
            .or_else(|| self.wildcard.get(parent?))
            .or(self.first.as_ref())
    }
}
