//! One protected Ingress: who may enter, what is wrong, what is to be written. In a folder also a ProtectedService
//! that names its hosts itself.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Class, Classes, DerivedAction, Failure, Ingress, Plan, Problem, UnitResult, World, Write,
    annotate,
    asked::{Asked, By, asked},
    endpoint::EndpointState,
    host, policy, routes,
};
use crate::{
    dataplane::ingress_nginx::{server_aliases, weaknesses},
    policy::{Grant, HostPattern, Policy, RuleAccess},
    published::{
        Access, Closed, DeniedTexts, Detail, HeaderSource, Published, Service, ServiceId,
        UpstreamHeader,
    },
    resource::{
        AUTH_URL, DeniedDetail, DeniedSpec, HeaderFrom, Key, ObjectRef, ProtectedServiceSpec,
        Reason, TargetRef, UpstreamSpec, fingerprint,
    },
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

/// Whether the endpoint serves an Ingress, be it only to say that it is closed.
pub(super) fn is_served(world: &World, key: &Key) -> bool {
    asked(world, key).by.is_protected()
}

/// Judges one Ingress; `None` if nobody asks for its protection.
pub(super) fn judge(world: &World, key: &Key) -> Option<Judgement> {
    let asked = asked(world, key);
    judge_asked(world, key, &asked)
}

fn judge_asked(world: &World, key: &Key, asked: &Asked<'_>) -> Option<Judgement> {
    let (owner, spec, from_annotations) = match &asked.by {
        By::Nobody | By::OptedOut | By::Withdrawn => return None,
        By::Annotations => (key, Some(&asked.annotations.spec), true),
        By::Service(owner, spec) => (*owner, Some(*spec), false),
        By::Unclear(_) => (key, None, false),
    };
    let mut failures = Vec::new();
    if let By::Unclear(failure) = &asked.by {
        failures.push(failure.clone());
    }
    let hosts = world.hosts_of(key);
    let ingress = world.ingress(key);
    failures.extend(host_failures(world, key, ingress, &hosts));
    let mut providers = Vec::new();
    let mut policy = None;
    let mut texts = (Vec::new(), DeniedTexts::default());
    if let Some(spec) = spec {
        let object = policy::owner(owner, from_annotations);
        let compiled = policy::compile(world, &key.namespace, &object, spec);
        failures.extend(compiled.failures);
        providers = compiled.providers;
        policy = compiled.policy;
        match read_texts(world, &object, spec) {
            Ok(read) => texts = read,
            Err(failure) => {
                failures.push(failure);
                policy = None;
            }
        }
    }
    let rewriting = hosts
        .iter()
        .find_map(|host| world.host_facts(host)?.rewritten_by.as_ref());
    if let (Some(policy), Some(rewriting)) = (&mut policy, rewriting) {
        policy.paths_are_rewritten = true;
        if !policy.rules.is_empty() {
            failures.push(Failure::accepted(Reason::PathsRewritten, format!(
                "{} has rules by path, but Ingress {rewriting} of the same host has use-regex or rewrite-target, so nobody knows which path the service sees: closed to everyone whom a rule could concern. Remove the rules, or those annotations.",
                policy::owner(owner, from_annotations)
            )));
        }
    }
    if let Some(ingress) = ingress
        && class_failure(world, key, ingress).is_none()
    {
        failures.extend(programming_failures(world, key, ingress, &asked.by, &hosts));
    }
    failures.sort_by_key(|failure| failure.condition);
    let barred = hosts.iter().any(|host| is_auth_host(world, host));
    let access = match policy {
        Some(policy) if !barred => Access::Open(Arc::new(policy)),
        _ => Access::Closed(why_closed(key, &failures)),
    };
    let display_name = spec.and_then(|spec| spec.display_name.as_deref());
    let service = Service {
        id: ServiceId::new(&key.namespace, &key.name),
        hosts: hosts.into_iter().collect(),
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
        let told = failures.iter().filter(|failure| failure.is_problem());
        result
            .problems
            .extend(told.map(|failure| problem(failure.reason, failure.message.clone())));
        result.problems.extend(
            remarks(world, key, &asked)
                .into_iter()
                .map(|(reason, message)| problem(reason, message)),
        );
        result
            .plans
            .extend(annotation_plan(world, key, ingress, &asked.by));
    }
    result.plans.extend(derived_plan(world, key, &asked));
    result.published.push(match judged {
        Some(judged) => Published::Service(Arc::new(judged.service)),
        None => Published::NoService(ServiceId::new(&key.namespace, &key.name)),
    });
    result
}

/// Why an Ingress is not one that this installation serves.
pub(super) fn class_failure(world: &World, key: &Key, ingress: &Ingress) -> Option<Failure> {
    let controller = world.settings().controller()?;
    let refused = |what: String| {
        Some(Failure::accepted(
            Reason::UnsupportedIngressClass,
            format!(
                "Ingress {key} is not protected: {what}. Nothing is written on it. Give it an ingress class that this installation serves, or let Vestibule serve its class (option --ingress-class)."
            ),
        ))
    };
    let Some(name) = ingress.class.name() else {
        return refused("it has no ingress class".to_owned());
    };
    match &controller.classes {
        Classes::Named(names) if names.iter().any(|served| &**served == name) => None,
        Classes::Named(_) => refused(format!("its ingress class is {name:?}")),
        Classes::OfControllers(controllers) => match world.class(name) {
            Some(class) if controllers.contains(&class.controller) => None,
            Some(class) => refused(format!(
                "its ingress class {name:?} belongs to {}",
                class.controller
            )),
            None => refused(format!("there is no IngressClass {name:?}")),
        },
    }
}

fn host_failures(
    world: &World,
    key: &Key,
    ingress: Option<&Ingress>,
    hosts: &BTreeSet<HostPattern>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    if let Some(ingress) = ingress {
        failures.extend(class_failure(world, key, ingress));
        if let Some(rule) = ingress
            .rules
            .iter()
            .find(|rule| !rule.host.is_empty() && HostPattern::parse(&rule.host).is_none())
        {
            failures.push(Failure::accepted(Reason::InvalidHost, format!("Ingress {key}: {:?} is not a host name that browsers can ask for; requests for it are refused.", rule.host)));
        }
        let without = ingress.rules.iter().any(|rule| rule.host.is_empty());
        if hosts.is_empty() || without {
            failures.push(Failure::accepted(Reason::NoHosts, format!("Ingress {key} has a rule without a host, or no rule at all: such an Ingress answers for every name, and nobody can sign in at a host that it does not name. Give every rule a host.")));
        }
        let unreachable = |backend: &super::Backend| routes::upstream(backend).is_none();
        let mut backends = ingress
            .rules
            .iter()
            .flat_map(|rule| &rule.paths)
            .filter_map(|path| path.backend.as_ref());
        if world.settings().is_folder() && backends.any(unreachable) {
            failures.push(Failure::accepted(Reason::Invalid, format!("Ingress {key}: a backend names its port; in a folder there is nowhere to look it up. Write the number.")));
        }
    } else if hosts.is_empty() {
        failures.push(Failure::accepted(
            Reason::InvalidHost,
            format!("ProtectedService {key}: spec.hosts holds no host name."),
        ));
    } else {
        let spec = world
            .folder_service(key)
            .and_then(|service| service.spec.read());
        let mut listed = spec.into_iter().flat_map(|spec| &spec.hosts);
        if let Some(wrong) = listed.find(|entry| {
            HostPattern::parse(&entry.host).is_none()
                || !entry.upstream.as_deref().is_some_and(is_upstream)
        }) {
            failures.push(Failure::accepted(Reason::Invalid, format!("ProtectedService {key}: spec.hosts: {:?} needs a host name and an upstream such as http://NAME:PORT.", wrong.host)));
        }
    }
    for host in hosts {
        if is_auth_host(world, host) {
            failures.push(Failure::accepted(Reason::AuthHostTargeted, format!("{key} would protect {host}, where people sign in: nobody could. Closed; take the host out of it, or choose another --auth-host.")));
        }
        if let Some(facts) = world.host_facts(host).filter(|facts| facts.is_shared()) {
            failures.push(Failure::accepted(
                Reason::HostShared,
                facts.shared_message(host),
            ));
        }
    }
    failures
}

fn programming_failures(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    by: &By<'_>,
    hosts: &BTreeSet<HostPattern>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    if world.settings().controller().is_none() {
        failures.extend(hosts.iter().filter_map(|host| taken(world, host)));
        return failures;
    }
    let paths = ingress
        .rules
        .iter()
        .flat_map(|rule| &rule.paths)
        .map(|path| &*path.path);
    for weakness in weaknesses(key, &ingress.nginx, paths) {
        failures.push(Failure::programmed(
            Reason::NotProtected,
            format!(
                "Ingress {key} is not protected: {} is {:?}: {}. Mend it: {}",
                weakness.key, weakness.value, weakness.effect, weakness.mend
            ),
        ));
    }
    failures.extend(annotate::annotated(world, key, ingress, by).failure);
    if let Some(refusal) = world.refusal(&Write::Derived(key.clone())) {
        failures.push(Failure::programmed(Reason::WriteRejected, format!("The ProtectedService {key} could not be made of the annotations of Ingress {key}, whose policy is in force all the same: {}", refusal.message)));
    }
    if let Some(aliases) = server_aliases(&ingress.nginx) {
        failures.push(Failure::programmed(Reason::ServerAlias, format!("Ingress {key} can be reached as {aliases} too (nginx.ingress.kubernetes.io/server-alias), and requests for these names are refused. Write a rule for each of them instead.")));
    }
    for host in hosts {
        failures.extend(taken(world, host));
        failures.extend(endpoint_failure(world, key, ingress, host));
    }
    failures
}

fn taken(world: &World, host: &HostPattern) -> Option<Failure> {
    let (taker, path) = world.host_facts(host)?.taken_by.as_ref()?;
    Some(Failure::programmed(
        Reason::EndpointPathTaken,
        host::taken_message(host, taker, path, world),
    ))
}

fn endpoint_failure(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    host: &HostPattern,
) -> Option<Failure> {
    let facts = world.host_facts(host)?;
    match &facts.endpoint {
        EndpointState::Unneeded => None,
        EndpointState::Right => {
            let differs = |class: &Class| !class.is_same_as(&ingress.class);
            let class = facts.class.as_ref().filter(|class| differs(class))?;
            Some(Failure::programmed(
                Reason::EndpointClassDiffers,
                format!(
                    "Ingress {key} and an older Ingress of {host} are of different classes, and people can sign in by way of {:?} only. Give both the same class, or hosts of their own.",
                    class.name().unwrap_or_default()
                ),
            ))
        }
        EndpointState::Pending => Some(Failure::programmed(
            Reason::Pending,
            format!("The sign-in pages of {host} are being routed."),
        )),
        EndpointState::Refused(message) => Some(Failure::programmed(
            Reason::EndpointRejected,
            format!(
                "The Ingress that routes the sign-in pages of {host} was refused, so nobody can sign in there: {message}"
            ),
        )),
        EndpointState::NameTaken => Some(Failure::programmed(
            Reason::EndpointRejected,
            format!(
                "The Ingress that should route the sign-in pages of {host} cannot be made: in namespace {} there is one of its name that is not Vestibule's. Remove that.",
                world.settings().installation.namespace
            ),
        )),
    }
}

/// What the owner of an Ingress should know although nothing is wrong with its protection.
fn remarks(world: &World, key: &Key, asked: &Asked<'_>) -> Vec<(Reason, String)> {
    let mut remarks = Vec::new();
    let keys = asked.annotations.policy_keys.join(", vestibule.dev/");
    match &asked.by {
        By::Nobody | By::Withdrawn if !keys.is_empty() => {
            remarks.push((Reason::AnnotationIgnored, format!("Ingress {key} is not protected: vestibule.dev/{keys} has no effect without vestibule.dev/protect. Protect it: kubectl annotate ingress -n {} {} vestibule.dev/protect=true", key.namespace, key.name)));
        }
        By::Service(service, _) if !keys.is_empty() => {
            remarks.push((Reason::AnnotationIgnored, format!("vestibule.dev/{keys} has no effect: ProtectedService {service} decides who may see Ingress {key}. Say it there, and remove the annotation.")));
        }
        By::OptedOut => {
            let targeting: Vec<String> = world.targeting(key).map(Key::to_string).collect();
            if !targeting.is_empty() {
                remarks.push((Reason::OptedOut, opted_out(key, &targeting.join(", "))));
            }
        }
        _ => {}
    }
    if !asked.by.is_protected() {
        let stays = asked.by.takes_off()
            && world.ingress(key).is_some_and(|ingress| {
                let url = &ingress.keys.url;
                !url.others.is_empty()
                    && url
                        .value
                        .as_deref()
                        .is_some_and(|url| crate::dataplane::ingress_nginx::are_ours(url, key))
            });
        if stays {
            remarks.push((Reason::AnnotationConflict, format!("Ingress {key} stays closed: somebody else wrote Vestibule's annotations on it as well, and those stay. Remove them: kubectl annotate ingress -n {} {} {AUTH_URL}-", key.namespace, key.name)));
        }
        let shared = world.hosts_of(key).into_iter().find(|host| {
            world
                .host_facts(host)
                .is_some_and(host::HostFacts::is_shared)
        });
        if let Some((host, facts)) =
            shared.and_then(|host| Some((host.clone(), world.host_facts(&host)?)))
        {
            remarks.push((Reason::HostShared, facts.shared_message(&host)));
        }
    }
    remarks
}

pub(super) fn opted_out(key: &Key, services: &str) -> String {
    format!(
        "Ingress {key} says vestibule.dev/protect: \"false\", so it is not protected although ProtectedService {services} targets it. To protect it: kubectl annotate ingress -n {} {} vestibule.dev/protect-",
        key.namespace, key.name
    )
}

fn annotation_plan(world: &World, key: &Key, ingress: &Ingress, by: &By<'_>) -> Option<Plan> {
    // What is ours comes off an Ingress of any class; it goes onto those of our classes only.
    if !by.takes_off() && class_failure(world, key, ingress).is_some() {
        return None;
    }
    let action = annotate::annotated(world, key, ingress, by).action?;
    Some(Plan::Annotations {
        ingress: key.clone(),
        action,
    })
}

/// The ProtectedService made from annotations. It also tells later that the annotations on the Ingress were asked for
/// by the Ingress itself, so it goes only after they have gone.
fn derived_plan(world: &World, key: &Key, asked: &Asked<'_>) -> Option<Plan> {
    world.settings().controller()?;
    let there = world.service(key);
    let derived = world.derived(key);
    let ingress = world
        .ingress(key)
        .filter(|ingress| !ingress.deleting && !ingress.is_endpoint);
    let explicit = world.targeting(key).next().is_some();
    let wanted =
        ingress.filter(|_| asked.annotations.opt_in == crate::resource::OptIn::In && !explicit);
    let delete = |uid: &Arc<str>| DerivedAction::Delete {
        uid: Arc::clone(uid),
    };
    let action = match (wanted, ingress, derived) {
        // Somebody's own object has the name; it is left alone.
        (Some(_), _, None) if there.is_some() => return None,
        (Some(ingress), _, derived) => {
            let spec = ProtectedServiceSpec {
                target_refs: vec![TargetRef::ingress(&key.name)],
                ..asked.annotations.spec.clone()
            };
            let is_right = derived.is_some_and(|derived| {
                derived.derived_from.as_ref() == Some(&ingress.uid)
                    && derived.spec.read().is_some_and(|there| **there == spec)
            });
            if is_right {
                return None;
            }
            DerivedAction::Apply {
                ingress_uid: Arc::clone(&ingress.uid),
                spec: Arc::new(spec),
            }
        }
        (None, Some(ingress), Some(derived)) => {
            if asked.by.takes_off() && annotation_plan(world, key, ingress, &asked.by).is_some() {
                return None;
            }
            delete(&derived.uid)
        }
        (None, None, Some(derived)) => delete(&derived.uid),
        (None, _, None) => return None,
    };
    Some(Plan::Derived {
        key: key.clone(),
        action,
    })
}

fn is_auth_host(world: &World, host: &HostPattern) -> bool {
    let auth_host = world.settings().installation.auth_host.as_ref();
    matches!(host, HostPattern::Exact(host) if Some(host) == auth_host)
}

fn is_upstream(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "http"
            && url.host_str().is_some()
            && url.path() == "/"
            && url.query().is_none()
    })
}

