//! What is written, what is left alone, and what is said when it cannot be.

use super::*;

#[test]
fn the_endpoint_ingress_comes_before_the_annotations() {
    let mut bench = Bench::new(controller());
    bench.apply(USUAL);
    let kinds: Vec<_> = bench
        .writes()
        .iter()
        .map(|plan| match plan {
            Plan::Endpoint { .. } => "endpoint",
            Plan::Annotations { .. } => "annotations",
            Plan::Derived { .. } => "derived",
            _ => "status",
        })
        .collect();
    assert_eq!(kinds, ["endpoint", "annotations", "derived"]);
    assert_eq!(
        bench
            .resolution
            .result(&Unit::ProtectedService(key("docs/wiki"))),
        None,
        "there is none yet"
    );
    assert_eq!(bench.problems, vec![], "what is under way is no event");
}

#[test]
fn the_endpoint_ingress_has_no_setting_of_the_server() {
    let bench = Bench::usual();
    let mut endpoint = bench.ingresses[&key("vestibule/vestibule-wiki.corp.example")].clone();
    endpoint.metadata.managed_fields = None;
    insta::assert_yaml_snapshot!(endpoint, @r#"
    apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata:
      annotations:
        nginx.ingress.kubernetes.io/enable-global-auth: "false"
        nginx.ingress.kubernetes.io/proxy-buffer-size: 16k
        nginx.ingress.kubernetes.io/service-upstream: "true"
      labels:
        app.kubernetes.io/managed-by: vestibule
        vestibule.dev/endpoint-host: wiki.corp.example
        vestibule.dev/instance: vestibule
      name: vestibule-wiki.corp.example
      namespace: vestibule
    spec:
      ingressClassName: nginx
      rules:
        - host: wiki.corp.example
          http:
            paths:
              - backend:
                  service:
                    name: vestibule-auth
                    port:
                      name: public
                path: /oauth2
                pathType: Prefix
    "#);
}

#[test]
fn a_status_says_what_to_register_and_sums_up() {
    let bench = Bench::usual();
    let report = bench.report("docs/wiki");
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    assert!(report.policy_hash.is_some());
    let report = ServiceReport {
        policy_hash: None,
        ..report
    };
    insta::assert_yaml_snapshot!(report.to_status(&[], now), @r#"
    conditions:
      - lastTransitionTime: "2026-03-01T12:00:00Z"
        message: The spec is valid and its targets can be protected
        observedGeneration: 1
        reason: Accepted
        status: "True"
        type: Accepted
      - lastTransitionTime: "2026-03-01T12:00:00Z"
        message: Everything it names was found
        observedGeneration: 1
        reason: ResolvedRefs
        status: "True"
        type: ResolvedRefs
      - lastTransitionTime: "2026-03-01T12:00:00Z"
        message: The data plane asks Vestibule about every request for wiki.corp.example
        observedGeneration: 1
        reason: Programmed
        status: "True"
        type: Programmed
      - lastTransitionTime: "2026-03-01T12:00:00Z"
        message: People sign in before they see wiki.corp.example
        observedGeneration: 1
        reason: Ready
        status: "True"
        type: Ready
    hosts:
      - host: wiki.corp.example
        ingress: wiki
        dataPlane: ingress-nginx
        state: Programmed
        callbackURLs:
          - "https://auth.corp.example/oauth2/callback/corp"
    summary:
      hosts: wiki.corp.example
      identityProviders: corp
    observedGeneration: 1
    "#);
}

#[test]
fn a_status_says_that_nobody_may_enter_where_nothing_says_who_may() {
    let mut bench = Bench::usual();
    let ready = |bench: &Bench| {
        let verdicts = bench.report("docs/wiki").verdicts;
        let ready = verdicts.into_iter().last().unwrap();
        assert!(ready.holds);
        ready.message
    };
    assert!(ready(&bench).starts_with("People sign in before they see"));
    bench.annotate("docs/wiki", &[("vestibule.dev/allowed-email-domains", "")]);
    bench.obey();
    let message = ready(&bench);
    assert!(
        message.starts_with("People can sign in at wiki.corp.example, but nothing says who may enter, so nobody may."),
        "{message}"
    );
}

#[test]
fn an_endpoint_ingress_that_was_changed_is_repaired_and_one_that_was_deleted_comes_back() {
    let mut bench = Bench::usual();
    let name = key("vestibule/vestibule-wiki.corp.example");
    let mut changed = bench.ingresses[&name].clone();
    changed.spec.as_mut().unwrap().ingress_class_name = Some("other".to_owned());
    bench.put_ingress(changed);
    bench.settle();
    assert_eq!(bench.ready("docs/wiki"), "False Pending");
    bench.obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    bench.delete("Ingress", "vestibule/vestibule-wiki.corp.example");
    assert_eq!(bench.ready("docs/wiki"), "False Pending");
    bench.obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn annotations_that_were_dropped_come_back() {
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[(AUTH_URL, ""), (AUTH_SIGNIN, "")]);
    assert_eq!(bench.ready("docs/wiki"), "False Pending");
    bench.obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn a_foreign_auth_url_is_not_overwritten_and_is_named() {
    let mut bench = Bench::new(controller());
    bench.apply(&USUAL.replace(
        "vestibule.dev/protect: 'true'",
        "vestibule.dev/protect: 'true', nginx.ingress.kubernetes.io/auth-url: 'http://old/auth'",
    ));
    bench.obey();
    assert_eq!(bench.auth_url("docs/wiki"), Some("http://old/auth"));
    assert_eq!(bench.ready("docs/wiki"), "False ForeignAuthURL");
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::ForeignAuthURL]);
    let message = &bench.report("docs/wiki").verdicts[3].message;
    assert!(message.contains("written by kubectl"), "{message}");
    assert!(
        message.contains(
            "kubectl annotate ingress -n docs wiki nginx.ingress.kubernetes.io/auth-url-"
        ),
        "{message}"
    );
    bench.annotate("docs/wiki", &[(AUTH_URL, "")]).obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn somebody_who_overwrites_our_key_is_reported_and_not_fought() {
    let mut bench = Bench::usual();
    bench
        .annotate("docs/wiki", &[(AUTH_RESPONSE_HEADERS, "X-User")])
        .obey();
    assert_eq!(bench.ready("docs/wiki"), "False AnnotationConflict");
}

#[test]
fn a_refused_write_is_the_reason_until_it_is_accepted() {
    let mut bench = Bench::new(controller());
    bench.apply(USUAL);
    let refusal = Refusal {
        kind: RefusalKind::Rejected,
        message: "admission webhook said no".into(),
    };
    bench.resolution.apply(Change::Refused(
        Write::Annotations(key("docs/wiki")),
        Some(refusal.clone()),
    ));
    bench.settle();
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::WriteRejected]);
    assert!(!bench.writes().is_empty(), "it is tried again");
    bench
        .resolution
        .apply(Change::Refused(Write::Annotations(key("docs/wiki")), None));
    bench.settle();
    bench.obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    let endpoint = Write::Endpoint("vestibule-wiki.corp.example".into());
    bench
        .resolution
        .apply(Change::Refused(endpoint, Some(refusal)));
    bench.delete("Ingress", "vestibule/vestibule-wiki.corp.example");
    assert_eq!(bench.ready("docs/wiki"), "False EndpointRejected");
}

