//! The status of a ProtectedService: what came of each of its targets, summed up.

use super::{
    Failure, Plan, Problem, ServiceReport, Spec, UnitResult, World,
    asked::{By, asked},
    faults, remarks,
    service::{self, Judgement},
};
use crate::{
    policy::{Grant, HostPattern},
    published::Access,
    resource::{ConditionType, HostStatus, Key, ObjectRef, Reason, Summary, Verdict},
};

/// Works out the unit of a ProtectedService.
pub(super) fn resolve(world: &World, key: &Key) -> UnitResult {
    let Some(object) = world.service(key) else {
        return of_annotations(world, key);
    };
    if is_of_others(world, key) {
        return UnitResult::default();
    }
    let mut found = Found::default();
    if let Spec::Unreadable { why, .. } = &object.spec {
        let message = format!(
            "ProtectedService {key} cannot be read: {why}. What it protects is closed until it is mended."
        );
        found
            .failures
            .push(Failure::accepted(Reason::Unreadable, message));
    }
    if object.derived_from.is_some() {
        found.target(world, key, key);
    } else {
        let names_hosts = is_of_a_folder(world, key, &mut found);
        let targets = world.targets_of(key);
        if targets.is_empty() && !names_hosts && object.spec.read().is_some() {
            let mend = if world.settings().is_folder() {
                "it has neither spec.hosts nor spec.targetRefs. Name a host in the former, or an Ingress in the latter"
            } else {
                "spec.targetRefs is empty. Name an Ingress there"
            };
            let message = format!("ProtectedService {key} protects nothing: {mend}.");
            found
                .failures
                .push(Failure::accepted(Reason::Invalid, message));
        }
        for target in &targets {
            found.target(world, key, target);
        }
    }
    found.failures.sort_by_key(|failure| failure.condition);
    let mut problems: Vec<Problem> = Vec::new();
    for failure in found.failures.iter().filter(|failure| failure.is_problem()) {
        let problem = Problem {
            object: ObjectRef::ProtectedService(key.clone()),
            reason: failure.reason,
            message: failure.message.clone(),
            source: object.source.clone(),
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let plan = found.into_plan(world, key, object.generation);
    UnitResult {
        published: None,
        plans: vec![plan],
        problems,
    }
}

/// Whether another installation serves the classes of all its Ingresses, and reports on it.
fn is_of_others(world: &World, key: &Key) -> bool {
    let is_theirs = |target: &Key| {
        let ingress = world.ingress(target);
        ingress.is_some_and(|ingress| faults::is_of_others(world, target, ingress))
    };
    match world.derived(key) {
        Some(_) => is_theirs(key),
        None => {
            let targets = world.targets_of(key);
            !targets.is_empty() && targets.iter().all(is_theirs)
        }
    }
}

/// In a cluster the annotations of an Ingress become a ProtectedService, which has a status. In a folder nothing is
/// written, and the Ingress is reported on in its place. Its problems are told with the Ingress.
fn of_annotations(world: &World, key: &Key) -> UnitResult {
    let stands_for_itself = world.settings().is_folder()
        && world.ingress(key).is_some()
        && world.targeting(key).is_empty()
        && asked(world, key).by.is_protected();
    if !stands_for_itself {
        return UnitResult::default();
    }
    let mut found = Found::default();
    found.target(world, key, key);
    found.failures.sort_by_key(|failure| failure.condition);
    UnitResult {
        plans: vec![found.into_plan(world, key, 0)],
        ..UnitResult::default()
    }
}

/// A ProtectedService that names its hosts itself, which only a folder may have.
fn is_of_a_folder(world: &World, key: &Key, found: &mut Found) -> bool {
    let service = world.service(key);
    if service.is_none_or(|service| service.own_hosts().is_empty()) {
        return false;
    }
    let failure = match (world.settings().is_folder(), world.ingress(key)) {
        (false, _) => format!(
            "ProtectedService {key}: spec.hosts is for a folder that `vestibule serve` reads. Name Ingresses in spec.targetRefs."
        ),
        (true, Some(_)) => format!(
            "ProtectedService {key} has spec.hosts, and an Ingress of the same namespace has the same name, so checks could mean either. Rename one of them."
        ),
        (true, None) => {
            found.judged(world, service::judge(world, key), None);
            return true;
        }
    };
    found
        .failures
        .push(Failure::accepted(Reason::Invalid, failure));
    true
}

#[derive(Default)]
struct Found {
    failures: Vec<Failure>,
    hosts: Vec<HostStatus>,
    providers: Vec<String>,
    policy_hash: Option<String>,
    /// People can sign in, and then every one of them is refused.
    admits_nobody: bool,
}

// === impl Found ===

impl Found {
    /// The status that is to be written, or shown where there is nowhere to write it.
    fn into_plan(self, world: &World, key: &Key, generation: i64) -> Plan {
        let report = ServiceReport {
            verdicts: self.verdicts(world),
            summary: self.summary(),
            generation,
            policy_hash: self.policy_hash,
            hosts: self.hosts,
        };
        Plan::ServiceStatus {
            key: key.clone(),
            report: Box::new(report),
        }
    }

    fn target(&mut self, world: &World, service: &Key, target: &Key) {
        if world.ingress(target).is_none() {
            let message = format!(
                "ProtectedService {service}: there is no Ingress {target}. It will be protected as soon as there is."
            );
            self.failures
                .push(Failure::accepted(Reason::TargetNotFound, message));
            return;
        }
        if matches!(asked(world, target).by, By::OptedOut) {
            let message = remarks::opted_out(world, target, &service.to_string());
            self.failures
                .push(Failure::accepted(Reason::OptedOut, message));
            return;
        }
        self.judged(world, service::judge(world, target), Some(target));
    }

    fn judged(&mut self, world: &World, judgement: Option<Judgement>, ingress: Option<&Key>) {
        let Some(judgement) = judgement else {
            let message = "The protection is being taken away, as its Ingress asks.".to_owned();
            let failure = Failure::programmed(Reason::Pending, message);
            self.failures.push(failure);
            return;
        };
        for host in &judgement.service.hosts {
            let is_about =
                |failure: &&Failure| failure.host.as_ref().is_none_or(|about| about == host);
            let about = judgement.failures.iter().find(is_about);
            self.hosts.push(HostStatus {
                host: host.to_string(),
                ingress: ingress.map(|key| key.name.to_string()),
                data_plane: ingress
                    .filter(|_| !world.settings().is_folder())
                    .map(|_| "ingress-nginx".to_owned()),
                state: state(about).to_owned(),
                reason: about.map(|failure| failure.reason.to_string()),
                callback_urls: callback_urls(world, host, &judgement),
            });
        }
        for provider in &judgement.providers {
            if !self.providers.iter().any(|known| **known == **provider) {
                self.providers.push(provider.to_string());
            }
        }
        if self.policy_hash.is_none() {
            self.policy_hash = judgement.policy_hash();
        }
        self.admits_nobody |= matches!(
            &judgement.service.access,
            Access::Open(policy) if matches!(&policy.grant, Grant::AnyOf(entries) if entries.is_empty())
        );
        self.failures.extend(judgement.failures);
    }

    fn verdicts(&self, world: &World) -> Vec<Verdict> {
        let hosts = match self.hosts.as_slice() {
            [] => "Nothing".to_owned(),
            [one] => one.host.clone(),
            many => format!("{} hosts", many.len()),
        };
        let of = |condition, reason, message: &str| {
            let failure = self
                .failures
                .iter()
                .find(|failure| failure.condition == condition);
            failure.map_or_else(
                || Verdict {
                    condition,
                    holds: true,
                    reason,
                    message: message.to_owned(),
                },
                |failure| Verdict {
                    condition,
                    holds: false,
                    reason: failure.reason,
                    message: failure.message.clone(),
                },
            )
        };
        let mut programmed = of(
            ConditionType::Programmed,
            Reason::Programmed,
            &format!("The data plane asks Vestibule about every request for {hosts}"),
        );
        // Where a target is not even accepted, nothing was written for it.
        let all_asked =
            !self.hosts.is_empty() && self.hosts.iter().all(|host| host.state != NOT_PROTECTED);
        if programmed.holds
            && !all_asked
            && let Some(failure) = self.failures.first()
        {
            programmed.holds = false;
            programmed.reason = failure.reason;
            programmed.message.clone_from(&failure.message);
        }
        let mut verdicts = vec![
            of(
                ConditionType::Accepted,
                Reason::Accepted,
                "The spec is valid and its targets can be protected",
            ),
            of(
                ConditionType::ResolvedRefs,
                Reason::ResolvedRefs,
                "Everything it names was found",
            ),
            programmed,
        ];
        let first = verdicts.iter().find(|verdict| !verdict.holds);
        verdicts.push(Verdict {
            condition: ConditionType::Ready,
            holds: first.is_none(),
            reason: first.map_or(Reason::Ready, |verdict| verdict.reason),
            message: match first {
                Some(verdict) => verdict.message.clone(),
                // It does what it is told; most who see this only forgot the second annotation.
                None if self.admits_nobody && world.settings().is_folder() => format!(
                    "People can sign in at {hosts}, but nothing says who may enter, so nobody may. Name them in spec.allow"
                ),
                None if self.admits_nobody => format!(
                    "People can sign in at {hosts}, but nothing says who may enter, so nobody may. Name them in spec.allow, or annotate the Ingress with vestibule.dev/allowed-email-domains, allowed-emails or allowed-groups"
                ),
                None => format!("People sign in before they see {hosts}"),
            },
        });
        verdicts
    }

    fn summary(&self) -> Summary {
        let hosts = match self.hosts.as_slice() {
            [] => String::new(),
            [one] => one.host.clone(),
            [first, rest @ ..] => format!("{} +{}", first.host, rest.len()),
        };
        Summary {
            hosts,
            identity_providers: self.providers.join(","),
        }
    }
}

/// The state of a host that people may reach without a session.
const NOT_PROTECTED: &str = "NotProtected";

fn state(failure: Option<&Failure>) -> &'static str {
    match failure.map(|failure| failure.reason) {
        None => "Programmed",
        Some(Reason::Pending) => "Pending",
        Some(
            Reason::UnsupportedIngressClass
            | Reason::NotProtected
            | Reason::ForeignAuthURL
            | Reason::AnnotationConflict
            | Reason::WriteRejected
            | Reason::NoHosts,
        ) => NOT_PROTECTED,
        Some(_) => "Closed",
    }
}

/// What to register with each provider. With an auth host that is one URL for all hosts.
fn callback_urls(world: &World, host: &HostPattern, judgement: &Judgement) -> Vec<String> {
    let installation = &world.settings().installation;
    let host = match (&installation.auth_host, host) {
        (Some(auth_host), _) => auth_host.as_str(),
        (None, HostPattern::Exact(host)) => host.as_str(),
        // Providers take no wildcards: each name that is used has to be registered.
        (None, HostPattern::Wildcard(_)) => return Vec::new(),
    };
    let origin = installation.origin.of(host);
    let prefix = &installation.endpoint_prefix;
    let url = |provider| format!("{origin}{prefix}/callback/{provider}");
    judgement.providers.iter().map(url).collect()
}
