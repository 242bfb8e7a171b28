//! What is written, and what is said of it.

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
fn what_keeps_everybody_out_is_named_with_its_mending() {
    let key = "nginx.ingress.kubernetes.io/upstream-vhost";
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[(key, "internal.example")]);
    assert_eq!(bench.ready("docs/wiki"), "False CheckAltered");
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::CheckAltered]);
    let report = bench.report("docs/wiki");
    assert_eq!(report.hosts[0].state, "Closed");
    let said = &report.verdicts[3].message;
    let mend = format!("kubectl annotate ingress -n docs wiki {key}-");
    assert!(said.ends_with(&mend), "{said}");
    bench.annotate("docs/wiki", &[(key, "wiki.corp.example")]);
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    bench.annotate("docs/wiki", &[(key, "")]);
    let method = ("nginx.ingress.kubernetes.io/auth-method", "post");
    bench.annotate("docs/wiki", &[method]);
    assert_eq!(bench.ready("docs/wiki"), "False CheckAltered");
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
