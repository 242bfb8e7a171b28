//! A host: what holds for everyone who shares it, and what the endpoint is told about it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Class, Ingress, PathKind, UnitResult, World,
    asked::{By, asked},
    covering::{self, Taking},
    endpoint::{self, EndpointState, Sessions},
    faults,
    few::Few,
    routes,
};
use crate::{
    dataplane::ingress_nginx::{passes_tls_through, rewrites_paths},
    policy::HostPattern,
    published::{Disclosed, HostEntry, NoSessions, Published, ServiceId},
    resource::{Key, ProtectedServiceSpec, Reason},
};

/// A path as data planes tell paths apart: exactly this one, or this one and all below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Claim {
    is_exact: bool,
    path: Arc<str>,
}

/// Who has a path, ordered as ingress-nginx decides between several: the older Ingress, of equally old ones that
/// with the later name.
pub(super) type Claimant = (i64, Reverse<Key>);

/// What holds for everyone on a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostFacts {
    /// The namespaces whose Ingresses serve it, the installation's own aside.
    pub namespaces: Few<Arc<str>>,
    /// Those of them in which something protects it.
    pub protected_in: Few<Arc<str>>,
    /// Ingresses of yet other namespaces that do not name it and are sent requests for it all the same.
    pub takers: BTreeMap<Key, Taking>,
    /// Which of its sessions others may have seen, as the endpoint Ingress keeps it.
    pub sessions: Sessions,
    /// An Ingress that makes data planes rewrite paths, or read all paths of the host as regular expressions.
    pub rewritten_by: Option<Key>,
    /// An Ingress that has TLS passed through to the service.
    pub passed_through_by: Option<Key>,
    /// Paths that an Ingress has which nobody protects: who has them, and since when.
    pub open_paths: BTreeMap<Claim, Claimant>,
    /// An Ingress, not of the installation, with a path under the endpoint prefix.
    pub taken_by: Option<(Key, Arc<str>)>,
    /// The class of the endpoint Ingress: that of the oldest protected Ingress; the one that it has, if no class of these
    /// is served.
    pub class: Option<Class>,
    /// How the endpoint Ingress is.
    pub endpoint: EndpointState,
    /// In a folder: requests are for one protected service or another, by their path.
    pub has_several_services: bool,
    /// In a folder: several want it, and one of them all of it, so that nobody can say who serves what.
    pub contenders: Few<Key>,
    /// In a cluster: people sign in here for every protected host.
    pub is_auth_host: bool,
}

/// Works out what holds for everyone on a host.
pub(super) fn facts(world: &World, host: &HostPattern) -> HostFacts {
    let own = &world.settings().installation.namespace;
    let prefix = &world.settings().installation.endpoint_prefix;
    let mut namespaces = Few::default();
    let mut protected_in = Few::default();
    let mut rewritten_by = None;
    let mut passed_through_by = None;
    let mut open_paths: BTreeMap<Claim, Claimant> = BTreeMap::new();
    let mut taken_by = None;
    let mut oldest: Option<((i64, &Key), &Class)> = None;
    let mut services = 0_usize;
    let mut is_asked_for = false;
    for key in world.on_host(host) {
        let protected = asked(world, key).by.is_protected();
        services += usize::from(protected);
        if key.namespace != *own || world.settings().is_folder() {
            namespaces.insert(Arc::clone(&key.namespace));
            if protected {
                protected_in.insert(Arc::clone(&key.namespace));
            }
        }
        let Some(ingress) = world.ingress(key) else {
            continue;
        };
        if rewritten_by.is_none() && rewrites_paths(&ingress.nginx) {
            rewritten_by = Some(key.clone());
        }
        if passed_through_by.is_none() && passes_tls_through(&ingress.nginx) {
            passed_through_by = Some(key.clone());
        }
        if taken_by.is_none() && key.namespace != *own {
            taken_by = path_under(ingress, host, prefix).map(|path| (key.clone(), path));
        }
        let is_ours = !ingress.deleting && faults::class_failure(world, key, ingress).is_none();
        if !protected && is_ours && world.settings().controller().is_some() {
            for claim in claims(ingress, host) {
                let claimant = (ingress.created, Reverse(key.clone()));
                let first = open_paths.entry(claim).or_insert_with(|| claimant.clone());
                *first = claimant.min(first.clone());
            }
        }
        is_asked_for |= protected && !ingress.deleting;
        let age = (ingress.created, key);
        let may_lead = protected && is_ours;
        if may_lead && oldest.is_none_or(|(oldest, _)| age < oldest) {
            oldest = Some((age, &ingress.class));
        }
    }
    let is_auth_host = is_auth_host(world, host);
    // An IngressClass may be gone for a moment, as while its proxy is installed anew. The endpoint Ingress stays as long
    // as somebody asks for protection: it knows which sessions of the host others may have seen.
    let kept = || endpoint::class(world, host).filter(|_| is_asked_for);
    let class = oldest.map(|(_, class)| class.clone()).or_else(kept);
    let mut takers = BTreeMap::new();
    if is_auth_host || !protected_in.is_empty() {
        takers = covering::takers(world, host);
        takers.retain(|taker, _| !namespaces.contains(&taker.namespace));
        for taker in takers.keys() {
            namespaces.insert(Arc::clone(&taker.namespace));
        }
    }
    let is_shared = is_shared(is_auth_host, &namespaces, &protected_in);
    let (endpoint, sessions) = endpoint::state(world, host, class.as_ref(), is_shared);
    HostFacts {
        takers,
        sessions,
        namespaces,
        protected_in,
        rewritten_by,
        passed_through_by,
        open_paths,
        taken_by,
        class,
        endpoint,
        has_several_services: services > 1 && world.settings().is_folder(),
        contenders: contenders(world, host),
        is_auth_host,
    }
}

