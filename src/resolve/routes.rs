//! In a folder: where the front door sends the requests for a host. Backends become `http://SERVICE:PORT`.

use std::sync::Arc;

use super::{Backend, Ingress, PathKind, ServicePort, World, asked::asked};
use crate::{
    policy::HostPattern,
    published::{Route, RoutePath, ServiceId},
    resource::Key,
};

/// The routes of a host, the most specific first; none in a cluster, which has a data plane of its own.
pub(super) fn of_host(world: &World, host: &HostPattern) -> Vec<Route> {
    if !world.settings().is_folder() {
        return Vec::new();
    }
    let mut routes: Vec<Route> = world
        .on_host(host)
        .flat_map(|key| of_one(world, key, host))
        .collect();
    // Stable: of equal paths the first by name counts, as it would without sorting.
    routes.sort_by_key(|route| std::cmp::Reverse(route.path.specificity()));
    routes
}

fn of_one(world: &World, key: &Key, host: &HostPattern) -> Vec<Route> {
    let protected = asked(world, key).by.is_protected();
    let service = protected.then(|| ServiceId::new(&key.namespace, &key.name));
    if let Some(ingress) = world.ingress(key) {
        return of_ingress(ingress, host, service.as_ref());
    }
    let spec = world
        .folder_service(key)
        .and_then(|service| service.spec.read());
    let hosts = spec.map(|spec| spec.hosts.as_slice()).unwrap_or_default();
    let on_host = hosts
        .iter()
        .filter(|entry| HostPattern::parse(&entry.host).as_ref() == Some(host));
    on_host
        .filter_map(|entry| entry.upstream.as_deref())
        .map(|upstream| Route {
            path: RoutePath::Prefix("/".into()),
            service: service.clone(),
            upstream: upstream.trim_end_matches('/').into(),
        })
        .collect()
}

fn of_ingress(ingress: &Ingress, host: &HostPattern, service: Option<&ServiceId>) -> Vec<Route> {
    let rules = ingress
        .rules
        .iter()
        .filter(|rule| HostPattern::parse(&rule.host).as_ref() == Some(host));
    let paths = rules.flat_map(|rule| &rule.paths);
    let mut routes: Vec<Route> = paths
        .filter_map(|path| {
            let text = Arc::clone(&path.path);
            Some(Route {
                path: match path.kind {
                    PathKind::Exact => RoutePath::Exact(text),
                    PathKind::Prefix | PathKind::ImplementationSpecific => RoutePath::Prefix(text),
                },
                service: service.cloned(),
                upstream: upstream(path.backend.as_ref()?)?,
            })
        })
        .collect();
    if let Some(upstream) = ingress.default_backend.as_ref().and_then(upstream) {
        let everything = RoutePath::Prefix("/".into());
        if !routes.iter().any(|route| route.path == everything) {
            routes.push(Route {
                path: everything,
                service: service.cloned(),
                upstream,
            });
        }
    }
    routes
}

/// `http://SERVICE:PORT`; none for a port by name, which only a cluster can look up.
pub(super) fn upstream(backend: &Backend) -> Option<Arc<str>> {
    match &backend.port {
        ServicePort::Number(port) => Some(format!("http://{}:{port}", backend.service).into()),
        ServicePort::Name(_) => None,
    }
}
