//! Which route of a host serves a request.

use crate::{
    policy::CanonicalPath,
    published::{HostEntry, Route},
};

/// What a host has for a target.
pub(super) enum Found<'t> {
    /// This.
    Route(&'t Route),
    /// Nothing.
    Nothing,
    /// It depends on how the target is read, and so does who may enter.
    Unclear,
}

/// The most specific route for a target (path and query). Of two for the same path the protected one wins.
///
/// Paths are compared decoded, as the service will read them. A target with more than one reading (`/a/../b`,
/// `/a%2fb`) is compared as it stands where all of the host belongs to one service, and refused elsewhere: one
/// reading could be open and the other closed.
pub(super) fn find<'t>(entry: &'t HostEntry, target: &str) -> Found<'t> {
    let canonical = CanonicalPath::parse(target);
    let decoded = canonical
        .as_ref()
        .map(|path| std::str::from_utf8(path.as_bytes()));
    let path = match decoded {
        Ok(Ok(path)) => path,
        _ if belongs_to_one_service(entry) => target.split('?').next().unwrap_or(target),
        _ => return Found::Unclear,
    };
    let serving = entry.routes.iter().filter(|route| route.path.serves(path));
    // `max_by_key` gives the last of equals, and the first should win.
    let best = serving
        .rev()
        .max_by_key(|route| (route.path.specificity(), route.service.is_some()));
    best.map_or(Found::Nothing, Found::Route)
}

fn belongs_to_one_service(entry: &HostEntry) -> bool {
    let mut services = entry.routes.iter().map(|route| &route.service);
    let first = services.next();
    services.all(|service| Some(service) == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::HostPattern,
        published::{RoutePath, ServiceId},
    };

    fn entry(routes: &[(RoutePath, Option<&str>)]) -> HostEntry {
        let routes = routes
            .iter()
            .enumerate()
            .map(|(number, (path, service))| Route {
                path: path.clone(),
                service: service.map(|name| ServiceId::new("demo", name)),
                upstream: number.to_string().into(),
            });
        HostEntry {
            pattern: HostPattern::parse("wiki.example").unwrap(),
            services: Vec::new(),
            no_sessions: None,
            routes: routes.collect(),
            named_groups: Vec::new(),
            named_claims: Vec::new(),
        }
    }

    fn prefix(path: &str) -> RoutePath {
        RoutePath::Prefix(path.into())
    }

    fn found(entry: &HostEntry, target: &str) -> String {
        match find(entry, target) {
            Found::Route(route) => route.upstream.to_string(),
            Found::Nothing => "nothing".to_owned(),
            Found::Unclear => "unclear".to_owned(),
        }
    }

    #[test]
    fn the_most_specific_route_wins_and_exact_before_any_prefix() {
        let entry = entry(&[
            (prefix("/"), Some("wiki")),
            (prefix("/api"), Some("api")),
            (RoutePath::Exact("/api".into()), Some("exact")),
            (prefix("/api"), Some("late")),
        ]);
        assert_eq!(found(&entry, "/"), "0");
        assert_eq!(found(&entry, "/apiary"), "0");
        assert_eq!(found(&entry, "/api/v1?x=/"), "1");
        assert_eq!(found(&entry, "/api?x"), "2");
    }

    #[test]
    fn an_open_route_never_hides_a_protected_one_of_the_same_path() {
        let entry = entry(&[(prefix("/"), None), (prefix("/"), Some("wiki"))]);
        assert_eq!(found(&entry, "/"), "1");
    }

    #[test]
    fn where_a_host_is_partly_open_a_target_with_two_readings_is_refused() {
        let mixed = entry(&[(prefix("/"), None), (prefix("/admin"), Some("wiki"))]);
        assert_eq!(found(&mixed, "/x"), "0");
        assert_eq!(found(&mixed, "/%61dmin/users"), "1");
        for target in [
            "/x/../admin",
            "/x/%2e%2e/admin",
            "//admin",
            "/admin%2f",
            "/admin;x",
            "/%",
        ] {
            assert_eq!(found(&mixed, target), "unclear", "{target}");
        }
        let whole = entry(&[(prefix("/"), Some("wiki")), (prefix("/b"), Some("wiki"))]);
        assert_eq!(found(&whole, "/b/../a;x"), "1");
    }

    #[test]
    fn a_path_that_no_route_serves_is_nothing() {
        let entry = entry(&[(prefix("/api"), None)]);
        assert_eq!(found(&entry, "/"), "nothing");
    }
}
