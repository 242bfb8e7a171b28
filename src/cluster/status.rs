//! The statuses that stand in the cluster, as the watches show them, so that only transitions are written.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use crate::{
    clock::Clock,
    resolve::{Plan, ProviderReport, ServiceReport},
    resource::{IdentityProviderStatus, Key, ProtectedServiceStatus, Reason},
};

/// What stands in `status` of our kinds.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    services: HashMap<Key, Standing>,
    providers: HashMap<Arc<str>, IdentityProviderStatus>,
}

/// The status of a ProtectedService, and whether another installation writes it too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// What it says.
    pub status: ProtectedServiceStatus,
    /// Another installation serves the class of its Ingresses, and reports on them.
    pub by_others: bool,
}

// === impl Standing ===

impl Standing {
    /// Whether another installation has more to say than that it has nothing to do with it.
    pub(super) fn is_of_others(&self) -> bool {
        let mut conditions = self.status.conditions.iter();
        self.by_others
            && !self.status.conditions.is_empty()
            && conditions.all(|it| it.reason != Reason::UnsupportedIngressClass.as_str())
    }
}

// === impl Statuses ===

impl Statuses {
    /// A ProtectedService has this status, or is gone; whether that is news.
    pub(super) fn saw_service(&mut self, key: &Key, status: Option<Standing>) -> bool {
        match status {
            Some(status) => self.services.insert(key.clone(), status.clone()) != Some(status),
            None => self.services.remove(key).is_some(),
        }
    }

    /// An IdentityProvider has this status, or is gone; whether that is news.
    pub(super) fn saw_provider(
        &mut self,
        name: &Arc<str>,
        status: Option<IdentityProviderStatus>,
    ) -> bool {
        match status {
            Some(status) => self.providers.insert(Arc::clone(name), status.clone()) != Some(status),
            None => self.providers.remove(name).is_some(),
        }
    }

    /// Whether the plan is to write a status that stands already, or that another installation writes.
    #[must_use]
    pub(super) fn already_says(&self, plan: &Plan) -> bool {
        // The time counts only where a condition flips, and then nothing is equal anyway.
        let now = Timestamp::UNIX_EPOCH;
        match plan {
            Plan::ServiceStatus { key, report } => self.services.get(key).is_some_and(|standing| {
                if standing.by_others && is_not_for_us(report) {
                    return true;
                }
                let mut stands = standing.status.clone();
                let mut wanted = report.to_status(&stands.conditions, now);
                sort(&mut wanted.conditions);
                sort(&mut stands.conditions);
                wanted == stands
            }),
            Plan::ProviderStatus { name, report } => {
                self.providers.get(name).is_some_and(|stands| {
                    let mut wanted = report.to_status(&stands.conditions, now);
                    let mut stands = stands.clone();
                    sort(&mut wanted.conditions);
                    sort(&mut stands.conditions);
                    wanted == stands
                })
            }
            Plan::Annotations { .. } | Plan::Derived { .. } | Plan::Endpoint { .. } => false,
        }
    }

    /// The status to write for a ProtectedService.
    #[must_use]
    pub(super) fn of_service(
        &self,
        key: &Key,
        report: &ServiceReport,
        clock: &Clock,
    ) -> ProtectedServiceStatus {
        let stands = self.services.get(key);
        let conditions = stands.map(|standing| standing.status.conditions.as_slice());
        report.to_status(conditions.unwrap_or_default(), timestamp(clock))
    }

    /// The status to write for an IdentityProvider.
    #[must_use]
    pub(super) fn of_provider(
        &self,
        name: &str,
        report: &ProviderReport,
        clock: &Clock,
    ) -> IdentityProviderStatus {
        let stands = self.providers.get(name);
        let conditions = stands.map(|status| status.conditions.as_slice());
        report.to_status(conditions.unwrap_or_default(), timestamp(clock))
    }
}

fn timestamp(clock: &Clock) -> Timestamp {
    let seconds = i64::try_from(clock.now().0).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// All there is to say is that the Ingresses are of classes that this installation does not serve. Where another
/// one does, it has more to say, and two that correct each other would never end.
pub(super) fn is_not_for_us(report: &ServiceReport) -> bool {
    let mut verdicts = report.verdicts.iter();
    verdicts.any(|verdict| verdict.reason == Reason::UnsupportedIngressClass)
}

/// The API server keeps a list by type, in whatever order.
fn sort(conditions: &mut [Condition]) {
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}
