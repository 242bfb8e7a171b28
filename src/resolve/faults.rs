//! What can be wrong with the protection of one Ingress, besides its policy: its class, its hosts, and what the data
//! plane makes of it.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    Backend, Class, Classes, Failure, Ingress, Standalone, World, Write, annotate, asked::Asked,
    endpoint::EndpointState, host, policy::Owner, routes, write,
};
use crate::{
    dataplane::ingress_nginx::{alterations, server_aliases, weaknesses},
    policy::{HostPattern, Rule, RuleAccess},
    resource::{FolderHost, Key, ObjectRef, Reason},
};

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

/// Whether an Ingress is another installation's, which serves its class and says so in the status: this one keeps silent.
pub(super) fn is_of_others(world: &World, key: &Key, ingress: &Ingress) -> bool {
    let derived = world.derived(key).into_iter();
    let explicit = world.targeting(key).iter();
    let mut services = derived.chain(explicit.filter_map(|service| world.service(service)));
    services.any(|service| service.is_of_others) && class_failure(world, key, ingress).is_some()
}

/// Why a host cannot be protected at all: it is where people sign in.
pub(super) fn auth_host_failure(world: &World, key: &Key, host: &HostPattern) -> Option<Failure> {
    is_auth_host(world, host).then(|| {
        Failure::accepted(
            Reason::AuthHostTargeted,
            format!(
                "{key} would protect {host}, where people sign in: nobody could. Closed; take the host out of it, or choose another --auth-host."
            ),
        )
    })
}

/// What is wrong with the hosts of an Ingress, or of a ProtectedService that names them itself.
pub(super) fn host_failures(
    world: &World,
    key: &Key,
    ingress: Option<&Ingress>,
    hosts: &[HostPattern],
) -> Vec<Failure> {
    let mut failures = Vec::new();
    if let Some(ingress) = ingress {
        failures.extend(class_failure(world, key, ingress));
        let mut no_hosts = ingress
            .rules
            .iter()
            .filter_map(|rule| rule.host.as_ref().err());
        if let Some(text) = no_hosts.clone().find(|text| !text.is_empty()) {
            failures.push(Failure::accepted(Reason::InvalidHost, format!("Ingress {key}: {text:?} is not a host name that browsers can ask for; requests for it are refused.")));
        }
        let without = no_hosts.any(|text| text.is_empty());
        if hosts.is_empty() || without {
            failures.push(Failure::accepted(Reason::NoHosts, format!("Ingress {key} has a rule without a host, or no rule at all: such an Ingress answers for every name, and nobody can sign in at a host that it does not name. Give every rule a host.")));
        }
        let unreachable = |backend: &Backend| routes::upstream(backend).is_none();
        let mut backends = ingress
            .rules
            .iter()
            .flat_map(|rule| rule.paths.iter())
            .filter_map(|path| path.backend.as_ref());
        if world.settings().is_folder() && backends.any(unreachable) {
            failures.push(Failure::accepted(Reason::Invalid, format!("Ingress {key}: a backend names its port; in a folder there is nowhere to look it up. Write the number.")));
        }
    } else if let Some(standalone) = world.settings().standalone()
        && let Some(spec) = world
            .folder_service(key)
            .and_then(|service| service.spec.read())
    {
        failures.extend(own_host_failures(key, &spec.hosts, *standalone));
    }
    for host in hosts {
        if let Some(facts) = world.host_facts(host).filter(|facts| facts.is_shared()) {
            let failure = Failure::accepted(Reason::HostShared, facts.shared_message(host));
            failures.push(failure.at(host));
        }
    }
    failures
}

/// Behind plain nginx nobody says which path a request asks for: rules that close paths could not be kept.
pub(super) fn rules_without_paths(
    world: &World,
    object: Owner<'_>,
    rules: &[Rule],
) -> Option<Failure> {
    let number = rules
        .iter()
        .position(|rule| !matches!(rule.access, RuleAccess::Public))?;
    let mend = tell_paths(world);
    Some(Failure::accepted(
        Reason::PathsNotTold,
        format!(
            "{object}: spec.rules[{number}] closes paths, but nothing tells Vestibule which path a request asks for, so the service is closed. {mend}"
        ),
    ))
}

