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
}
