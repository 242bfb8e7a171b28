//! Vestibule in a cluster: what is watched becomes a World, what `resolve` plans becomes writes.

pub mod events;
pub mod keys;
pub mod lease;
pub mod metrics;
pub mod queue;
pub mod watch;
