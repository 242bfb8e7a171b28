//! What is broken closes what it covers, says so where its owner looks, and harms nothing else.

use super::*;

#[test]
fn a_typo_in_an_annotation_closes() {
    for (annotation, reason) in [
        ("vestibule.dev/protct", Reason::UnknownAnnotation),
        (
            "vestibule.dev/allowed-email-domain",
            Reason::UnknownAnnotation,
        ),
    ] {
        let mut bench = Bench::usual();
        bench.annotate("docs/wiki", &[(annotation, "x")]).obey();
        assert_eq!(bench.access("docs/wiki"), reason.as_str());
        assert_eq!(bench.ready("docs/wiki"), format!("False {reason}"));
        assert_eq!(bench.ingress_reasons("docs/wiki"), [reason]);
    }
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[("vestibule.dev/protect", "yes")]);
    assert_eq!(bench.access("docs/wiki"), "InvalidAnnotationValue");
    bench
        .annotate("docs/wiki", &[("vestibule.dev/protect", "true")])
        .obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn two_services_for_one_ingress_close_it_and_both_say_conflicted() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("a", "wiki", "allow: [{groups: [a]}]"));
    bench
        .apply(&psvc("b", "wiki", "allow: [{groups: [b]}]"))
        .obey();
    assert_eq!(bench.access("docs/wiki"), "Conflicted");
    assert_eq!(
        (bench.ready("docs/a"), bench.ready("docs/b")),
        ("False Conflicted".to_owned(), "False Conflicted".to_owned())
    );
    bench.delete("ProtectedService", "docs/b").obey();
    assert_eq!(
        (
            bench.access("docs/wiki").as_str(),
            bench.ready("docs/a").as_str()
        ),
        ("open", "True Ready")
    );
}

#[test]
fn a_named_service_must_exist_and_target_the_ingress() {
    let mut bench = Bench::usual();
    bench
        .annotate(
            "docs/wiki",
            &[("vestibule.dev/protected-service", "wiki-policy")],
        )
        .obey();
    assert_eq!(bench.access("docs/wiki"), "ProtectedServiceNotFound");
    assert_eq!(bench.ready("docs/wiki"), "False ProtectedServiceNotFound");
    bench
        .apply(&psvc("other", "wiki", "allow: [{groups: [a]}]"))
        .obey();
    assert_eq!(bench.access("docs/wiki"), "ProtectedServiceNotFound");
    bench.delete("ProtectedService", "docs/other");
    bench
        .apply(&psvc("wiki-policy", "wiki", "allow: [{groups: [a]}]"))
        .obey();
    assert_eq!(bench.access("docs/wiki"), "open");
}

#[test]
fn a_service_that_cannot_be_read_closes_what_it_names_and_nothing_else() {
    let mut bench = Bench::usual();
    bench.apply(&ingress(
        "docs/other",
        &["other.corp.example"],
        "vestibule.dev/protect: 'true', vestibule.dev/allowed-groups: a",
    ));
    bench
        .apply(&psvc("wiki-policy", "wiki", "allow: [{groups: [a]}]"))
        .obey();
    bench
        .apply(&psvc(
            "wiki-policy",
            "wiki",
            "allow: [{expression: 'true'}]",
        ))
        .obey();
    assert_eq!(bench.access("docs/wiki"), "Unreadable");
    assert_eq!(bench.ready("docs/wiki-policy"), "False Unreadable");
    assert_eq!(bench.access("docs/other"), "open");
    assert!(
        bench.report("docs/wiki-policy").verdicts[0]
            .message
            .contains("expression")
    );
}

#[test]
fn a_service_of_which_nobody_knows_the_target_closes_what_it_could_be_meant_for() {
    let mut bench = Bench::usual();
    bench.apply(&ingress("docs/plain", &["plain.corp.example"], ""));
    bench.apply(
        "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: broken, namespace: docs}
spec: {targetRefs: wiki}
",
    );
    assert_eq!(bench.access("docs/wiki"), "Unreadable");
    assert_eq!(bench.access("docs/plain"), "not served", "it never asked");
    bench.delete("ProtectedService", "docs/broken");
    assert_eq!(bench.access("docs/wiki"), "open");
}