#[test]
fn what_weakens_the_protection_is_named_with_its_mending() {
    let mut bench = Bench::usual();
    bench.annotate(
        "docs/wiki",
        &[("nginx.ingress.kubernetes.io/auth-always-set-cookie", "yes")],
    );
    assert_eq!(bench.ready("docs/wiki"), "False NotProtected");
    let report = bench.report("docs/wiki");
    assert_eq!(report.hosts[0].state, "NotProtected");
    assert!(report.verdicts[3].message.ends_with("kubectl annotate ingress -n docs wiki nginx.ingress.kubernetes.io/auth-always-set-cookie-"), "{}", report.verdicts[3].message);
    bench.annotate(
        "docs/wiki",
        &[("nginx.ingress.kubernetes.io/auth-always-set-cookie", "")],
    );
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    bench.annotate(
        "docs/wiki",
        &[("nginx.ingress.kubernetes.io/server-alias", "wiki.example")],
    );
    assert_eq!(bench.ready("docs/wiki"), "False ServerAlias");
}

#[test]
fn a_class_by_annotation_is_mirrored_on_the_endpoint_ingress() {
    let mut bench = Bench::usual();
    let old = ingress(
        "docs/old",
        &["old.corp.example"],
        "vestibule.dev/protect: 'true', kubernetes.io/ingress.class: nginx",
    );
    bench
        .apply(&old.replace("  ingressClassName: nginx\n", ""))
        .obey();
    assert_eq!(bench.ready("docs/old"), "True Ready");
    let endpoint = &bench.ingresses[&key("vestibule/vestibule-old.corp.example")];
    assert_eq!(
        endpoint.metadata.annotations.as_ref().unwrap()["kubernetes.io/ingress.class"],
        "nginx"
    );
    assert_eq!(endpoint.spec.as_ref().unwrap().ingress_class_name, None);
}

