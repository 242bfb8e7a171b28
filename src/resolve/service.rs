//! One protected Ingress: who may enter, what is wrong, what is to be written. In a folder also a ProtectedService
//! that names its hosts itself.

use std::sync::Arc;

use super::{
    Failure, Problem, UnitResult, World,
    asked::{Asked, By, asked},
    faults,
    policy::{self, Owner},
    remarks, texts, write,
};
use crate::{
    published::{Access, Closed, DeniedTexts, Published, Service, ServiceId},
    resource::{Key, ObjectRef, Reason, fingerprint},
};

/// What came of one protected Ingress.
#[derive(Debug)]
pub(super) struct Judgement {
    /// The service as the endpoint serves it.
    pub service: Service,
    /// Everything that is wrong, conditions in their order.
    pub failures: Vec<Failure>,
    /// The providers in use.
    pub providers: Vec<Arc<str>>,
}

/// Judges one Ingress; `None` if nobody asks for its protection.
pub(super) fn judge(world: &World, key: &Key) -> Option<Judgement> {
    let asked = asked(world, key);
    judge_asked(world, key, &asked)
}

fn judge_asked(world: &World, key: &Key, asked: &Asked<'_>) -> Option<Judgement> {
    let owner = match &asked.by {
        By::Nobody | By::OptedOut | By::Withdrawn => return None,
        By::Service(owner, _) => owner,
        By::Annotations(_) | By::Unclear(_) => key,
    };
    let object = Owner {
        key: owner,
        is_ingress: matches!(asked.by, By::Annotations(_)),
    };
    let spec = asked.by.spec();
    let mut failures = Vec::new();
    // What keeps everybody out.
    let mut closing = Vec::new();
    if let By::Unclear(failure) = &asked.by {
        closing.push(failure.clone());
    }
    let hosts = world.hosts_of(key);
    let ingress = world.ingress(key);
    closing.extend(
        hosts
            .iter()
            .filter_map(|host| faults::auth_host_failure(world, key, host)),
    );
    closing.extend(
        hosts
            .iter()
            .filter_map(|host| faults::contended(world, host)),
    );
    failures.extend(faults::host_failures(world, key, ingress, &hosts));
    let mut providers = Vec::new();
    let mut policy = None;
    let mut texts = (Arc::default(), DeniedTexts::default());
    if let Some(spec) = spec {
        let compiled = policy::compile(world, &key.namespace, object, spec);
        providers = compiled.providers;
        match &compiled.policy {
            Some(_) => failures.extend(compiled.failures),
            None => closing.extend(compiled.failures),
        }
        policy = compiled.policy;
        match texts::read(world, object, spec) {
            Ok(read) => texts = read,
            Err(failure) => closing.push(failure),
        }
    }
    let rewriting = hosts
        .iter()
        .find_map(|host| world.host_facts(host)?.rewritten_by.as_ref());
    if let (Some(policy), Some(rewriting)) = (&mut policy, rewriting) {
        policy.paths_are_rewritten = true;
        if !policy.rules.is_empty() {
            failures.push(Failure::accepted(Reason::PathsRewritten, format!(
                "{object} has rules by path, but Ingress {rewriting} of the same host has use-regex or rewrite-target, so nobody knows which path the service sees: closed. Remove the rules, or those annotations."
            )));
        }
    }
    if !world.settings().paths_are_told() {
        let rules = policy.as_ref().map(|policy| policy.rules.as_slice());
        closing.extend(faults::rules_without_paths(
            world,
            object,
            rules.unwrap_or_default(),
        ));
        failures.extend(faults::services_without_paths(world, object, &hosts));
    }
    if let Some(ingress) = ingress
        && faults::class_failure(world, key, ingress).is_none()
    {
        failures.extend(faults::programming_failures(
            world, key, ingress, asked, &hosts,
        ));
    }
    let access = match (policy, closing.first()) {
        (Some(policy), None) => Access::Open(Arc::new(policy)),
        (_, cause) => Access::Closed(why_closed(key, cause)),
    };
    closing.append(&mut failures);
    let mut failures = closing;
    // What is merely under way does not hide what somebody has to mend.
    failures.sort_by_key(|failure| (failure.condition, !failure.is_problem()));
    let display_name = spec.and_then(|spec| spec.display_name.as_deref());
    let service = Service {
        id: ServiceId::new(&key.namespace, &key.name),
        disclosed: hosts
            .iter()
            .filter_map(|host| world.host_facts(host)?.disclosed(host))
            .collect(),
        hosts: hosts.into_vec(),
        protected_service: owner.to_string().into(),
        display_name: display_name.map(Arc::from),
        access,
        upstream_headers: texts.0,
        denied: texts.1,
    };
    Some(Judgement {
        service,
        failures,
        providers,
    })
}

/// Works out the unit of an Ingress.
pub(super) fn resolve(world: &World, key: &Key) -> UnitResult {
    let asked = asked(world, key);
    let judged = judge_asked(world, key, &asked);
    let mut result = UnitResult::default();
    let ingress = world.ingress(key);
    let is_of_others = ingress.is_some_and(|ingress| faults::is_of_others(world, key, ingress));
    if let Some(ingress) = ingress.filter(|ingress| !ingress.is_endpoint) {
        let failures = judged
            .as_ref()
            .map(|judged| judged.failures.as_slice())
            .unwrap_or_default();
        let problem = |reason, message| Problem {
            object: ObjectRef::Ingress(key.clone()),
            reason,
            message,
            source: ingress.source.clone(),
        };
        if !is_of_others {
            let told = failures.iter().filter(|failure| failure.is_problem());
            let told = told.map(|failure| (failure.reason, failure.message.clone()));
            let told = told.chain(remarks::remarks(world, key, &asked));
            let problems = told.map(|(reason, message)| problem(reason, message));
            result.problems.extend(problems);
        }
        result
            .plans
            .extend(write::annotation_plan(world, key, ingress, &asked.by));
    }
    if !is_of_others {
        result.plans.extend(write::derived_plan(world, key, &asked));
    }
    result.published = Some(match judged {
        Some(judged) => Published::Service(Arc::new(judged.service)),
        None => Published::NoService(ServiceId::new(&key.namespace, &key.name)),
    });
    result
}

fn why_closed(key: &Key, cause: Option<&Failure>) -> Closed {
    cause.map_or_else(
        || Closed {
            reason: Reason::Invalid.as_str().into(),
            message: format!("{key} is closed.").into(),
        },
        Failure::closed,
    )
}

// === impl Judgement ===

impl Judgement {
    /// A fingerprint of the policy in force.
    pub(super) fn policy_hash(&self) -> Option<String> {
        let Access::Open(policy) = &self.service.access else {
            return None;
        };
        let headers = &self.service.upstream_headers;
        Some(fingerprint(format!("{policy:?}{headers:?}").as_bytes()))
    }
}
