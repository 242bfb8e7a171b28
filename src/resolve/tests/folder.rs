//! A folder: what is served of it, and what is closed.

use super::*;

#[test]
fn a_folder_serves_nothing_that_nobody_asked_for() {
    let mut bench = Bench::new(folder(true));
    bench.apply(USUAL);
    bench.apply(&ingress("docs/plain", &["plain.localhost"], ""));
    bench.apply(&ingress(
        "docs/open",
        &["open.localhost"],
        "vestibule.dev/protect: 'false'",
    ));
    assert_eq!(bench.access("docs/wiki"), "open");
    assert_eq!(bench.access("docs/plain"), "NotAsked");
    assert_eq!(bench.access("docs/open"), "not served");
    let route = |host: &str| bench.host(host).unwrap().routes[0].clone();
    assert_eq!(&*route("wiki.corp.example").upstream, "http://wiki:80");
    assert!(route("plain.localhost").service.is_some());
    assert_eq!(route("open.localhost").service, None);
}

#[test]
fn in_a_folder_a_service_may_name_its_hosts_itself() {
    let named = "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app, namespace: docs}
spec: {hosts: [{host: app.localhost, upstream: 'http://127.0.0.1:8000'}], allow: [{groups: [a]}]}
";
    let mut bench = Bench::new(folder(true));
    bench.apply(USUAL).apply(named);
    assert_eq!(bench.access("docs/app"), "open");
    assert_eq!(
        &*bench.host("app.localhost").unwrap().routes[0].upstream,
        "http://127.0.0.1:8000"
    );
    bench.apply(&ingress("docs/app", &["app2.localhost"], ""));
    assert_eq!(
        bench.reasons(&ObjectRef::ProtectedService(key("docs/app")))[0],
        Reason::Invalid,
        "checks could mean either"
    );
    assert_eq!(bench.access("docs/app"), "NotAsked");
    let mut cluster = Bench::usual();
    cluster.apply(named).obey();
    assert_eq!(cluster.access("docs/app"), "not served");
    assert_eq!(cluster.ready("docs/app"), "False Invalid");
}

#[test]
fn problems_in_a_folder_say_where() {
    let mut bench = Bench::new(folder(true));
    bench.apply(USUAL);
    let source = Source {
        file: "wiki.yaml".into(),
        line: 7,
    };
    let spec = json!({"targetRefs": [{"name": "nowhere"}]});
    let object = project_protected_service(
        &kube::api::ObjectMeta::default(),
        &spec,
        Some(source.clone()),
    );
    bench.resolution.apply(Change::ProtectedService(
        key("docs/p"),
        Some(Arc::new(object)),
    ));
    let problems = bench.resolution.settle().problems;
    assert_eq!(problems[0].reason, Reason::TargetNotFound);
    assert_eq!(problems[0].source, Some(source));
}

#[test]
fn where_nobody_says_which_path_is_asked_for_rules_that_close_paths_close_the_service() {
    let mut bench = Bench::new(folder(false));
    let with_rules = |rules: &str| {
        format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: app, namespace: docs}}
spec:
  hosts: [{{host: app.localhost, upstream: 'http://127.0.0.1:8000'}}]
  allow: [{{groups: [a]}}]
  rules: [{{access: Public, paths: [{{type: Exact, value: /healthz}}]}}{rules}]
"
        )
    };
    let denied = ", {access: Denied, paths: [{type: Prefix, value: /internal/}]}";
    bench.apply(USUAL).apply(&with_rules(denied));
    assert_eq!(bench.access("docs/app"), "PathsNotTold");
    let Access::Closed(closed) = bench.service("docs/app").unwrap().access.clone() else {
        panic!()
    };
    for words in [
        "ProtectedService docs/app",
        "spec.rules[1]",
        "proxy_set_header X-Original-URI $request_uri;",
        "location = /oauth2/auth",
        "--original-uri-header X-Original-URI",
    ] {
        assert!(closed.message.contains(words), "{}", closed.message);
    }
    // Public never applies there, which closes nothing.
    bench.apply(&with_rules(""));
    assert_eq!(bench.access("docs/app"), "open");
    let mut told = Bench::new(folder(true));
    told.apply(USUAL).apply(&with_rules(denied));
    assert_eq!(told.access("docs/app"), "open");
}

#[test]
fn where_nobody_says_which_path_is_asked_for_several_services_on_a_host_are_a_problem() {
    let mut bench = Bench::new(folder(false));
    let protect =
        "vestibule.dev/protect: 'true', vestibule.dev/allowed-email-domains: corp.example";
    bench
        .apply(USUAL)
        .apply(&ingress("docs/api", &["wiki.corp.example"], protect));
    let object = ObjectRef::Ingress(key("docs/wiki"));
    assert_eq!(bench.reasons(&object), [Reason::PathsNotTold]);
    assert_eq!(bench.access("docs/wiki"), "open");
    bench.apply(&ingress("docs/api", &["api.corp.example"], protect));
    assert_eq!(bench.reasons(&object), []);
}
