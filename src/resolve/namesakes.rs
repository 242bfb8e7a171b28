//! Ingresses of several namespaces that Traefik takes for one another.
//!
//! It keeps what it makes of an Ingress under its namespace, its name, and the Service and port behind a path, joined
//! with hyphens. Namespaces and names may have hyphens too, so `team/pay` with the Service `wiki-web` and `team-pay/wiki`
//! with the Service `web` are one: requests for the host of one go to the Service of the other, past whatever protects
//! it, and the cookies with them. Which of the two wins is up to the ages of the Ingresses, or to chance.

use std::collections::BTreeSet;

use super::{Backend, Ingress, ServicePort, World};
use crate::{
    dataplane::{
        DataPlane,
        traefik::{ERRORS, name_of},
    },
    resource::Key,
};

/// The Ingresses of other namespaces that are one with this in some part, as far as names are kept.
pub(super) fn of<'w>(world: &'w World, key: &Key) -> BTreeSet<&'w Key> {
    let names = world.names_of(key);
    let others = names
        .iter()
        .flat_map(|name| beside(&key.namespace, world.named(name)));
    others.collect()
}

/// Which names of an Ingress are kept. The controller keeps all, and notes what it finds on the endpoint Ingresses. The auth
/// host has none, so a replica looks after that itself: it keeps the names that its Ingress, which is in the
/// installation's namespace, may have as well.
pub(super) fn kept(world: &World, key: &Key, ingress: &Ingress) -> BTreeSet<String> {
    let settings = world.settings();
    if !settings.has(DataPlane::Traefik) {
        return BTreeSet::new();
    }
    if settings.controller().is_some() {
        return names(key, ingress);
    }
    let own = &*settings.installation.namespace;
    if settings.installation.auth_host.is_none()
        || ingress.is_endpoint
        || !may_meet(own, &key.namespace)
    {
        return BTreeSet::new();
    }
    let mut names = names(key, ingress);
    names.retain(|name| begins_with(name, own) || name.starts_with(ERRORS));
    names
}

/// Whether an Ingress of the one namespace and one of the other may have a name in common.
fn may_meet(own: &str, other: &str) -> bool {
    let is_error = |namespace| begins_with(ERRORS, namespace) || begins_with(namespace, ERRORS);
    own == other
        || begins_with(other, own)
        || begins_with(own, other)
        || is_error(own)
        || is_error(other)
}

/// Whether a name begins with this and a hyphen, or is this.
fn begins_with(name: &str, beginning: &str) -> bool {
    let rest = name.strip_prefix(beginning);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Those of other namespaces. Many of one namespace may share a name; they stand beside each other.
fn beside<'w>(namespace: &str, named: &'w [Key]) -> impl Iterator<Item = &'w Key> {
    let before = named.partition_point(|key| *key.namespace < *namespace);
    let until = named.partition_point(|key| *key.namespace <= *namespace);
    let (before, after) = (named.get(..before), named.get(until..));
    before.into_iter().chain(after).flatten()
}

/// All names that something of an Ingress has.
fn names(key: &Key, ingress: &Ingress) -> BTreeSet<String> {
    let Key { namespace, name } = key;
    let mut names = BTreeSet::from([name_of(&[namespace, name, "rule"])]);
    if ingress.default_backend.is_some() {
        names.insert(name_of(&[namespace, name, "default-backend"]));
    }
    let paths = ingress.rules.iter().flat_map(|rule| &*rule.paths);
    let of_paths = paths.filter_map(|path| path.backend.as_ref());
    for Backend { service, port } in of_paths.chain(&ingress.default_backend) {
        let number;
        let port = match port {
            ServicePort::Number(port) => {
                number = port.to_string();
                &*number
            }
            ServicePort::Name(port) => port,
        };
        names.insert(name_of(&[namespace, name, service, port]));
        if is_named_without_ingress(ingress) {
            names.insert(name_of(&[namespace, service, port]));
        }
    }
    if let Some(service) = ingress.nginx.get("default-backend") {
        names.insert(name_of(&[ERRORS, namespace, service]));
    }
    names
}

/// Backends of a canary, and those that TLS is passed through to, are kept by namespace and Service alone.
fn is_named_without_ingress(ingress: &Ingress) -> bool {
    ["canary", "ssl-passthrough"]
        .iter()
        .any(|key| ingress.nginx.contains_key(*key))
}
