//! What is written and does not stand: changed, taken off, refused, or somebody else's to begin with.

use super::*;

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
fn somebody_who_takes_our_annotations_off_again_and_again_is_the_reason_until_they_rest() {
    let mut bench = Bench::usual();
    let undone = Refusal {
        kind: RefusalKind::Undone,
        message: "".into(),
    };
    let annotations = Write::Annotations(key("docs/wiki"));
    let fight = Change::Refused(annotations.clone(), Some(undone));
    bench.resolution.apply(fight);
    bench.settle();
    assert_eq!(bench.ready("docs/wiki"), "False AnnotationConflict");
    let said = bench.report("docs/wiki").verdicts[3].message.clone();
    assert!(said.contains("--show-managed-fields"), "{said}");
    // Nothing is to be written while they stand, and they are put back when they do not; the status says the same.
    assert!(bench.writes().is_empty());
    bench.annotate("docs/wiki", &[(AUTH_URL, ""), (AUTH_SIGNIN, "")]);
    assert!(!bench.writes().is_empty());
    assert_eq!(bench.ready("docs/wiki"), "False AnnotationConflict");
    assert_eq!(bench.report("docs/wiki").verdicts[3].message, said);
    bench.obey();
    bench.resolution.apply(Change::Refused(annotations, None));
    bench.settle();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
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

/// Of several installations in a cluster each keeps silent about what another one looks after.
#[test]
fn what_another_installation_serves_is_left_to_it_and_what_none_serves_is_told() {
    let explicit = psvc("who", "other", "allow: [{emailDomains: [corp.example]}]");
    for (service, is_explicit) in [("docs/other", false), ("docs/who", true)] {
        let mut bench = Bench::usual();
        let asks = if is_explicit {
            ""
        } else {
            "vestibule.dev/protect: 'true'"
        };
        let other = ingress("docs/other", &["other.corp.example"], asks);
        bench.apply(&other.replace("ClassName: nginx", "ClassName: of-others"));
        if is_explicit {
            bench.apply(&explicit);
        }
        bench.obey();
        assert_eq!(bench.ready(service), "False UnsupportedIngressClass");
        let told = bench.ingress_reasons("docs/other");
        assert_eq!(told, [Reason::UnsupportedIngressClass]);

        let there = bench.resolution.world().service(&key(service)).unwrap();
        let of_others = Arc::new(ProtectedService {
            is_of_others: true,
            ..there.clone()
        });
        bench
            .resolution
            .apply(Change::ProtectedService(key(service), Some(of_others)));
        bench.settle();
        assert_eq!(bench.ingress_reasons("docs/other"), []);
        let about = |plan: &&Plan| match plan {
            Plan::Derived { key, .. } | Plan::ServiceStatus { key, .. } => {
                *key == self::key(service)
            }
            _ => false,
        };
        let resolution = &bench.resolution;
        let plans: Vec<_> = resolution
            .plans()
            .flat_map(|(_, plans)| plans)
            .filter(about)
            .collect();
        assert!(plans.is_empty(), "{plans:?}");

        // Once the class is ours, so is it, whoever reports on it too.
        bench.apply(&other).obey();
        assert_eq!(bench.ready(service), "True Ready");
    }
}
