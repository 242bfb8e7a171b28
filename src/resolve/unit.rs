//! The units: the pieces in which the world is worked out. Each depends on few objects, so an edit costs what it
//! changed.

use std::sync::Arc;

use super::{Plan, Problem, World, endpoint, host, provider, service, status};
use crate::{policy::HostPattern, published::Published, resource::Key};

/// A piece of the whole. The order is that in which they are worked out and written: an endpoint Ingress before
/// the annotations that send people to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// An IdentityProvider: its settings and status.
    Provider(Arc<str>),
    /// An endpoint Ingress, by name.
    Endpoint(Arc<str>),
    /// A host: who serves it, and whether it may have sessions.
    Host(HostPattern),
    /// An Ingress (in a folder also a ProtectedService with hosts): its service, annotations, derived object.
    Ingress(Key),
    /// A ProtectedService: its status. There is none where nobody reads reports.
    ProtectedService(Key),
}

/// What came of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitResult {
    /// What the endpoint serves, or does not serve any more.
    pub published: Option<Published>,
    /// What is to be written.
    pub plans: Vec<Plan>,
    /// What owners should know.
    pub problems: Vec<Problem>,
}

/// Works out one unit. Total: a unit whose objects are gone says that nothing is left of it.
#[must_use]
pub fn resolve(world: &World, unit: &Unit) -> UnitResult {
    match unit {
        Unit::Provider(name) => provider::resolve(world, name),
        Unit::Endpoint(name) => endpoint::resolve(world, name),
        Unit::Host(pattern) => host::resolve(world, pattern),
        Unit::Ingress(key) => service::resolve(world, key),
        Unit::ProtectedService(key) => status::resolve(world, key),
    }
}

// === impl UnitResult ===

impl UnitResult {
    /// What is to be written.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Whether there is nothing to do and nothing to tell.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.plans.is_empty() && self.problems.is_empty()
    }
}
