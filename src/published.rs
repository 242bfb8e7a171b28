//! What `resolve` publishes and the endpoint reads: pure data, shared and immutable.
//!
//! `cluster` (or `folder`) and `auth` meet only here: a `Published` is swapped in whole, and what must
//! flow back is an `Observation` on a channel that `cli` connects.

mod installation;
mod key_ring;
mod observation;
mod pieces;
mod provider;
mod route;
mod service;
mod table;
mod unread;

pub use installation::{IDENTITY_HEADERS, Installation};
pub use key_ring::{KeyRing, RingKey, SealingKey, UnreadableRing};
pub use observation::Observation;
pub use provider::{ClaimNames, ProviderKind, ProviderSettings, Secret};
pub use route::{Found, Route, RoutePath};
pub use service::{
    Access, Closed, DeniedTexts, Detail, Disclosed, HeaderSource, HostEntry, NoSessions, Service,
    ServiceId, UpstreamHeader,
};
pub use table::{Published, Table};
pub use unread::Unread;
