//! What follows from a unit for the controller, as data: what to write, what to report.

use std::sync::Arc;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use super::{Asker, Class, ServicePort, Source, endpoint::Sessions};
use crate::{
    dataplane::ingress_nginx::Values,
    policy::HostPattern,
    resource::{
        HostStatus, IdentityProviderStatus, Key, ObjectRef, ProtectedServiceSpec,
        ProtectedServiceStatus, Reason, Summary, Verdict, with_times,
    },
};

/// Something to write. What is as it should be needs no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The three annotations of an Ingress.
    Annotations {
        /// Which Ingress.
        ingress: Key,
        /// What to do.
        action: AnnotationAction,
    },
    /// The ProtectedService made from an Ingress's annotations; it has the Ingress's name.
    Derived {
        /// Which one.
        key: Key,
        /// What to do.
        action: DerivedAction,
    },
    /// An endpoint Ingress in the installation's namespace.
    Endpoint {
        /// Its name.
        name: Arc<str>,
        /// What to do.
        action: EndpointAction,
    },
    /// The status of a ProtectedService.
    ServiceStatus {
        /// Which one.
        key: Key,
        /// What to report.
        report: Box<ServiceReport>,
    },
    /// The status of an IdentityProvider.
    ProviderStatus {
        /// Which one.
        name: Arc<str>,
        /// What to report.
        report: Box<ProviderReport>,
    },
}

/// What to do with the three annotations of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnotationAction {
    /// Apply these values, without force.
    Write {
        /// The values.
        values: Values,
        /// For whom: it chooses the field manager.
        asker: Asker,
        /// So far they stand there for the other one.
        was_for_other: bool,
    },
    /// Take ours away, by applying none.
    Remove {
        /// Apply these first: admission wrote them for us, so they are ours, but no field manager holds them yet.
        adopt_first: Option<Values>,
    },
}

/// What to do with a derived ProtectedService.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DerivedAction {
    /// Apply it.
    Apply {
        /// The Ingress it belongs to, for the owner reference.
        ingress_uid: Arc<str>,
        /// Its spec.
        spec: Arc<ProtectedServiceSpec>,
    },
    /// Delete it, if it is still of this uid.
    Delete {
        /// Its uid.
        uid: Arc<str>,
    },
}

/// What to do with an endpoint Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAction {
    /// Apply it.
    Apply(EndpointIngress),
    /// Delete it.
    Delete,
}

/// The Ingress that routes the endpoint prefix of one host to the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointIngress {
    /// Its name.
    pub name: Arc<str>,
    /// The host.
    pub host: HostPattern,
    /// Which sessions of the host count.
    pub sessions: Sessions,
    /// The class, named the way the protected Ingress names it.
    pub class: Class,
    /// The endpoint prefix.
    pub prefix: Arc<str>,
    /// The Service of the endpoint.
    pub service_name: Arc<str>,
    /// Its public port.
    pub service_port: ServicePort,
}

/// Something that its owner should know. Told once, as an Event and a log line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Whose owner.
    pub object: ObjectRef,
    /// The Event's reason.
    pub reason: Reason,
    /// What happened, and what to do next.
    pub message: String,
    /// Where the object stands in a folder.
    pub source: Option<Source>,
}

/// The status of a ProtectedService, before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// The conditions.
    pub verdicts: Vec<Verdict>,
    /// The protected hosts.
    pub hosts: Vec<HostStatus>,
    /// The same in short.
    pub summary: Summary,
    /// The generation that was judged.
    pub generation: i64,
    /// A fingerprint of the policy in force.
    pub policy_hash: Option<String>,
}

/// The status of an IdentityProvider, before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderReport {
    /// The conditions.
    pub verdicts: Vec<Verdict>,
    /// The issuer of its ID tokens.
    pub issuer: Option<String>,
    /// The generation that was judged.
    pub generation: i64,
}

// === impl ServiceReport ===

impl ServiceReport {
    /// The status as it is written. `previous` are the conditions that are there now.
    #[must_use]
    pub fn to_status(&self, previous: &[Condition], now: Timestamp) -> ProtectedServiceStatus {
        ProtectedServiceStatus {
            conditions: with_times(&self.verdicts, previous, self.generation, now),
            hosts: self.hosts.clone(),
            summary: Some(self.summary.clone()),
            observed_generation: Some(self.generation),
            policy_hash: self.policy_hash.clone(),
        }
    }
}

// === impl ProviderReport ===

impl ProviderReport {
    /// The status as it is written. `previous` are the conditions that are there now.
    #[must_use]
    pub fn to_status(&self, previous: &[Condition], now: Timestamp) -> IdentityProviderStatus {
        IdentityProviderStatus {
            conditions: with_times(&self.verdicts, previous, self.generation, now),
            issuer: self.issuer.clone(),
            observed_generation: Some(self.generation),
        }
    }
}