/// The same on hosts of several services, which only the path tells apart. Where they contend for the host, paths would
/// not help.
pub(super) fn services_without_paths(
    world: &World,
    object: Owner<'_>,
    hosts: &[HostPattern],
) -> Vec<Failure> {
    let is_shared = |host: &&HostPattern| {
        let facts = world.host_facts(host);
        facts.is_some_and(|facts| facts.has_several_services && facts.contenders.is_empty())
    };
    let one = |host: &HostPattern| {
        let mend = tell_paths(world);
        let message = format!(
            "{object}: several services are behind {host}, and nothing tells Vestibule which path a request asks for, so requests for {host} are refused. {mend}"
        );
        Failure::accepted(Reason::PathsNotTold, message).at(host)
    };
    hosts.iter().filter(is_shared).map(one).collect()
}

fn tell_paths(world: &World) -> String {
    let prefix = &world.settings().installation.endpoint_prefix;
    format!(
        "Let nginx tell it: add `proxy_set_header X-Original-URI $request_uri;` to `location = {prefix}/auth` of every server block, then start Vestibule with --original-uri-header X-Original-URI. (With --front-door, Vestibule sees the paths itself.)"
    )
}

/// What is wrong with the hosts that a ProtectedService names itself. Nothing is open because of it: such a host is
/// not known, or nothing can be sent to it.
fn own_host_failures(key: &Key, listed: &[FolderHost], standalone: Standalone) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, FolderHost { host, upstream }) in listed.iter().enumerate() {
        let place = format!("ProtectedService {key}: spec.hosts[{number}]");
        let Some(pattern) = HostPattern::parse(host) else {
            failures.push(Failure::accepted(
                Reason::InvalidHost,
                format!("{place}.host: {host:?} is not a host name such as wiki.corp.example, nor *. and one: no port, no scheme, no path. Requests for it are refused."),
            ));
            continue;
        };
        let wrong = match upstream.as_deref() {
            Some(text) => routes::address(text)
                .err()
                .map(|why| match text.contains('@') {
                    // Not quoted: a password does not belong into a log.
                    true => format!("{place}.upstream {why}."),
                    false => format!("{place}.upstream: {text:?} {why}."),
                }),
            None if standalone.front_door => Some(format!(
                "{place}.upstream is missing, so nothing says where requests for {host} go. Write upstream: http://NAME:PORT."
            )),
            None => None,
        };
        failures
            .extend(wrong.map(|message| Failure::accepted(Reason::Invalid, message).at(&pattern)));
        if !seen.insert(pattern.clone()) {
            let message = format!(
                "{place}.host: {host} stands there twice; the first one counts. Remove the other."
            );
            failures.push(Failure::accepted(Reason::Invalid, message).at(&pattern));
        }
    }
    failures
}

/// Why nobody may enter a host that several want: nobody can say who of them decides.
pub(super) fn contended(world: &World, host: &HostPattern) -> Option<Failure> {
    let contenders = &world.host_facts(host)?.contenders;
    let name = |key: &Key| match world.ingress(key) {
        Some(_) => ObjectRef::Ingress(key.clone()).to_string(),
        None => ObjectRef::ProtectedService(key.clone()).to_string(),
    };
    let names: Vec<String> = contenders.iter().map(name).collect();
    let (last, first) = names.split_last()?;
    let message = format!(
        "{} and {last} both claim {host}, and nobody can say which one counts: closed. Leave the host in one of them.",
        first.join(", ")
    );
    Some(Failure::accepted(Reason::Conflicted, message).at(host))
}

