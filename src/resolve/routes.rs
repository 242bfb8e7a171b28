//! In a folder: where the front door sends the requests for a host. Backends become `http://SERVICE:PORT`.

use std::sync::Arc;

use super::{Backend, Ingress, PathKind, ProtectedService, ServicePort, World, asked::asked};
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
        .iter()
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
    let hosts = world.folder_service(key).map(ProtectedService::own_hosts);
    let on_host = hosts
        .into_iter()
        .flatten()
        .filter(|entry| HostPattern::parse(&entry.host).as_ref() == Some(host));
    on_host
        .map(|entry| Route {
            path: RoutePath::Prefix("/".into()),
            service: service.clone(),
            upstream: entry
                .upstream
                .as_deref()
                .and_then(|text| address(text).ok())
                .unwrap_or_default(),
        })
        .collect()
}

fn of_ingress(ingress: &Ingress, host: &HostPattern, service: Option<&ServiceId>) -> Vec<Route> {
    let rules = ingress
        .rules
        .iter()
        .filter(|rule| rule.host.as_ref() == Ok(host));
    let paths = rules.flat_map(|rule| rule.paths.iter());
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

/// `http://NAME:PORT` of an `upstream` as it is written: that, or `NAME:PORT`.
///
/// # Errors
/// With a sentence that says what is wrong with it.
pub(super) fn address(text: &str) -> Result<Arc<str>, &'static str> {
    let (authority, default_port) = match text.split_once("://") {
        Some(("http", rest)) => (rest.strip_suffix('/').unwrap_or(rest), Some(80)),
        Some(("https", _)) => {
            return Err(
                "speaks https; the way to a service is plain http, inside a machine or a container network",
            );
        }
        Some(_) => return Err("is not an http URL"),
        None => (text, None),
    };
    // `url` would take an address with whitespace or backslashes in it, too.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if authority.is_empty() || !authority.bytes().all(plain) {
        return Err("is not http://NAME:PORT; a path, a query or a user cannot be part of it");
    }
    let Ok(url) = url::Url::parse(&format!("http://{authority}")) else {
        return Err("is not http://NAME:PORT");
    };
    // The URL forgets a port that is its scheme's own.
    let written = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let port = match written {
        Some((_, port)) => port.parse().ok().filter(|port: &u16| *port > 0),
        None => default_port,
    };
    match (url.host_str(), port) {
        (Some(name), Some(port)) => Ok(format!("http://{name}:{port}").into()),
        _ => Err("lacks its port: http://NAME:PORT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_name_and_a_port_with_or_without_http() {
        for (text, read) in [
            ("http://wiki:8080", "http://wiki:8080"),
            ("http://wiki:8080/", "http://wiki:8080"),
            ("http://wiki", "http://wiki:80"),
            ("wiki:8080", "http://wiki:8080"),
            ("my_app-1.internal:80", "http://my_app-1.internal:80"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(read), "{text}");
        }
        for text in [
            "",
            "wiki",
            "http://",
            "http:wiki:80",
            "https://wiki:443",
            "ftp://wiki",
            "http://wiki:80/app",
            "http://wiki:80?x",
            "http://u:p@wiki:80",
            "wiki:0",
            "wiki:70000",
            "wiki:http",
            "wiki:80 ",
            "http:\\\\wiki",
            "unix:/run/wiki.sock",
            "wiki:80//",
            ":80",
        ] {
            assert!(address(text).is_err(), "{text:?} {:?}", address(text));
        }
    }
}