#[test]
fn a_policy_that_cannot_be_used_closes_and_names_the_place() {
    for (rest, place) in [
        (
            "allow: [{emailDomains: ['*']}]",
            "spec.allow[0].emailDomains",
        ),
        ("allow: [{emails: [ann]}]", "spec.allow[0].emails"),
        ("allow: [{}]", "spec.allow[0]"),
        (
            "allow: [{provider: other, groups: [a]}]\n  identityProviders: [corp]",
            "spec.allow[0].provider",
        ),
        (
            "allow: [{groups: [a]}]\n  identityProviders: [corp, corp2]",
            "which provider",
        ),
        (
            "allow: [{groups: [a]}]\n  anyAuthenticated: true",
            "exclude each other",
        ),
        (
            "rules: [{paths: [{type: Prefix, value: /admin}], access: Denied}]",
            "spec.rules[0].paths",
        ),
        (
            "rules: [{paths: [{type: Exact, value: '/a/../b'}], access: Public}]",
            "spec.rules[0].paths",
        ),
        (
            "rules: [{paths: [{type: Prefix, value: /}], access: Public}]",
            "spec.rules[0]",
        ),
        (
            "rules: [{paths: [{type: Prefix, value: /a/}], access: Restricted}]",
            "spec.rules[0]",
        ),
        ("session: {maxDuration: 1d}", "spec.session.maxDuration"),
        (
            "upstream: {headers: [{name: Authorization, from: Subject}]}",
            "spec.upstream.headers",
        ),
        (
            "upstream: {headers: [{name: X-Auth-Request-User, from: Claim}]}",
            "spec.upstream.headers",
        ),
        (
            "denied: {requestAccessURL: 'javascript:alert(1)'}",
            "spec.denied.requestAccessURL",
        ),
    ] {
        let mut bench = Bench::usual();
        bench.apply(&psvc("wiki-policy", "wiki", rest)).obey();
        assert_eq!(bench.access("docs/wiki"), "Invalid", "{rest}");
        assert_eq!(
            bench.condition("docs/wiki-policy", ConditionType::Accepted),
            "False Invalid",
            "{rest}"
        );
        let message = &bench.report("docs/wiki-policy").verdicts[0].message;
        assert!(message.contains(place), "{rest}: {message}");
    }
}

#[test]
fn nobody_is_allowed_until_somebody_is() {
    let mut bench = Bench::usual();
    bench
        .annotate("docs/wiki", &[("vestibule.dev/allowed-email-domains", "")])
        .obey();
    let Access::Open(policy) = &bench.service("docs/wiki").unwrap().access else {
        panic!()
    };
    assert_eq!(policy.grant, crate::policy::Grant::AnyOf(vec![]));
}

#[test]
fn an_ingress_without_hosts_is_not_protected_and_lets_nobody_in() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress(
            "docs/bare",
            &[""],
            "vestibule.dev/protect: 'true'",
        ))
        .obey();
    assert_eq!(bench.ready("docs/bare"), "False NoHosts");
    assert_eq!(bench.ingress_reasons("docs/bare"), [Reason::NoHosts]);
    assert_eq!(bench.service("docs/bare").unwrap().hosts, vec![]);
}

#[test]
fn an_ingress_of_a_foreign_class_is_left_alone_and_called_not_protected() {
    let mut bench = Bench::usual();
    bench.apply(
        "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: other}
spec: {controller: example.com/other}
",
    );
    for class in ["other", "missing"] {
        let foreign = ingress(
            "docs/foreign",
            &["foreign.corp.example"],
            "vestibule.dev/protect: 'true'",
        );
        bench
            .apply(&foreign.replace(
                "ingressClassName: nginx",
                &format!("ingressClassName: {class}"),
            ))
            .obey();
        assert_eq!(bench.auth_url("docs/foreign"), None);
        assert_eq!(bench.ready("docs/foreign"), "False UnsupportedIngressClass");
        assert_eq!(
            bench.ingress_reasons("docs/foreign"),
            [Reason::UnsupportedIngressClass]
        );
        assert!(
            !bench
                .ingresses
                .contains_key(&key("vestibule/vestibule-foreign.corp.example"))
        );
    }
    bench
        .apply(
            "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: missing}
spec: {controller: k8s.io/ingress-nginx}
",
        )
        .obey();
    assert_eq!(
        bench.ready("docs/foreign"),
        "True Ready",
        "as soon as its class is ours"
    );
}