fn why_closed(key: &Key, failures: &[Failure]) -> Closed {
    failures.first().map_or_else(
        || Closed {
            reason: Reason::Invalid.as_str().into(),
            message: format!("{key} is closed.").into(),
        },
        Failure::closed,
    )
}

fn read_texts(
    world: &World,
    object: &str,
    spec: &ProtectedServiceSpec,
) -> Result<(Vec<UpstreamHeader>, DeniedTexts), Failure> {
    let invalid = |message: String| {
        Failure::accepted(
            Reason::Invalid,
            format!("{object}: {message}. The service is closed until that is mended."),
        )
    };
    let headers = headers(world, spec.upstream.as_ref()).map_err(invalid)?;
    let denied = denied(spec.denied.as_ref()).map_err(invalid)?;
    Ok((headers, denied))
}

fn headers(world: &World, upstream: Option<&UpstreamSpec>) -> Result<Vec<UpstreamHeader>, String> {
    let known = &world.settings().installation.identity_headers;
    let find = |name: &str| {
        known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map(Arc::clone)
    };
    let listed = upstream
        .map(|upstream| upstream.headers.as_slice())
        .unwrap_or_default();
    if listed.is_empty() {
        let usual = [
            ("X-Auth-Request-User", HeaderSource::Subject),
            ("X-Auth-Request-Email", HeaderSource::Email),
            ("X-Auth-Request-Preferred-Username", HeaderSource::Username),
            ("X-Auth-Request-Groups", HeaderSource::Groups),
        ];
        let header = |(name, source)| {
            Some(UpstreamHeader {
                name: find(name)?,
                source,
            })
        };
        return Ok(usual.into_iter().filter_map(header).collect());
    }
    let mut headers: Vec<UpstreamHeader> = Vec::with_capacity(listed.len());
    for header in listed {
        let Some(name) = find(&header.name) else {
            return Err(format!(
                "spec.upstream.headers: {:?} is not one of this installation's identity headers ({})",
                header.name,
                known.join(", ")
            ));
        };
        if headers.iter().any(|header| header.name == name) {
            return Err(format!("spec.upstream.headers: {name} stands there twice"));
        }
        let source = match (header.from, header.claim.as_deref()) {
            (HeaderFrom::Claim, Some(claim)) if !claim.is_empty() => {
                HeaderSource::Claim(claim.into())
            }
            (HeaderFrom::Claim, _) | (_, Some(_)) => {
                return Err(format!(
                    "spec.upstream.headers: {name}: claim is given with from: Claim, and only then"
                ));
            }
            (HeaderFrom::Subject, None) => HeaderSource::Subject,
            (HeaderFrom::Email, None) => HeaderSource::Email,
            (HeaderFrom::Username, None) => HeaderSource::Username,
            (HeaderFrom::Name, None) => HeaderSource::Name,
            (HeaderFrom::Groups, None) => HeaderSource::Groups,
        };
        headers.push(UpstreamHeader { name, source });
    }
    Ok(headers)
}

