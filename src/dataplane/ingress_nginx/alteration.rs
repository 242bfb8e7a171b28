//! What else on an Ingress alters the check: it fails for everybody, or its answer does not arrive as it was given.
//! Nothing is open because of it, and nobody would see why nobody gets in.

use std::collections::BTreeMap;

use super::Weakness;
use crate::{dataplane::DataPlane, policy::HostPattern, resource::Key};

/// The methods that ingress-nginx lets a check have; the check listener does not mind. For any other ingress-nginx answers
/// 503, and Traefik 500 if it is no method at all.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
];

/// The annotations that are looked at here.
pub(super) const KEYS: [&str; 3] = ["auth-keepalive", "auth-method", "upstream-vhost"];

/// Everything about an Ingress that alters the check, at one of these data planes. `annotations` are those of
/// ingress-nginx, by what follows its prefix.
#[must_use]
pub fn alterations(
    ingress: &Key,
    annotations: &BTreeMap<String, String>,
    hosts: &[HostPattern],
    data_planes: &[DataPlane],
) -> Vec<Weakness> {
    let value = |key: &str| {
        debug_assert!(KEYS.contains(&key), "{key} is not kept");
        let value = annotations.get(key)?;
        (!value.trim().is_empty()).then_some(value.as_str())
    };
    let by_ingress_nginx = data_planes.contains(&DataPlane::IngressNginx);
    let by_traefik = data_planes.contains(&DataPlane::Traefik);
    let mut found = Vec::new();
    let mut add =
        |key, effect| found.push(Weakness::of_annotation(ingress, annotations, key, effect));
    if value("auth-method").is_some_and(|method| !METHODS.contains(&method)) {
        add(
            "auth-method",
            "ingress-nginx asks with no such method, so everybody gets an error",
        );
    }
    let is_the_host = |name: &str| {
        let is = |host: &HostPattern| host.to_string().eq_ignore_ascii_case(name);
        hosts.iter().all(is)
    };
    if by_traefik && value("upstream-vhost").is_some_and(|name| !is_the_host(name)) {
        add(
            "upstream-vhost",
            "Traefik asks about that name in place of the host that people ask for, so everybody is refused. (ingress-nginx does not: where it alone serves what is protected, install Vestibule with dataPlanes: [ingress-nginx])",
        );
    }
    let is_kept_alive = |text: &str| text.parse::<i64>().is_ok_and(|number| number > 0);
    if by_ingress_nginx && value("auth-keepalive").is_some_and(is_kept_alive) {
        add(
            "auth-keepalive",
            "where ingress-nginx has HTTP/2 switched off, it gives the service each identity header's value under the name of the next, or answers everybody with an error; elsewhere it does nothing",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [DataPlane; 2] = [DataPlane::IngressNginx, DataPlane::Traefik];

    fn found(key: &str, value: &str, hosts: &[&str], planes: &[DataPlane]) -> bool {
        let annotations = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| HostPattern::parse(host).unwrap())
            .collect();
        let found = alterations(&Key::new("docs", "wiki"), &annotations, &hosts, planes);
        assert!(found.iter().all(|it| it.key.ends_with(key)), "{found:?}");
        !found.is_empty()
    }

    #[test]
    fn a_method_is_harmless_if_a_check_can_be_asked_with_it() {
        for method in ["", "GET", "HEAD", "POST", "CONNECT"] {
            assert!(
                !found("auth-method", method, &["a.example"], &BOTH),
                "{method}"
            );
        }
        for method in ["get", "BOGUS", "x y", "POST "] {
            assert!(
                found("auth-method", method, &["a.example"], &BOTH),
                "{method}"
            );
        }
    }

    #[test]
    fn another_host_for_the_service_is_told_where_traefik_may_ask() {
        let key = "upstream-vhost";
        for (value, hosts, is_told) in [
            ("internal.example", &["a.example"][..], true),
            ("$http_x", &["a.example"], true),
            ("a.example", &["a.example", "b.example"], true),
            ("a.example", &["*.example"], true),
            ("A.example", &["a.example"], false),
            ("", &["a.example"], false),
        ] {
            assert_eq!(found(key, value, hosts, &BOTH), is_told, "{value}");
            assert_eq!(found(key, value, hosts, &[DataPlane::Traefik]), is_told);
            assert!(!found(key, value, hosts, &[DataPlane::IngressNginx]));
        }
    }

    #[test]
    fn connections_that_are_kept_are_told_where_ingress_nginx_may_ask() {
        let key = "auth-keepalive";
        for (value, is_told) in [("5", true), ("0", false), ("-1", false), ("bogus", false)] {
            assert_eq!(found(key, value, &["a.example"], &BOTH), is_told, "{value}");
            assert!(!found(key, value, &["a.example"], &[DataPlane::Traefik]));
        }
    }
}