#[test]
fn a_host_of_two_namespaces_is_shared_and_both_are_told() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress("evil/wiki", &["wiki.corp.example"], ""))
        .obey();
    assert_eq!(bench.ready("docs/wiki"), "False HostShared");
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::HostShared]);
    assert_eq!(bench.ingress_reasons("evil/wiki"), [Reason::HostShared]);
    assert_eq!(
        &*bench
            .host("wiki.corp.example")
            .unwrap()
            .no_sessions
            .as_ref()
            .unwrap()
            .reason,
        "HostShared"
    );
    assert_eq!(bench.access("docs/wiki"), "open", "what is public stays");
    bench.delete("Ingress", "evil/wiki").obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn while_an_app_holds_the_endpoint_prefix_nobody_gets_a_session() {
    let mut bench = Bench::usual();
    for path in ["/oauth2", "/oauth2/start", "/OAuth2/x", "/oauth2(/|$)(.*)"] {
        let old = ingress("docs/old-proxy", &["wiki.corp.example"], "")
            .replace("path: /,", &format!("path: '{path}',"));
        bench
            .apply(&old.replace("pathType: Prefix", "pathType: ImplementationSpecific"))
            .obey();
        assert_eq!(
            &*bench
                .host("wiki.corp.example")
                .unwrap()
                .no_sessions
                .as_ref()
                .unwrap()
                .reason,
            "EndpointPathTaken",
            "{path}"
        );
        assert_eq!(bench.ready("docs/wiki"), "False EndpointPathTaken");
    }
    for path in ["/oauth2x", "/oauth2-proxy", "/app/oauth2", "/"] {
        bench
            .apply(
                &ingress("docs/old-proxy", &["wiki.corp.example"], "")
                    .replace("path: /,", &format!("path: '{path}',")),
            )
            .obey();
        assert_eq!(
            bench.host("wiki.corp.example").unwrap().no_sessions,
            None,
            "{path}"
        );
    }
}

#[test]
fn the_auth_host_cannot_be_protected() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress(
            "docs/loop",
            &["auth.corp.example"],
            "vestibule.dev/protect: 'true', vestibule.dev/allowed-groups: a",
        ))
        .obey();
    assert_eq!(bench.access("docs/loop"), "AuthHostTargeted");
    assert_eq!(bench.ready("docs/loop"), "False AuthHostTargeted");
}

#[test]
fn an_ingress_of_another_namespace_on_the_auth_host_stops_sign_in_and_is_named() {
    for place in [controller(), Place::Replica] {
        let mut bench = Bench::new(place);
        bench.apply(USUAL).obey();
        bench.apply(&ingress("vestibule/auth-host", &["auth.corp.example"], ""));
        assert!(bench.host("auth.corp.example").is_none());
        bench
            .apply(&ingress("evil/trap", &["auth.corp.example"], ""))
            .obey();
        let entry = bench.host("auth.corp.example").unwrap();
        assert_eq!(&*entry.no_sessions.as_ref().unwrap().reason, "HostShared");
        assert_eq!(bench.ingress_reasons("evil/trap"), [Reason::HostShared]);
        assert_eq!(
            bench.reasons(&ObjectRef::IdentityProvider("corp".into())),
            [Reason::HostShared],
            "whoever can mend it is told"
        );
        bench.delete("Ingress", "evil/trap").obey();
        assert!(bench.host("auth.corp.example").is_none());
        assert_eq!(
            bench.reasons(&ObjectRef::IdentityProvider("corp".into())),
            []
        );
    }
}

#[test]
fn rules_by_path_on_a_host_that_rewrites_paths_are_said_to_close() {
    let mut bench = Bench::usual();
    bench
        .annotate("docs/wiki", &[("vestibule.dev/public-paths", "/healthz")])
        .obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    bench.apply(&ingress(
        "docs/api",
        &["wiki.corp.example"],
        "nginx.ingress.kubernetes.io/use-regex: 'true'",
    ));
    assert_eq!(bench.ready("docs/wiki"), "False PathsRewritten");
    let Access::Open(policy) = &bench.service("docs/wiki").unwrap().access else {
        panic!()
    };
    assert!(policy.paths_are_rewritten);
}

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