/// What keeps the data plane from asking, or people from signing in.
pub(super) fn programming_failures(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    asked: &Asked<'_>,
    hosts: &[HostPattern],
) -> Vec<Failure> {
    let mut failures = Vec::new();
    if world.settings().controller().is_none() {
        failures.extend(
            hosts
                .iter()
                .filter_map(|host| Some(taken(world, host)?.at(host))),
        );
        return failures;
    }
    let paths = ingress
        .rules
        .iter()
        .flat_map(|rule| rule.paths.iter())
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
    let data_planes = &world.settings().data_planes;
    for altered in alterations(key, &ingress.nginx, hosts, data_planes) {
        failures.push(Failure::programmed(
            Reason::CheckAltered,
            format!(
                "Nobody may get into Ingress {key}: {} is {:?}: {}. Mend it: {}",
                altered.key, altered.value, altered.effect, altered.mend
            ),
        ));
    }
    failures.extend(annotate::annotated(world, key, ingress, &asked.by).failure);
    if let Some(refusal) = world.refusal(&Write::Derived(key.clone()))
        && write::derived_plan(world, key, asked).is_some()
    {
        failures.push(Failure::programmed(Reason::DerivedRejected, format!("The ProtectedService {key} could not be made of the annotations of Ingress {key}, whose policy is in force all the same: {}", refusal.message)));
    }
    if let Some(aliases) = server_aliases(&ingress.nginx) {
        failures.push(Failure::programmed(Reason::ServerAlias, format!("Ingress {key} can be reached as {aliases} too (nginx.ingress.kubernetes.io/server-alias), and requests for these names are refused. Write a rule for each of them instead.")));
    }
    for host in hosts {
        let of_host = [
            passed_through(world, key, host),
            served_by_another(world, key, ingress, host),
            taken(world, host),
            endpoint_failure(world, key, ingress, host),
        ];
        failures.extend(
            of_host
                .into_iter()
                .flatten()
                .map(|failure| failure.at(host)),
        );
    }
    failures
}

/// TLS is passed through for all of a host, whichever of its Ingresses asks for it.
fn passed_through(world: &World, key: &Key, host: &HostPattern) -> Option<Failure> {
    let culprit = world.host_facts(host)?.passed_through_by.as_ref();
    let culprit = culprit.filter(|culprit| *culprit != key)?;
    Some(Failure::programmed(
        Reason::NotProtected,
        format!(
            "{host} is not protected where ingress-nginx has TLS passthrough switched on: Ingress {culprit} passes its requests to the service unread. Mend it: kubectl annotate ingress -n {} {} nginx.ingress.kubernetes.io/ssl-passthrough-",
            culprit.namespace, culprit.name
        ),
    ))
}

/// Of two Ingresses with one path the older one has it, and nobody is asked if that one is not protected.
fn served_by_another(
    world: &World,
    key: &Key,
    ingress: &Ingress,
    host: &HostPattern,
) -> Option<Failure> {
    let open = &world.host_facts(host)?.open_paths;
    let own = (ingress.created, Reverse(key.clone()));
    let mut claims = host::claims(ingress, host);
    let (claim, other) = claims.find_map(|claim| {
        let (_, Reverse(other)) = open.get(&claim).filter(|first| **first < own)?;
        Some((claim, other))
    })?;
    Some(Failure::programmed(
        Reason::NotProtected,
        format!(
            "The path {claim} of {host} is not protected by Ingress {key}: the older Ingress {other} has the same path, requests go there, and nobody protects it. Remove the path from one of them, or protect that one: kubectl annotate ingress -n {} {} vestibule.dev/protect=true",
            other.namespace, other.name
        ),
    ))
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
            let differs = |class: &Class| class.name() != ingress.class.name();
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

/// Whether people sign in at this host.
pub(super) fn is_auth_host(world: &World, host: &HostPattern) -> bool {
    let auth_host = world.settings().installation.auth_host.as_ref();
    matches!(host, HostPattern::Exact(host) if Some(host) == auth_host)
}
