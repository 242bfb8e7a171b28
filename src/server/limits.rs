//! What a listener puts up with.

use std::time::Duration;

/// What a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the request's headers are complete; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// Until TLS is agreed on.
    pub handshake_timeout: Duration,
    /// Until a client takes some of what is sent to it.
    pub write_timeout: Duration,
    /// Octets of request line and headers. Larger than what nginx passes (8 KiB targets escaped
    /// threefold, 32 KiB of headers), since a 431 to nginx is a 500 to the user.
    pub header_bytes: usize,
    /// Connections at once. When more come, those that are between requests end, the oldest first.
    pub connections: usize,
    /// How long requests in flight may take once the listener closes.
    pub drain: Duration,
}

// === impl Limits ===

impl Limits {
    /// What operators and probes need: they are few, and quick.
    #[must_use]
    pub fn of_admin() -> Self {
        Self {
            connections: 100,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            header_bytes: 96 * 1024,
            connections: 10_000,
            drain: Duration::from_secs(20),
        }
    }
}