#[test]
fn an_endpoint_ingress_goes_with_the_last_protected_ingress_of_its_host() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress(
            "docs/api",
            &["wiki.corp.example"],
            "vestibule.dev/protect: 'true'",
        ))
        .obey();
    bench.delete("Ingress", "docs/wiki").obey();
    assert!(
        bench
            .ingresses
            .contains_key(&key("vestibule/vestibule-wiki.corp.example"))
    );
    bench.delete("Ingress", "docs/api").obey();
    assert!(
        !bench
            .ingresses
            .contains_key(&key("vestibule/vestibule-wiki.corp.example"))
    );
    assert_eq!(bench.resolution.table().hosts().count(), 0);
}

#[test]
fn a_wildcard_host_has_an_endpoint_ingress_too() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress(
            "docs/all",
            &["*.corp.example"],
            "vestibule.dev/protect: 'true'",
        ))
        .obey();
    assert_eq!(bench.ready("docs/all"), "True Ready");
    let endpoint = &bench.ingresses[&key("vestibule/vestibule-wildcard.corp.example")];
    assert_eq!(
        endpoint.spec.as_ref().unwrap().rules.as_ref().unwrap()[0]
            .host
            .as_deref(),
        Some("*.corp.example")
    );
}

#[test]
fn an_object_of_somebody_else_with_our_name_is_left_alone() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress("docs/blog", &["blog.corp.example"], ""))
        .apply(&psvc("blog", "wiki2", "allow: [{groups: [a]}]"));
    bench
        .annotate(
            "docs/blog",
            &[
                ("vestibule.dev/protect", "true"),
                ("vestibule.dev/allowed-groups", "a"),
            ],
        )
        .obey();
    assert_eq!(
        bench.access("docs/blog"),
        "open",
        "its annotations say who may enter"
    );
    assert!(
        bench
            .resolution
            .world()
            .service(&key("docs/blog"))
            .unwrap()
            .derived_from
            .is_none()
    );
    bench.apply(&ingress(
        "vestibule/vestibule-foo.corp.example",
        &["x.corp.example"],
        "",
    ));
    bench
        .apply(&ingress(
            "docs/foo",
            &["foo.corp.example"],
            "vestibule.dev/protect: 'true'",
        ))
        .obey();
    assert_eq!(bench.ready("docs/foo"), "False EndpointRejected");
}

