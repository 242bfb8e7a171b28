//! What is the same for everything that one installation serves.

use std::{sync::Arc, time::Duration};

use crate::policy::{Host, Origin};

/// The settings that the controller writes by and the endpoint answers by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its name: part of field managers, labels and Lease.
    pub instance: Arc<str>,
    /// The namespace it lives in.
    pub namespace: Arc<str>,
    /// How users reach protected hosts.
    pub origin: Origin,
    /// Where people meet the endpoint on each protected host; starts with `/`, does not end with one.
    pub endpoint_prefix: Arc<str>,
    /// The host with the one redirect URI per provider; without it each host has its own.
    pub auth_host: Option<Host>,
    /// The closed list of headers that tell services who is there.
    pub identity_headers: Vec<Arc<str>>,
    /// No session lives longer, whatever providers and policies say.
    pub max_session: Duration,
}

/// The default closed list. The token header is part of it, always empty while tokens are not passed on, so
/// that a service which believes it cannot be lied to.
pub const IDENTITY_HEADERS: [&str; 5] = [
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Access-Token",
];

// === impl Installation ===

impl Default for Installation {
    /// As the options have it where nothing is said.
    fn default() -> Self {
        Self {
            instance: "vestibule".into(),
            namespace: "vestibule".into(),
            origin: Origin::default(),
            endpoint_prefix: "/oauth2".into(),
            auth_host: None,
            identity_headers: IDENTITY_HEADERS.map(Into::into).into(),
            max_session: Duration::from_secs(24 * 60 * 60),
        }
    }
}