fn denied(spec: Option<&DeniedSpec>) -> Result<DeniedTexts, String> {
    let Some(spec) = spec else {
        return Ok(DeniedTexts::default());
    };
    let url = spec.request_access_url.as_deref();
    let is_safe = |url: &str| {
        (url.starts_with("https://") || url.starts_with("mailto:"))
            && url::Url::parse(url).is_ok()
            && url.bytes().all(|b| b.is_ascii_graphic())
    };
    if url.is_some_and(|url| !is_safe(url)) {
        return Err("spec.denied.requestAccessURL is not an https or mailto URL".to_owned());
    }
    Ok(DeniedTexts {
        message: spec.message.as_deref().map(Arc::from),
        request_access_url: url.map(Arc::from),
        detail: match spec.detail {
            DeniedDetail::None => Detail::None,
            DeniedDetail::Reason => Detail::Reason,
        },
    })
}

// === impl Judgement ===

impl Judgement {
    /// The groups and claims that decide here, or that the service is told: what a session must keep.
    pub(super) fn name_what_is_asked(
        &self,
        groups: &mut BTreeSet<Arc<str>>,
        claims: &mut BTreeSet<Arc<str>>,
    ) {
        let Access::Open(policy) = &self.service.access else {
            return;
        };
        let rules = policy.rules.iter().filter_map(|rule| match &rule.access {
            RuleAccess::Restricted(grant) => Some(grant),
            RuleAccess::Public | RuleAccess::Denied => None,
        });
        for grant in rules.chain([&policy.grant]) {
            let Grant::AnyOf(entries) = grant else {
                continue;
            };
            for entry in entries {
                groups.extend(entry.groups.iter().cloned());
                claims.extend(entry.claims.iter().map(|claim| Arc::clone(&claim.name)));
            }
        }
        for header in &self.service.upstream_headers {
            if let HeaderSource::Claim(claim) = &header.source {
                claims.insert(Arc::clone(claim));
            }
        }
    }

    /// The policy in force, if there is one.
    pub(super) fn policy(&self) -> Option<&Policy> {
        match &self.service.access {
            Access::Open(policy) => Some(policy),
            Access::Closed(_) => None,
        }
    }

    /// A fingerprint of the policy in force.
    pub(super) fn policy_hash(&self) -> Option<String> {
        let policy = self.policy()?;
        let headers = &self.service.upstream_headers;
        Some(fingerprint(format!("{policy:?}{headers:?}").as_bytes()))
    }
}

impl By<'_> {
    /// Whether our annotations come off.
    fn takes_off(&self) -> bool {
        matches!(self, Self::OptedOut | Self::Withdrawn)
    }
}
