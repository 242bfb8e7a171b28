//! From the world to what is served and what is written: pure, unit by unit, total.
//!
//! A `World` holds projections of the objects by key. `World::apply` takes one change and names the units that it
//! touches; `resolve` works one unit out: what the endpoint serves, what the controller writes, what owners are
//! told. The whole is the fold of its units, which `Resolution` keeps.

mod advice;
mod annotate;
mod asked;
mod covering;
mod endpoint;
mod failure;
mod faults;
mod few;
mod host;
mod namesakes;
mod plan;
mod policy;
mod project;
mod projection;
mod provider;
mod remarks;
mod resolution;
mod routes;
mod service;
mod settings;
mod shared;
mod status;
mod texts;
mod unit;
mod world;
mod write;

pub use advice::{Advice, advice};
pub use endpoint::Sessions;
use failure::Failure;
pub use plan::{
    AnnotationAction, DerivedAction, EndpointAction, EndpointIngress, Plan, Problem,
    ProviderReport, ServiceReport,
};
pub use project::{
    project_identity_provider, project_ingress, project_ingress_class, project_namespace,
    project_protected_service, project_secret,
};
pub use projection::{
    Asker, Backend, Class, IdentityProvider, Ingress, IngressClass, IngressPath, IngressRule,
    KeyState, Namespace, OurKeys, PathKind, Projection, ProtectedService, SecretValues,
    ServicePort, Source, Spec,
};
pub use resolution::{Resolution, Settled};
pub use settings::{Classes, Controller, Place, Settings, Standalone};
pub use unit::{Unit, UnitResult, resolve};
pub use world::{Change, Refusal, RefusalKind, World, Write};

#[cfg(test)]
mod tests;