/// Whether people sign in there for every protected host.
pub(super) fn is_auth_host(world: &World, host: &HostPattern) -> bool {
    // In a folder one owner writes everything, and the front door keeps our cookies from services.
    faults::is_auth_host(world, host) && !world.settings().is_folder()
}

/// A protected host is shared if namespaces share it. The auth host is the installation's alone: a session of it opens
/// every other host.
fn is_shared(is_auth_host: bool, namespaces: &[Arc<str>], protected_in: &[Arc<str>]) -> bool {
    if is_auth_host {
        return !namespaces.is_empty();
    }
    namespaces.len() > 1 && !protected_in.is_empty()
}

fn contenders(world: &World, host: &HostPattern) -> Few<Key> {
    let claims_all = |key: &Key| world.folder_service(key).is_some();
    let all = world.on_host(host);
    if all.len() > 1 && all.iter().any(claims_all) {
        all.iter().cloned().collect()
    } else {
        Few::default()
    }
}

/// What the endpoint is told about a host.
pub(super) fn resolve(world: &World, host: &HostPattern) -> UnitResult {
    let all = world
        .on_host(host)
        .iter()
        .map(|key| (key, asked(world, key).by));
    // Be it only to say that they are closed.
    let served: Vec<(&Key, By<'_>)> = all.filter(|(_, by)| by.is_protected()).collect();
    let routes = routes::of_host(world, host);
    let facts = world.host_facts(host);
    // Nothing is protected there, and the endpoint still has to know that it may not be trusted with cookies.
    let is_barred = facts.is_some_and(|facts| facts.is_auth_host && facts.is_shared());
    let published = if served.is_empty() && routes.is_empty() && !is_barred {
        Published::NoHost(host.clone())
    } else {
        let mut named_groups = BTreeSet::new();
        let mut named_claims = BTreeSet::new();
        for spec in served.iter().filter_map(|(_, by)| by.spec()) {
            name_what_is_asked(spec, &mut named_groups, &mut named_claims);
        }
        let texts = |names: BTreeSet<&str>| names.into_iter().map(Arc::from).collect();
        Published::Host(Arc::new(HostEntry {
            pattern: host.clone(),
            services: served
                .iter()
                .map(|(key, _)| ServiceId::new(&key.namespace, &key.name))
                .collect(),
            no_sessions: facts.and_then(|facts| facts.no_sessions(host, world)),
            routes,
            named_groups: texts(named_groups),
            named_claims: texts(named_claims),
        }))
    };
    UnitResult {
        published: Some(published),
        ..UnitResult::default()
    }
}

/// The groups and claims that decide in a service, or that it is told: what a session must keep. A service that is
/// closed counts too, so that nobody has to sign in again when it is mended.
fn name_what_is_asked<'s>(
    spec: &'s ProtectedServiceSpec,
    groups: &mut BTreeSet<&'s str>,
    claims: &mut BTreeSet<&'s str>,
) {
    let entries = spec.allow.iter();
    for entry in entries.chain(spec.rules.iter().flat_map(|rule| &rule.allow)) {
        groups.extend(entry.groups.iter().map(String::as_str));
        claims.extend(entry.claims.iter().map(|claim| claim.name.as_str()));
    }
    let headers = spec.upstream.iter().flat_map(|upstream| &upstream.headers);
    claims.extend(headers.filter_map(|header| header.claim.as_deref()));
}

/// The paths that an Ingress has on a host.
pub(super) fn claims(ingress: &Ingress, host: &HostPattern) -> impl Iterator<Item = Claim> {
    let rules = ingress
        .rules
        .iter()
        .filter(move |rule| rule.host.as_ref() == Ok(host));
    rules
        .flat_map(|rule| rule.paths.iter())
        .map(|path| match path.kind {
            PathKind::Exact => Claim {
                is_exact: true,
                path: Arc::clone(&path.path),
            },
            PathKind::Prefix | PathKind::ImplementationSpecific => Claim {
                is_exact: false,
                path: path.path.trim_end_matches('/').into(),
            },
        })
}

