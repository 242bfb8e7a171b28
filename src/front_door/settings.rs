//! What the front door may be told.

use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

/// How the front door treats requests, services and what proxies before it say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Proxies before the front door, by address: what they say of a client in X-Forwarded-For or X-Real-IP is
    /// believed and passed on. Nobody else's word is.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a service may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long nothing may happen until the headers of a service's response; a part of the request's body that
    /// moves on starts it anew. Once the headers are there, or the protocol is switched, there is no limit.
    pub response_timeout: Duration,
    /// Octets that the body of a request may have; no limit if unset.
    pub max_body: Option<u64>,
    /// How often a request that lasts is judged again, a switched connection among them: it ends when its session does.
    pub recheck: Duration,
    /// Strict-Transport-Security of every answer, in place of what a service says.
    pub hsts: Option<HeaderValue>,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            max_body: None,
            recheck: Duration::from_secs(30),
            hsts: None,
        }
    }
}
