//! "Absence never opens": our annotations come off by an act on the Ingress itself, and by nothing else.

use super::*;
use crate::policy::Moment;

const STAFF: &str = "allow: [{groups: [staff]}]";

#[test]
fn an_annotated_ingress_is_protected_and_served() {
    let bench = Bench::usual();
    assert_eq!(bench.access("docs/wiki"), "open");
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    assert_eq!(
        bench.auth_url("docs/wiki"),
        Some(
            "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/docs/wiki?m=$request_method&u=$escaped_request_uri&h=$host"
        )
    );
    assert!(
        bench
            .ingresses
            .contains_key(&key("vestibule/vestibule-wiki.corp.example"))
    );
    assert_eq!(bench.host("wiki.corp.example").unwrap().no_sessions, None);
    assert_eq!(bench.problems, vec![]);
}

#[test]
fn protect_false_undoes_all_of_it() {
    let mut bench = Bench::usual();
    bench
        .annotate("docs/wiki", &[("vestibule.dev/protect", "false")])
        .obey();
    assert_eq!(bench.auth_url("docs/wiki"), None);
    assert_eq!(bench.access("docs/wiki"), "not served");
    assert_eq!(bench.resolution.table().hosts().count(), 0);
    assert!(
        bench
            .resolution
            .world()
            .service(&key("docs/wiki"))
            .is_none()
    );
    assert_eq!(bench.ingresses.len(), 1, "{:?}", bench.ingresses.keys());
}

#[test]
fn removing_the_annotation_undoes_all_of_it_too() {
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[("vestibule.dev/protect", "")]);
    assert_eq!(
        bench.access("docs/wiki"),
        "not served",
        "requests are refused until the keys are off"
    );
    bench.obey();
    assert_eq!(bench.auth_url("docs/wiki"), None);
    assert!(
        bench
            .resolution
            .world()
            .service(&key("docs/wiki"))
            .is_none()
    );
    assert_eq!(bench.ingresses.len(), 1);
    assert_eq!(
        bench.ingress_reasons("docs/wiki"),
        [Reason::AnnotationIgnored],
        "allowed-email-domains alone has no effect"
    );
}

#[test]
fn the_derived_object_goes_after_the_annotations_so_that_a_crash_between_opens_nothing() {
    let mut bench = Bench::usual();
    bench.annotate("docs/wiki", &[("vestibule.dev/protect", "")]);
    let writes = bench.writes();
    assert!(
        writes.iter().any(|plan| matches!(
            plan,
            Plan::Annotations {
                action: AnnotationAction::Remove { .. },
                ..
            }
        )),
        "{writes:?}"
    );
    assert!(
        !writes
            .iter()
            .any(|plan| matches!(plan, Plan::Derived { .. })),
        "{writes:?}"
    );
}

#[test]
fn a_derived_object_that_somebody_deletes_is_made_again() {
    let mut bench = Bench::usual();
    bench.delete("ProtectedService", "docs/wiki");
    assert_eq!(
        bench.access("docs/wiki"),
        "open",
        "the annotations say who may enter"
    );
    assert!(bench.auth_url("docs/wiki").is_some());
    bench.obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn an_explicit_service_replaces_the_derived_one() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("wiki-policy", "wiki", STAFF)).obey();
    assert!(
        bench
            .resolution
            .world()
            .service(&key("docs/wiki"))
            .is_none()
    );
    assert_eq!(
        &*bench.service("docs/wiki").unwrap().protected_service,
        "docs/wiki-policy"
    );
    assert_eq!(bench.ready("docs/wiki-policy"), "True Ready");
    assert_eq!(
        bench.ingress_reasons("docs/wiki"),
        [Reason::AnnotationIgnored]
    );
    bench.delete("ProtectedService", "docs/wiki-policy").obey();
    assert_eq!(
        &*bench.service("docs/wiki").unwrap().protected_service,
        "docs/wiki"
    );
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
}

