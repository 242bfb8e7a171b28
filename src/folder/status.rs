//! What is in force of the folder, for operators: the statuses that a controller would write into a cluster, and
//! everything that is wrong. No secret is in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use serde::Serialize;

use super::{
    asked::{AnsweredDocument, Asked},
    by_host::RefusedByHost,
    finding::Finding,
};
use crate::{
    policy::Moment,
    published::Observation,
    resolve::{Plan, Settled, Unit, World},
    resource::{HostStatus, IdentityProviderStatus, Key, ProtectedServiceStatus},
};

/// The status, kept up to date by whoever follows the folder; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    current: ArcSwap<Current>,
    read_at: AtomicU64,
    /// By the name of the provider, so that there are never more than manifests made.
    asked: Mutex<BTreeMap<Arc<str>, Asked>>,
}

static NOT_ASKED: Asked = Asked::NEVER;

/// What is shown, but for the time of the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    services: BTreeMap<Key, ProtectedServiceStatus>,
    providers: BTreeMap<Arc<str>, IdentityProviderStatus>,
    places: BTreeMap<String, Shown>,
    changed_at: Moment,
    findings: Vec<Finding>,
    refused_by_host: Option<RefusedByHost>,
}

/// Where an object stands.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    file: Arc<str>,
    line: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'s> {
    read_at: String,
    changed_at: String,
    protected_services: Vec<ServiceDocument<'s>>,
    identity_providers: Vec<ProviderDocument<'s>>,
    findings: Vec<FindingDocument<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by_host: Option<&'s RefusedByHost>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceDocument<'s> {
    namespace: &'s str,
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'s Shown>,
    conditions: Vec<ConditionDocument<'s>>,
    hosts: &'s [HostStatus],
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_hash: Option<&'s str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderDocument<'s> {
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'s Shown>,
    conditions: Vec<ConditionDocument<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'s str>,
    /// Whether its discovery document could be read when somebody signed in.
    discovery: AnsweredDocument<'s>,
    /// Whether it knows this client.
    client: AnsweredDocument<'s>,
}

/// A condition without the generation, which no file has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionDocument<'s> {
    #[serde(rename = "type")]
    kind: &'s str,
    status: &'s str,
    reason: &'s str,
    message: &'s str,
    last_transition_time: String,
}

/// A finding as it is shown, by `/status` and by `check --output json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingDocument<'s> {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'s str>,
    #[serde(skip_serializing_if = "is_zero")]
    line: u32,
    #[serde(skip_serializing_if = "is_zero")]
    column: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: &'s str,
}

// === impl Status ===

