//! Vestibule in a cluster: what is watched becomes a World, what `resolve` plans becomes writes.
//!
//! Every replica watches and resolves (`source`); a controller that holds the Lease also writes (`apply`).

pub mod source;

mod apply;
mod events;
mod fights;
pub mod keys;
pub mod lease;
pub mod metrics;
mod objects;
mod paced;
mod projections;
mod queue;
mod secrets;
mod status;
pub mod unprotect;
mod vanished;
mod watch;
mod watches;
mod write;

pub use objects::labels;