#[test]
fn a_service_that_goes_away_leaves_its_ingress_closed_and_says_how_to_open_it() {
    let mut bench = Bench::usual();
    bench.apply(&ingress("docs/plain", &["plain.corp.example"], ""));
    bench.apply(&psvc("plain-policy", "plain", STAFF)).obey();
    assert_eq!(bench.access("docs/plain"), "open");
    bench.delete("ProtectedService", "docs/plain-policy").obey();
    assert!(bench.auth_url("docs/plain").is_some());
    assert_eq!(bench.access("docs/plain"), "PolicyMissing");
    assert_eq!(bench.ingress_reasons("docs/plain"), [Reason::PolicyMissing]);
    let told = bench.problems.last().unwrap();
    assert!(
        told.message
            .contains("kubectl annotate ingress -n docs plain vestibule.dev/protect=false"),
        "{}",
        told.message
    );
    // And that very command does open it.
    bench
        .annotate("docs/plain", &[("vestibule.dev/protect", "false")])
        .obey();
    assert_eq!(bench.auth_url("docs/plain"), None);
}

#[test]
fn an_ingress_can_opt_out_of_a_service_that_targets_it_and_both_are_told() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("wiki-policy", "wiki", STAFF)).obey();
    bench
        .annotate("docs/wiki", &[("vestibule.dev/protect", "false")])
        .obey();
    assert_eq!(bench.auth_url("docs/wiki"), None);
    assert_eq!(bench.ready("docs/wiki-policy"), "False OptedOut");
    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::OptedOut]);
}

/// Somebody who may write ProtectedServices, and no Ingresses, takes the policy away and leaves one behind that looks
/// as if it had been made from annotations.
#[test]
fn a_forged_derived_service_opens_nothing() {
    let mut bench = Bench::usual();
    bench.apply(&ingress("docs/plain", &["plain.corp.example"], ""));
    bench.apply(&psvc("plain-policy", "plain", STAFF)).obey();
    let uid = bench.ingresses[&key("docs/plain")].metadata.uid.clone();
    for owner in [uid.as_deref(), Some("uid-other"), None] {
        bench.forge_derived("docs/plain", owner);
        bench.delete("ProtectedService", "docs/plain-policy");
        assert_eq!(bench.access("docs/plain"), "PolicyMissing", "{owner:?}");
        bench.obey();
        assert!(bench.auth_url("docs/plain").is_some(), "{owner:?}");
        assert_eq!(bench.access("docs/plain"), "PolicyMissing", "{owner:?}");
        bench.apply(&psvc("plain-policy", "plain", STAFF)).obey();
    }
    // The right way is open: the Ingress itself asks, and stops asking.
    bench.delete("ProtectedService", "docs/plain-policy").obey();
    bench
        .annotate("docs/plain", &[("vestibule.dev/protect", "true")])
        .obey();
    bench
        .annotate("docs/plain", &[("vestibule.dev/protect", "")])
        .obey();
    assert_eq!(bench.auth_url("docs/plain"), None);
}

#[test]
fn what_a_service_asked_for_stays_although_the_ingress_asked_before_it() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("wiki-policy", "wiki", STAFF)).obey();
    bench
        .annotate("docs/wiki", &[("vestibule.dev/protect", "")])
        .obey();
    bench.delete("ProtectedService", "docs/wiki-policy").obey();
    assert_eq!(bench.access("docs/wiki"), "PolicyMissing");
    assert!(bench.auth_url("docs/wiki").is_some());
}

#[test]
fn a_provider_or_secret_that_goes_away_closes_and_opens_nothing() {
    let mut bench = Bench::usual();
    bench.delete("IdentityProvider", "corp").obey();
    assert!(bench.auth_url("docs/wiki").is_some());
    assert_eq!(bench.access("docs/wiki"), "IdentityProviderNotFound");
    assert_eq!(bench.ready("docs/wiki"), "False IdentityProviderNotFound");
    assert_eq!(
        bench.ingress_reasons("docs/wiki"),
        [Reason::IdentityProviderNotFound]
    );
    let message = bench.report("docs/wiki").verdicts.pop().unwrap().message;
    assert!(
        message.starts_with("The annotations of Ingress docs/wiki: no IdentityProvider is named"),
        "{message}"
    );
}

#[test]
fn a_new_ingress_of_an_old_name_is_not_undone_for_the_old_one() {
    let mut bench = Bench::usual();
    let mut again = bench.ingresses[&key("docs/wiki")].clone();
    again.metadata.uid = Some("uid-other".to_owned());
    again
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .retain(|key, _| key.starts_with("nginx."));
    again.metadata.managed_fields = None;
    bench.put_ingress(again);
    bench.settle();
    bench.obey();
    assert!(
        bench.auth_url("docs/wiki").is_some(),
        "its owner wrote the keys, so they are the owner's"
    );
    assert_eq!(bench.access("docs/wiki"), "PolicyMissing");
}

