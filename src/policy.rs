//! Who may enter, decided: pure, total, without a clock.
//!
//! Everything a request can say is parsed once into a type whose existence is the proof
//! (`Host`, `CanonicalPath`, `ReturnTo`, `Email`); a `Policy` says what its owner wants; `decide`
//! brings both together. Nothing here knows HTTP, Kubernetes or cookies.

mod decision;
mod email;
mod grant;
mod host;
mod identity;
mod moment;
mod path;
mod return_to;
mod visit;

pub use decision::{
    Ceiling, Decision, Denial, HOSTED_DOMAIN, Policy, Rule, RuleAccess, SessionLimits, SignIn,
    Terms, decide,
};
pub use email::{DomainPattern, Email};
pub use grant::{ClaimTest, Entry, Grant, Miss};
pub use host::{Host, HostPattern};
pub use identity::{Claim, Identity};
pub use moment::Moment;
pub use path::{CanonicalPath, NotCanonical, PathMatch};
pub use return_to::{Origin, ReturnTo, Scheme, UnsafeReturn};
pub use visit::{Audience, Visit};

#[cfg(test)]
pub(crate) use decision::tests::ann as example_identity;
