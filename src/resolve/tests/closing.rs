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