#[test]
fn a_replica_serves_what_the_controller_protects_and_plans_nothing() {
    let mut bench = Bench::new(Place::Replica);
    bench.apply(USUAL);
    assert_eq!(bench.access("docs/wiki"), "open");
    assert_eq!(bench.resolution.plans().count(), 0);
    assert_eq!(
        bench.resolution.table().provider("corp").unwrap().issuer(),
        "https://id.corp.example"
    );
}

#[test]
fn a_replica_keeps_once_what_services_have_in_common_and_still_tells_them_apart() {
    let mut bench = Bench::new(Place::Replica);
    bench.apply(USUAL);
    for name in ["a", "b", "c"] {
        let host = format!("{name}.corp.example");
        bench.apply(&ingress(&format!("docs/{name}"), &[&host], ""));
        bench.apply(&psvc(name, name, STAFF));
    }
    let spec = |bench: &Bench, name: &str| {
        let service = bench.resolution.world().service(&key(name));
        Arc::clone(service.unwrap().spec.read().unwrap())
    };
    assert!(Arc::ptr_eq(
        &spec(&bench, "docs/a"),
        &spec(&bench, "docs/b")
    ));
    // Another target and nothing else; then one that is no Ingress.
    bench.apply(&psvc("b", "gone", STAFF));
    assert_eq!(bench.access("docs/b"), "not served");
    bench.apply(&psvc("b", "b", STAFF));
    assert_eq!(bench.access("docs/b"), "open");
    bench.apply(&psvc("c", "c, kind: Service", STAFF));
    assert_eq!(bench.access("docs/c"), "Invalid");
    assert_eq!(bench.access("docs/a"), "open");
}

#[test]
fn a_replica_keeps_of_endpoint_ingresses_only_what_they_say_of_sessions() {
    let endpoint = key("vestibule/vestibule-wiki.corp.example");
    let plain = Bench::usual().ingresses[&endpoint].clone();
    let mut bench = Bench::new(Place::Replica);
    bench.apply(USUAL);
    let mut put = |sessions: Option<&str>| {
        let mut ingress = plain.clone();
        let annotations = ingress.metadata.annotations.as_mut().unwrap();
        annotations.extend(sessions.map(|text| ("vestibule.dev/sessions".into(), text.into())));
        bench.put_ingress(ingress);
        bench.settle();
        let is_kept = bench.resolution.world().ingress(&endpoint).is_some();
        let disclosed = &bench.service("docs/wiki").unwrap().disclosed;
        (is_kept, disclosed.iter().map(|it| it.until).collect())
    };
    let none: Vec<Option<Moment>> = vec![];
    assert_eq!(put(None), (false, none.clone()));
    assert_eq!(put(Some("none")), (true, vec![None]));
    assert_eq!(put(Some("after-7")), (true, vec![Some(Moment(7))]));
    assert_eq!(put(None), (false, none));
}

#[test]
fn what_admission_stamped_and_nobody_holds_comes_off_as_well() {
    let mut bench = Bench::new(controller());
    bench.apply(USUAL);
    let values = bench.writes().into_iter().find_map(|plan| match plan {
        Plan::Annotations {
            action: AnnotationAction::Write { values, .. },
            ..
        } => Some(values),
        _ => None,
    });
    let values = values.unwrap();
    let mut stamped = bench.ingresses[&key("docs/wiki")].clone();
    let annotations = stamped.metadata.annotations.as_mut().unwrap();
    for (key, value) in [
        (AUTH_URL, &values.url),
        (AUTH_SIGNIN, &values.signin),
        (AUTH_RESPONSE_HEADERS, &values.headers),
    ] {
        annotations.insert(key.to_owned(), value.to_string());
    }
    annotations.insert("vestibule.dev/protect".to_owned(), "false".to_owned());
    bench.put_ingress(stamped);
    bench.settle();
    bench.obey();
    assert_eq!(bench.auth_url("docs/wiki"), None);
}
