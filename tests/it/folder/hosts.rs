//! A ProtectedService that names its hosts itself.

use std::fs;

use vestibule::{policy::Host, published::Access};

use super::{Bench, PROVIDER, WIKI};

const APP: &str = "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app}
spec:
  hosts: [{host: app.example, upstream: 'app:8080'}]
  allow: [{emailDomains: [corp.example]}]
";

fn app(name: &str, host: &str) -> String {
    APP.replace("name: app", &format!("name: {name}"))
        .replace("host: app.example", &format!("host: {host}"))
}

/// Where the front door sends requests for a host, and who decides.
fn route(bench: &Bench, host: &str) -> Option<(String, String)> {
    let table = bench.table.load();
    let entry = table.host(&Host::parse(host).unwrap())?;
    let route = entry.routes.first()?;
    let service = route.service.as_ref()?;
    Some((service.to_string(), route.upstream.to_string()))
}

#[tokio::test]
async fn a_service_with_hosts_is_routed_and_protected() {
    let bench = Bench::start(&[("a.yaml", PROVIDER), ("b.yaml", APP)]);
    assert_eq!(bench.state("default/app"), "open");
    assert_eq!(
        route(&bench, "app.example"),
        Some(("default/app".to_owned(), "http://app:8080".to_owned()))
    );
    // Hosts are names: case, a port and the dot at the end are no part of them.
    assert!(
        bench
            .table
            .load()
            .host(&Host::parse("APP.example").unwrap())
            .is_some()
    );
    assert!(
        bench
            .table
            .load()
            .host(&Host::parse("other.example").unwrap())
            .is_none()
    );
}

#[tokio::test]
async fn a_broken_service_keeps_its_hosts_closed() {
    let bench = Bench::start(&[("a.yaml", PROVIDER), ("b.yaml", APP), ("wiki.yml", WIKI)]);
    for (broken, place) in [
        (
            APP.replace("allow:", "alow:"),
            "b.yaml:7:3: spec.alow: unknown field",
        ),
        (APP.replace("  allow", " allow"), "b.yaml:"),
        (
            APP.replace("kind: Prot", "kind: prot"),
            "b.yaml:3:1: kind: there is no protectedService",
        ),
        (
            String::new(),
            "b.yaml: is empty, and held one object a moment ago",
        ),
    ] {
        bench.write("b.yaml", &broken);
        bench
            .becomes(
                "default/app",
                &format!("closed: ProtectedService default/app cannot be read: {place}"),
            )
            .await;
        let (service, _) = route(&bench, "app.example").unwrap();
        assert_eq!(
            service, "default/app",
            "the host is served by a closed page"
        );
        assert_eq!(bench.state("demo/wiki"), "open", "others go on");
        bench.write("b.yaml", APP);
        bench.becomes("default/app", "open").await;
    }
}

#[tokio::test]
async fn a_service_that_was_broken_from_the_beginning_keeps_its_hosts_closed_too() {
    let broken = APP.replace("emailDomains", "domains");
    let bench = Bench::start(&[("a.yaml", PROVIDER), ("b.yaml", &broken)]);
    assert!(
        bench
            .state("default/app")
            .starts_with("closed: ProtectedService default/app cannot be read"),
        "{}",
        bench.state("default/app")
    );
    assert!(route(&bench, "app.example").is_some());
}

#[tokio::test]
async fn one_typo_closes_one_service_of_a_file() {
    let both = |second: &str| format!("{PROVIDER}---{APP}---{second}");
    let other = app("other", "other.example");
    let bench = Bench::start(&[("all.yaml", &both(&other))]);
    assert_eq!(bench.state("default/other"), "open");
    bench.write(
        "all.yaml",
        &both(&other.replace("emailDomains", "emailDomain")),
    );
    bench
        .becomes(
            "default/other",
            "all.yaml:29:12: spec.allow[0].emailDomain: unknown field",
        )
        .await;
    assert_eq!(bench.state("default/app"), "open");
    // What it is cannot be told any more: it may be any that the file held and does not hold now.
    bench.write("all.yaml", &both(&other.replace("metadata", "metadaten")));
    bench.becomes("default/other", "closed").await;
    assert_eq!(bench.state("default/app"), "open");
    bench.write("all.yaml", &both(&other));
    bench.becomes("default/other", "open").await;
}

#[tokio::test]
async fn two_services_that_claim_one_host_are_both_closed() {
    let bench = Bench::start(&[
        ("a.yaml", PROVIDER),
        ("b.yaml", APP),
        ("c.yaml", &app("copy", "app.example")),
        ("d.yaml", &app("other", "other.example")),
    ]);
    let why = "closed: ProtectedService default/app and ProtectedService default/copy both claim app.example";
    for service in ["default/app", "default/copy"] {
        assert!(
            bench.state(service).starts_with(why),
            "{}",
            bench.state(service)
        );
    }
    assert_eq!(bench.state("default/other"), "open");
    fs::remove_file(bench.path("c.yaml")).unwrap();
    bench.becomes("default/app", "open").await;
    // An Ingress on a host that a service claims whole is a claim too.
    bench.write("wiki.yml", &WIKI.replace("wiki.example", "app.example"));
    let why = "closed: ProtectedService default/app and Ingress demo/wiki both claim app.example";
    bench.becomes("default/app", why).await;
    bench.becomes("demo/wiki", why).await;
}

#[tokio::test]
async fn the_auth_host_cannot_be_a_service() {
    let bench = Bench::start(&[
        ("a.yaml", PROVIDER),
        ("b.yaml", &app("app", "auth.example")),
    ]);
    let state = bench.state("default/app");
    assert!(
        state.contains("would protect auth.example, where people sign in"),
        "{state}"
    );
}

#[tokio::test]
async fn a_host_without_an_upstream_is_protected_for_those_who_route_themselves() {
    let without = APP.replace(", upstream: 'app:8080'", "");
    let bench = Bench::start(&[("a.yaml", PROVIDER), ("b.yaml", &without)]);
    let table = bench.table.load();
    let service = table.service("default/app").unwrap();
    assert!(matches!(service.access, Access::Open(_)));
    assert_eq!(route(&bench, "app.example").unwrap().1, "");
}