/// A path of this host at or below the endpoint prefix. In a regular expression what follows the prefix may be
/// any operator, and case does not count.
fn path_under(ingress: &Ingress, host: &HostPattern, prefix: &str) -> Option<Arc<str>> {
    let is_under = |path: &str| {
        let Some((start, rest)) = path.split_at_checked(prefix.len()) else {
            return false;
        };
        let next = rest.chars().next();
        start.eq_ignore_ascii_case(prefix)
            && next.is_none_or(|c| !c.is_ascii_alphanumeric() && !"-._~%".contains(c))
    };
    let rules = ingress
        .rules
        .iter()
        .filter(|rule| rule.host.as_ref() == Ok(host));
    let mut paths = rules.flat_map(|rule| rule.paths.iter());
    paths
        .find(|path| {
            let text = match path.kind {
                PathKind::Exact | PathKind::Prefix => &path.path,
                PathKind::ImplementationSpecific => {
                    path.path.strip_prefix('^').unwrap_or(&path.path)
                }
            };
            is_under(text)
        })
        .map(|path| Arc::clone(&path.path))
}

// === impl Claim ===

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        f.write_str(path)
    }
}

// === impl HostFacts ===

impl HostFacts {
    /// Whether namespaces share it that must not.
    pub(super) fn is_shared(&self) -> bool {
        is_shared(self.is_auth_host, &self.namespaces, &self.protected_in)
    }

    /// The Ingresses of yet other namespaces that are sent requests for it.
    pub(super) fn taken_by(&self) -> BTreeSet<Key> {
        self.takers.keys().cloned().collect()
    }

    /// Which sessions others may have seen, so that they do not count.
    pub(super) fn disclosed(&self, host: &HostPattern) -> Option<Disclosed> {
        let until = match self.sessions {
            _ if self.is_shared() => None,
            Sessions::All => return None,
            Sessions::None | Sessions::FromNowOn => None,
            Sessions::After(moment) => Some(moment),
        };
        Some(Disclosed {
            host: host.clone(),
            until,
        })
    }

    /// Why nobody may get a session for the host: whoever holds these paths, or any path beside them, sees the
    /// cookies.
    pub(super) fn no_sessions(&self, host: &HostPattern, world: &World) -> Option<NoSessions> {
        if let Some((key, path)) = &self.taken_by {
            return Some(NoSessions {
                reason: Reason::EndpointPathTaken.as_str().into(),
                message: taken_message(host, key, path, world).into(),
            });
        }
        let message = if self.is_shared() {
            self.shared_message(host)
        } else if self.sessions == Sessions::None {
            format!(
                "The endpoint Ingress of {host} says that others share it, which is the controller's finding: nobody can sign in there, and no session counts. The ProtectedServices of {host} say who: kubectl describe psvc"
            )
        } else {
            return None;
        };
        Some(NoSessions {
            reason: Reason::HostShared.as_str().into(),
            message: message.into(),
        })
    }

    pub(super) fn shared_message(&self, host: &HostPattern) -> String {
        let namespaces: Vec<&str> = self.namespaces.iter().map(|name| &**name).collect();
        let namespaces = namespaces.join(", ");
        if self.is_auth_host {
            let takers = self.takers_named();
            return format!(
                "Ingresses of the namespaces {namespaces} serve {host}, where people sign in for every protected host, and would see cookies that open all of them: nobody can sign in anywhere.{takers} Take {host} out of these Ingresses: kubectl get ingress -A"
            );
        }
        let takers = self.takers_named();
        format!(
            "Ingresses of the namespaces {namespaces} serve {host}, and each of them sees the cookies of all: nobody can sign in there, and no session counts.{takers} Give each namespace a host of its own."
        )
    }

    /// How somebody takes part who does not name the host.
    fn takers_named(&self) -> String {
        let named = |how: Taking| {
            let those = self.takers.iter().filter(|(_, taking)| **taking == how);
            let those: Vec<String> = those.take(3).map(|(key, _)| key.to_string()).collect();
            (!those.is_empty()).then(|| those.join(", "))
        };
        let mut text = String::new();
        if let Some(those) = named(Taking::ByRule) {
            text.push_str(&format!(" {those} does not name it: a wildcard, a rule without a host or an alias is sent requests for it, since Traefik prefers the longer rule."));
        }
        if let Some(those) = named(Taking::ByName) {
            text.push_str(&format!(" Traefik takes {those} for an Ingress of this host, since it joins namespace, name, Service and port with hyphens and both come to the same: requests of one reach the Service of the other, without a session too. Rename that Ingress."));
        }
        if !text.is_empty() {
            text.push_str(
                " (Where ingress-nginx alone serves it, say so: --data-plane=ingress-nginx.)",
            );
        }
        text
    }
}

pub(super) fn taken_message(host: &HostPattern, key: &Key, path: &str, world: &World) -> String {
    let prefix = &world.settings().installation.endpoint_prefix;
    format!(
        "Ingress {key} holds the path {path} of {host}, where Vestibule has to answer ({prefix}): nobody can sign in there. Remove that path, for instance an old oauth2-proxy, or install Vestibule with another --endpoint-prefix."
    )
}
