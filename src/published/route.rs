//! What lies behind a host, path by path, and which of it serves a request.

use std::sync::Arc;

use super::{HostEntry, ServiceId};
use crate::policy::CanonicalPath;

/// A path of a host and what lies behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which paths.
    pub path: RoutePath,
    /// The protected Ingress the path belongs to; `None` for one that nobody protects.
    pub service: Option<ServiceId>,
    /// `http://NAME:PORT`. Empty where nobody said it: the route is judged, and nothing can be sent there.
    pub upstream: Arc<str>,
}

/// A path of an Ingress rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePath {
    /// `pathType: Exact`.
    Exact(Arc<str>),
    /// `pathType: Prefix`, by whole segments; ImplementationSpecific counts as this.
    Prefix(Arc<str>),
}

/// What a host has for a target.
#[derive(Debug)]
pub enum Found<'t> {
    /// This.
    Route(&'t Route),
    /// Nothing.
    Nothing,
    /// It depends on how the target is read, and so does who may enter.
    Unclear,
}

// === impl HostEntry ===

impl HostEntry {
    /// The most specific route for a target (path and query). Of two for the same path the protected one wins.
    ///
    /// Paths are compared decoded, as the service will read them. A target with more than one reading (`/a/../b`,
    /// `/a%2fb`) is compared as it stands where all of the host belongs to one service, and refused elsewhere: one
    /// reading could be open and the other closed.
    #[must_use]
    pub fn route<'t>(&'t self, target: &str) -> Found<'t> {
        let canonical = CanonicalPath::parse(target);
        let decoded = canonical
            .as_ref()
            .map(|path| std::str::from_utf8(path.as_bytes()));
        let path = match decoded {
            Ok(Ok(path)) => path,
            _ if self.belongs_to_one_service() => target.split('?').next().unwrap_or(target),
            _ => return Found::Unclear,
        };
        let serving = self.routes.iter().filter(|route| route.path.serves(path));
        // `max_by_key` gives the last of equals, and the first should win.
        let best = serving
            .rev()
            .max_by_key(|route| (route.path.specificity(), route.service.is_some()));
        best.map_or(Found::Nothing, Found::Route)
    }

    fn belongs_to_one_service(&self) -> bool {
        let mut services = self.routes.iter().map(|route| &route.service);
        let first = services.next();
        services.all(|service| Some(service) == first)
    }
}

// === impl RoutePath ===

impl RoutePath {
    /// Whether the route serves this request path (without query), as the Ingress API defines it.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == &**exact,
            Self::Prefix(prefix) => {
                let bare = prefix.strip_suffix('/').unwrap_or(prefix);
                path.strip_prefix(bare)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// Longer is more specific, and exact is more than any prefix.
    #[must_use]
    pub fn specificity(&self) -> (bool, usize) {
        match self {
            Self::Exact(path) => (true, path.len()),
            Self::Prefix(path) => (false, path.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::HostPattern, published::ServiceId};

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
        match entry.route(target) {
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