impl Status {
    /// The status as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let current = self.0.current.load();
        let read_at = Moment(self.0.read_at.load(Ordering::Relaxed));
        let asked = self.asked();
        serde_json::to_string_pretty(&current.document(read_at, &asked)).unwrap_or_default()
    }

    /// Takes in what was learnt of a provider.
    pub fn observe(&self, observation: &Observation, now: Moment) {
        let (Observation::Discovery { provider, .. } | Observation::Client { provider, .. }) =
            observation;
        let mut asked = self.asked();
        let asked = asked.entry(Arc::clone(provider)).or_default();
        asked.observe(observation, now);
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Asked>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn looked(&self, now: Moment) {
        self.0.read_at.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn show(&self, current: &Current) {
        self.0.current.store(Arc::new(current.clone()));
    }
}

// === impl Current ===

impl Current {
    /// Takes in what came of a look.
    pub(super) fn take(
        &mut self,
        settled: &Settled,
        world: &World,
        findings: Vec<Finding>,
        refused_by_host: Option<RefusedByHost>,
        now: Moment,
    ) {
        let time = time(now);
        for (unit, plans) in &settled.plans {
            match unit {
                Unit::ProtectedService(key) => {
                    let before = self.services.remove(key).unwrap_or_default();
                    let report = plans.iter().find_map(|plan| match plan {
                        Plan::ServiceStatus { report, .. } => Some(report),
                        _ => None,
                    });
                    let status = report.map(|report| report.to_status(&before.conditions, time));
                    self.services
                        .extend(status.map(|status| (key.clone(), status)));
                }
                Unit::Provider(name) => {
                    let before = self.providers.remove(name).unwrap_or_default();
                    let report = plans.iter().find_map(|plan| match plan {
                        Plan::ProviderStatus { report, .. } => Some(report),
                        _ => None,
                    });
                    let status = report.map(|report| report.to_status(&before.conditions, time));
                    self.providers
                        .extend(status.map(|status| (Arc::clone(name), status)));
                }
                Unit::Endpoint(_) | Unit::Host(_) | Unit::Ingress(_) => {}
            }
        }
        self.places = self.places_of(world);
        self.findings = findings;
        self.refused_by_host = refused_by_host;
        self.changed_at = now;
    }

    /// How many hosts are to be protected. One that two services claim is one.
    pub(super) fn host_count(&self) -> usize {
        let names: BTreeSet<&str> = self.hosts().map(|host| &*host.host).collect();
        names.len()
    }

    /// How many of them are in such a state.
    pub(super) fn hosts_that(&self, are: impl Fn(&HostStatus) -> bool) -> usize {
        let hosts = self.hosts().filter(|host| are(host));
        hosts.map(|host| &*host.host).collect::<BTreeSet<_>>().len()
    }

    /// The hosts that are to be protected, with their states; one for each service that claims it.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &HostStatus> {
        self.services.values().flat_map(|status| &status.hosts)
    }

    /// How many services there are.
    pub(super) fn services(&self) -> usize {
        self.services.len()
    }

    /// How many providers there are.
    pub(super) fn providers(&self) -> usize {
        self.providers.len()
    }

    /// What is wrong.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn places_of(&self, world: &World) -> BTreeMap<String, Shown> {
        let services = self.services.keys().map(|key| {
            let own = world
                .service(key)
                .and_then(|service| service.source.as_ref());
            let of_ingress = || {
                world
                    .ingress(key)
                    .and_then(|ingress| ingress.source.as_ref())
            };
            (key.to_string(), own.or_else(of_ingress))
        });
        let providers = self.providers.keys().map(|name| {
            let provider = world.provider(name);
            (
                name.to_string(),
                provider.and_then(|provider| provider.source.as_ref()),
            )
        });
        services
            .chain(providers)
            .filter_map(|(name, source)| {
                let source = source?;
                let shown = Shown {
                    file: Arc::clone(&source.file),
                    line: source.line,
                };
                Some((name, shown))
            })
            .collect()
    }

    fn document<'s>(
        &'s self,
        read_at: Moment,
        asked: &'s BTreeMap<Arc<str>, Asked>,
    ) -> Document<'s> {
        let services = self.services.iter().map(|(key, status)| ServiceDocument {
            namespace: &key.namespace,
            name: &key.name,
            source: self.places.get(&key.to_string()),
            conditions: conditions(&status.conditions),
            hosts: &status.hosts,
            policy_hash: status.policy_hash.as_deref(),
        });
        let providers = self.providers.iter().map(|(name, status)| {
            let asked = asked.get(name).unwrap_or(&NOT_ASKED);
            ProviderDocument {
                name,
                source: self.places.get(&**name),
                conditions: with_fault(conditions(&status.conditions), asked),
                issuer: status.issuer.as_deref(),
                discovery: asked.discovery(),
                client: asked.client(),
            }
        });
        Document {
            read_at: time(read_at).to_string(),
            changed_at: time(self.changed_at).to_string(),
            protected_services: services.collect(),
            identity_providers: providers.collect(),
            findings: self.findings.iter().map(FindingDocument::from).collect(),
            refused_by_host: self.refused_by_host.as_ref(),
        }
    }
}

impl<'s> From<&'s Finding> for FindingDocument<'s> {
    fn from(finding: &'s Finding) -> Self {
        Self {
            severity: finding.severity.as_str(),
            file: finding.file.as_deref(),
            line: finding.line,
            column: finding.column,
            object: finding.object.as_ref().map(ToString::to_string),
            reason: finding.reason.map(|reason| reason.as_str()),
            message: &finding.message,
        }
    }
}

impl<'s> From<&'s Condition> for ConditionDocument<'s> {
    fn from(condition: &'s Condition) -> Self {
        Self {
            kind: &condition.type_,
            status: &condition.status,
            reason: &condition.reason,
            message: &condition.message,
            last_transition_time: condition.last_transition_time.0.to_string(),
        }
    }
}

fn conditions(conditions: &[Condition]) -> Vec<ConditionDocument<'_>> {
    conditions.iter().map(ConditionDocument::from).collect()
}

/// What a provider's manifest comes to, unless asking it has shown otherwise.
fn with_fault<'s>(
    mut conditions: Vec<ConditionDocument<'s>>,
    asked: &'s Asked,
) -> Vec<ConditionDocument<'s>> {
    let ready = conditions
        .iter_mut()
        .find(|condition| condition.kind == "Ready" && condition.status == "True");
    if let Some((ready, fault)) = ready.zip(asked.fault()) {
        ready.status = "False";
        ready.reason = fault.reason.as_str();
        ready.message = fault.message;
        ready.last_transition_time = fault.since.to_string();
    }
    conditions
}

pub(super) fn time(moment: Moment) -> Timestamp {
    let seconds = i64::try_from(moment.0).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
