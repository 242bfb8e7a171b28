//! One provider's metadata and keys, fetched when needed and kept.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    cached::Cached,
    discovery::{Metadata, discover},
    error::ProviderError,
    http::{Outgoing, shown},
    keys::KeySet,
    metrics::Operation,
};
use crate::{clock::Clock, published::Observation};

/// What is known about one issuer. Another issuer in the settings is another of these, so that nothing of
/// the old one is believed about the new one.
#[derive(Debug)]
pub(super) struct Issuer {
    identifier: Arc<str>,
    outgoing: Outgoing,
    observations: mpsc::Sender<Observation>,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
}

// === impl Issuer ===

impl Issuer {
    pub(super) fn new(
        identifier: Arc<str>,
        outgoing: Outgoing,
        observations: mpsc::Sender<Observation>,
        clock: &Clock,
    ) -> Self {
        let provider = outgoing.provider();
        Self {
            metadata: Cached::new(provider.clone(), clock.clone()),
            keys: Cached::new(provider.clone(), clock.clone()),
            identifier,
            outgoing,
            observations,
        }
    }

    /// Whether this is the issuer that the settings mean, reached as they allow.
    pub(super) fn is(&self, identifier: &str, plain_http: bool) -> bool {
        *self.identifier == *identifier && self.outgoing.lets_plain_http_pass() == plain_http
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let fetch = || {
            let (outgoing, identifier) = (self.outgoing.clone(), self.identifier.clone());
            let observations = self.observations.clone();
            async move {
                let discovered = discover(&outgoing, &identifier).await;
                let failure = discovered.as_ref().err();
                // Full: somebody else's news is still being read, and the next fetch tells again.
                let _ = observations.try_send(Observation::Discovery {
                    provider: outgoing.provider().clone(),
                    failure: failure.map(|error| error.to_string().into()),
                });
                discovered
            }
        };
        self.metadata.current(fetch).await
    }

    pub(super) async fn keys(&self, metadata: &Metadata) -> Result<Arc<KeySet>, ProviderError> {
        self.keys.current(|| self.fetch_keys(metadata)).await
    }

    /// For a token that no known key verifies: the provider may have a new one.
    pub(super) async fn newer_keys(
        &self,
        metadata: &Metadata,
    ) -> Result<Arc<KeySet>, ProviderError> {
        self.keys.newer(|| self.fetch_keys(metadata)).await
    }

    fn fetch_keys(
        &self,
        metadata: &Metadata,
    ) -> impl Future<Output = Result<KeySet, ProviderError>> + Send + 'static {
        let (outgoing, jwks_uri) = (self.outgoing.clone(), metadata.jwks_uri.clone());
        async move {
            let document = outgoing
                .document(Operation::Keys, &jwks_uri)
                .await
                .map_err(|failure| failure.of(outgoing.provider()))?;
            let keys = KeySet::read(&document).filter(|keys| keys.len() > 0);
            keys.ok_or_else(|| ProviderError::Misconfigured {
                provider: outgoing.provider().clone(),
                reason: format!(
                    "{} holds no key that can verify an ID token",
                    shown(&jwks_uri)
                )
                .into(),
            })
        }
    }
}
