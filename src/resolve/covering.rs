//! Ingresses that are sent requests for a host which they do not name: by a wildcard, without any host, by an alias, or
//! because Traefik takes them for another.
//!
//! ingress-nginx prefers the server of the exact name, so there only an alias in other letters gets anything. Traefik
//! prefers the longer rule, so whoever writes a wildcard, or a long path without a host, is sent requests for somebody
//! else's host, and the cookies with them.

use std::collections::BTreeMap;

use super::{Class, Ingress, IngressRule, PathKind, World, faults, namesakes};
use crate::{
    dataplane::{
        DataPlane,
        ingress_nginx::{rewrites_paths, server_aliases},
        traefik::{RulePath, longest_rule, shortest_rule},
    },
    policy::HostPattern,
    resource::{Key, endpoint_ingress_name},
};

/// How somebody is sent requests for a host without naming it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Taking {
    /// By a rule that covers it.
    ByRule,
    /// By being taken for an Ingress of the host.
    ByName,
}

/// A path of an Ingress that names the host, and how long its rule is at least.
type Defender<'w> = (usize, RulePath<'w>);

/// Something that an Ingress without the host's name matches on it.
struct Reach<'w> {
    path: RulePath<'w>,
    /// Nobody can say what it matches.
    is_pattern: bool,
    longest: usize,
}

/// The Ingresses that are sent requests for this host by name of something else; not those that name it, nor the
/// installation's own.
pub(super) fn takers(world: &World, host: &HostPattern) -> BTreeMap<Key, Taking> {
    let named = world.on_host(host);
    let own = &world.settings().installation.namespace;
    let is_foreign = |key: &Key| key.namespace != *own && !named.contains(key);
    let is_of_its_plane = |key: &Key| {
        let ingress = world.ingress(key);
        ingress.is_some_and(|ingress| is_of_its_plane(world, host, key, ingress))
    };
    let mut takers = BTreeMap::new();
    let endpoint = Key::new(own, &endpoint_ingress_name(host));
    let namesakes = named.iter().chain([&endpoint]);
    let namesakes = namesakes.flat_map(|key| namesakes::of(world, key));
    let namesakes = namesakes.filter(|key| is_foreign(key) && is_of_its_plane(key));
    takers.extend(namesakes.map(|key| (key.clone(), Taking::ByName)));
    let defenders: Vec<Defender<'_>> = named
        .iter()
        .filter_map(|key| world.ingress(key))
        .flat_map(|ingress| rules_of(ingress, host))
        .map(|path| (shortest_rule(host, path), path))
        .collect();
    let candidates = world.broad().chain(world.on_wildcard_over(host));
    let by_rule = candidates.filter(|key| {
        let takes = |ingress| takes(world, host, ingress, &defenders);
        is_foreign(key) && is_of_its_plane(key) && world.ingress(key).is_some_and(takes)
    });
    takers.extend(by_rule.map(|key| (key.clone(), Taking::ByRule)));
    takers
}

/// Whether an Ingress may match hosts that no wildcard in its rules covers.
pub(super) fn is_broad(ingress: &Ingress) -> bool {
    ingress.default_backend.is_some()
        || ingress.rules.iter().any(is_hostless)
        || server_aliases(&ingress.nginx).is_some()
}

/// Whether the data plane that serves the host may serve this Ingress too. A replica knows no classes but by name.
fn is_of_its_plane(world: &World, host: &HostPattern, key: &Key, ingress: &Ingress) -> bool {
    if ingress.class == Class::None {
        return true;
    }
    if world.settings().controller().is_some() {
        return faults::class_failure(world, key, ingress).is_none();
    }
    world
        .on_host(host)
        .iter()
        .filter_map(|named| world.ingress(named))
        .any(|named| named.class.name() == ingress.class.name())
}

fn takes(world: &World, host: &HostPattern, ingress: &Ingress, defenders: &[Defender<'_>]) -> bool {
    let is_the_host = |alias: &str| {
        let alias = alias.strip_suffix('.').unwrap_or(alias);
        HostPattern::parse(alias).as_ref() == Some(host)
    };
    if aliases(ingress).any(is_the_host) {
        return true;
    }
    if !world.settings().has(DataPlane::Traefik) {
        return false;
    }
    let is_held = |reach: &Reach<'_>| {
        defenders
            .iter()
            .any(|(length, path)| *length > reach.longest && covers(*path, reach))
    };
    // A canary's rule is as long as it likes.
    let is_canary = ingress.nginx.contains_key("canary");
    reaches(world, ingress, host).any(|reach| is_canary || !is_held(&reach))
}

