//! What the endpoint learns and others want to know.

use std::sync::Arc;

/// A fact seen while serving people; carried on a channel to whoever writes statuses or logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A provider's discovery document was read, or could not be.
    Discovery {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// The failure in words, if it failed.
        failure: Option<Arc<str>>,
    },
    /// A provider's token endpoint knows this client, or refuses it.
    Client {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// The refusal in words, if it refused.
        failure: Option<Arc<str>>,
    },
}
