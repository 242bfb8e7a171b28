//! Ingresses of several namespaces that Traefik takes for one another.
//!
//! It keeps what it makes of an Ingress under its namespace, its name, and the Service and port behind a path, joined
//! with hyphens. Namespaces and names may have hyphens too, so `team/pay` with the Service `wiki-web` and `team-pay/wiki`
//! with the Service `web` are one: requests for the host of one go to the Service of the other, past whatever protects
//! it, and the cookies with them. Which of the two wins is up to the ages of the Ingresses, or to chance.

use std::collections::BTreeSet;

use super::{Backend, Ingress, ServicePort, World};
use crate::{
    dataplane::traefik::{ERRORS, name_of, namespaces_in},
    resource::Key,
};

/// The Ingresses of other namespaces that are one with this in some part, where names are compared.
pub(super) fn of<'w>(world: &'w World, key: &Key) -> Vec<&'w Key> {
    let Some(ingress) = world.ingress(key).filter(|_| world.compares_names()) else {
        return Vec::new();
    };
    let names = names(key, ingress);
    let namespaces = names.iter().flat_map(|name| namespaces_in(name));
    let namespaces: BTreeSet<&str> = namespaces
        .filter(|namespace| *namespace != &*key.namespace)
        .collect();
    let others = namespaces
        .into_iter()
        .flat_map(|namespace| world.ingresses_in(namespace));
    others
        .filter(|other| {
            world.ingress(other).is_some_and(|ingress| {
                may_be_named(&names, other, ingress)
                    && self::names(other, ingress)
                        .iter()
                        .any(|name| names.contains(name))
            })
        })
        .collect()
}

/// A first look that costs little: most Ingresses of related namespaces have nothing to do with each other.
fn may_be_named(names: &BTreeSet<String>, key: &Key, ingress: &Ingress) -> bool {
    let rest = |name: &str| {
        let name = name.strip_prefix(&*key.namespace)?.strip_prefix('-')?;
        name.strip_prefix(&*key.name)?.strip_prefix('-').map(drop)
    };
    is_named_without_ingress(ingress)
        || ingress.nginx.contains_key("default-backend")
        || names.iter().any(|name| rest(name).is_some())
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