/// What an Ingress matches on a host that it does not name.
fn reaches<'w>(
    world: &'w World,
    ingress: &'w Ingress,
    host: &'w HostPattern,
) -> impl Iterator<Item = Reach<'w>> {
    const EVERYTHING: RulePath<'_> = RulePath {
        path: "/",
        is_exact: false,
    };
    let of_rules = ingress.rules.iter().filter_map(move |rule| {
        let mut names = Vec::new();
        if !is_hostless(rule) {
            names.push(as_written(rule));
            names.extend(aliases(ingress).map(str::to_owned));
            if !names.iter().any(|name| reaches_host(name, host)) {
                return None;
            }
        }
        Some((names, rule))
    });
    let of_paths = of_rules.flat_map(move |(names, rule)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let is_pattern = is_rewritten(world, ingress, rule);
        let fallback = ingress.default_backend.iter().map(|_| None);
        let paths = rule.paths.iter().map(|path| Some(rule_path(path)));
        paths
            .chain(fallback)
            .map(|path| Reach {
                path: path.unwrap_or(EVERYTHING),
                is_pattern,
                longest: longest_rule(&names, path),
            })
            .collect::<Vec<_>>()
    });
    // Without any rule it has whatever nobody else has.
    let rest = ingress
        .default_backend
        .iter()
        .filter(|_| ingress.rules.is_empty());
    of_paths.chain(rest.map(|_| Reach {
        path: EVERYTHING,
        is_pattern: false,
        longest: 0,
    }))
}

fn reaches_host(name: &str, host: &HostPattern) -> bool {
    let Some(pattern) = HostPattern::parse(name) else {
        return false;
    };
    match host {
        HostPattern::Exact(host) => pattern.covers(host.as_str()),
        HostPattern::Wildcard(_) => pattern == *host,
    }
}

fn covers(defender: RulePath<'_>, reach: &Reach<'_>) -> bool {
    if defender.is_exact {
        return !reach.is_pattern && reach.path.is_exact && reach.path.path == defender.path;
    }
    let prefix = defender.path.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._~-".contains(c);
    prefix.is_empty()
        || (!reach.is_pattern
            && prefix.chars().all(is_plain)
            && reach
                .path
                .path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether paths of a host as it is written are read as regular expressions.
fn is_rewritten(world: &World, ingress: &Ingress, rule: &IngressRule) -> bool {
    let of_host = rule.host.as_ref().is_ok_and(|pattern| {
        let mut ingresses = world
            .on_host(pattern)
            .iter()
            .filter_map(|key| world.ingress(key));
        ingresses.any(|ingress| rewrites_paths(&ingress.nginx))
    });
    let mut hostless = world.broad().filter_map(|key| world.ingress(key));
    of_host
        || rewrites_paths(&ingress.nginx)
        || (is_hostless(rule) && hostless.any(|ingress| rewrites_paths(&ingress.nginx)))
}

fn rules_of<'w>(ingress: &'w Ingress, host: &HostPattern) -> impl Iterator<Item = RulePath<'w>> {
    let of_host = ingress
        .rules
        .iter()
        .filter(move |rule| rule.host.as_ref() == Ok(host));
    of_host.flat_map(|rule| rule.paths.iter()).map(rule_path)
}

fn rule_path(path: &super::IngressPath) -> RulePath<'_> {
    RulePath {
        path: &path.path,
        is_exact: path.kind == PathKind::Exact,
    }
}

fn is_hostless(rule: &IngressRule) -> bool {
    rule.host.as_ref().is_err_and(|text| text.is_empty())
}

fn as_written(rule: &IngressRule) -> String {
    match &rule.host {
        Ok(pattern) => pattern.to_string(),
        Err(text) => text.to_string(),
    }
}

fn aliases(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let aliases = server_aliases(&ingress.nginx).unwrap_or_default();
    aliases
        .split(',')
        .map(str::trim)
        .filter(|alias| !alias.is_empty())
}