#[test]
fn a_derived_object_that_is_refused_does_not_keep_the_service_from_being_protected() {
    let mut bench = Bench::new(controller());
    bench.apply(USUAL);
    let refusal = Refusal {
        kind: RefusalKind::Rejected,
        message: "no".into(),
    };
    let write = Write::Derived(key("docs/wiki"));
    bench
        .resolution
        .apply(Change::Refused(write, Some(refusal)));
    bench.settle();
    assert_eq!(bench.access("docs/wiki"), "open");
    assert_eq!(
        bench.ingress_reasons("docs/wiki"),
        [Reason::DerivedRejected]
    );
    bench
        .apply(&psvc("wiki-policy", "wiki", "allow: [{groups: [a]}]"))
        .obey();
    assert_eq!(
        bench.ready("docs/wiki-policy"),
        "True Ready",
        "there is nothing to derive any more"
    );
}

#[test]
fn annotations_that_cannot_be_taken_off_are_told() {
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[("vestibule.dev/protect", "false")]);
    let refusal = Refusal {
        kind: RefusalKind::Rejected,
        message: "no".into(),
    };
    let write = Write::Annotations(key("docs/wiki"));
    bench
        .resolution
        .apply(Change::Refused(write, Some(refusal)));
    bench.settle();
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::WriteRejected]);
    bench.obey();
    assert_eq!(bench.ingress_reasons("docs/wiki"), vec![]);
}

#[test]
fn passthrough_on_a_neighbour_of_the_host_is_named() {
    let mut bench = Bench::usual();
    bench.apply(&ingress(
        "docs/other",
        &["wiki.corp.example"],
        "nginx.ingress.kubernetes.io/ssl-passthrough: 'true'",
    ));
    assert_eq!(bench.ready("docs/wiki"), "False NotProtected");
    assert!(
        bench.report("docs/wiki").verdicts[3]
            .message
            .contains("docs/other")
    );
}

#[test]
fn what_is_wrong_with_one_host_is_said_of_that_host() {
    let mut bench = Bench::usual();
    bench.apply(&ingress(
        "docs/two",
        &["one.corp.example", "two.corp.example"],
        "vestibule.dev/protect: 'true'",
    ));
    bench
        .apply(
            &ingress("docs/old-proxy", &["two.corp.example"], "")
                .replace("path: /,", "path: /oauth2,"),
        )
        .obey();
    let states: Vec<_> = bench
        .report("docs/two")
        .hosts
        .into_iter()
        .map(|host| (host.host, host.state, host.reason))
        .collect();
    let expected = [
        ("one.corp.example".to_owned(), "Programmed".to_owned(), None),
        (
            "two.corp.example".to_owned(),
            "Closed".to_owned(),
            Some("EndpointPathTaken".to_owned()),
        ),
    ];
    assert_eq!(states, expected);
    assert_eq!(
        bench.ingress_reasons("docs/old-proxy"),
        [Reason::EndpointPathTaken],
        "who holds the path is told too"
    );
}

#[test]
fn an_older_ingress_that_has_the_path_and_is_not_protected_is_named() {
    let mut bench = Bench::usual();
    let older =
        ingress("docs/first", &["wiki.corp.example"], "").replace("2026-02-01", "2025-01-01");
    bench.apply(&older);
    assert_eq!(bench.ready("docs/wiki"), "False NotProtected");
    let message = &bench.report("docs/wiki").verdicts[3].message;
    assert!(
        message.contains("the older Ingress docs/first has the same path"),
        "{message}"
    );
    bench.apply(&older.replace("path: /,", "path: /public,"));
    assert_eq!(
        bench.ready("docs/wiki"),
        "True Ready",
        "a path of its own is its owner's business"
    );
    bench.apply(&ingress("docs/first", &["wiki.corp.example"], ""));
    assert_eq!(
        bench.ready("docs/wiki"),
        "True Ready",
        "the younger one does not get the path"
    );
    let asks = "annotations: {vestibule.dev/protect: 'true'}";
    bench.apply(&older.replace("annotations: {}", asks)).obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready", "it asks as well");
}
