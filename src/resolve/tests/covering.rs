//! Ingresses of others that are sent requests for a host which they do not name, and what becomes of its sessions.

use super::*;
use crate::policy::Moment;

/// An Ingress of namespace `evil` with this spec and these annotations.
fn trap(spec: &str, annotations: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: trap, namespace: evil, uid: uid-trap, annotations: {{{annotations}}}}}
spec: {spec}
"
    )
}

const BACKEND: &str = "{service: {name: trap, port: {number: 80}}}";

fn rule(host: &str, path: &str) -> String {
    let host = match host {
        "" => String::new(),
        host => format!("host: {host:?}, "),
    };
    format!("{{{host}http: {{paths: [{{path: {path:?}, pathType: Prefix, backend: {BACKEND}}}]}}}}")
}

fn rules(host: &str, path: &str) -> String {
    format!("{{ingressClassName: nginx, rules: [{}]}}", rule(host, path))
}

#[test]
fn whoever_is_sent_requests_for_a_host_without_naming_it_shares_it() {
    let alias = |names: &str| format!("nginx.ingress.kubernetes.io/server-alias: {names:?}");
    let regex = "nginx.ingress.kubernetes.io/use-regex: \"true\"";
    let long = format!("/{}", "x".repeat(60));
    let own = rules("evil.example", "/");
    let traefik_only = [
        (rules("*.corp.example", "/"), String::new()),
        (rules("*.corp.example", "/a"), String::new()),
        (rules("", &long), String::new()),
        (rules("", &format!("/(.*|{long})")), regex.to_owned()),
        (own.clone(), alias("evil2.example, *.corp.example")),
        (
            rules("", "/"),
            "nginx.ingress.kubernetes.io/canary: \"true\"".to_owned(),
        ),
        (
            rules("*.corp.example", "/").replace("ingressClassName: nginx, ", ""),
            String::new(),
        ),
        (
            format!(
                "{{ingressClassName: nginx, defaultBackend: {BACKEND}, rules: [{{host: \"*.corp.example\"}}]}}"
            ),
            String::new(),
        ),
    ];
    let everywhere = [
        (own.clone(), alias("WIKI.corp.example")),
        (own.clone(), alias("a.example,wiki.corp.example.")),
    ];
    let nowhere = [
        (rules("", "/"), String::new()),
        (rules("*.example", "/"), String::new()),
        (rules("*.wiki.corp.example", "/"), String::new()),
        (own.clone(), alias("other.corp.example")),
        (
            rules("*.corp.example", "/").replace("nginx", "other"),
            String::new(),
        ),
        (
            format!("{{ingressClassName: nginx, defaultBackend: {BACKEND}}}"),
            String::new(),
        ),
    ];
    let mut cases = 0;
    let mut judge = |traps: &[(String, String)], traefik: bool, nginx: bool| {
        for (spec, annotations) in traps {
            for (plane, expected) in [
                (DataPlane::Traefik, traefik),
                (DataPlane::IngressNginx, nginx),
            ] {
                let mut bench = Bench::behind(controller(), &[plane]);
                bench.apply(USUAL).obey();
                bench.apply(&trap(spec, annotations)).obey();
                let what = format!("{plane:?} {spec} {annotations}");
                let told = bench.ingress_reasons("evil/trap");
                if expected {
                    assert_eq!(bench.ready("docs/wiki"), "False HostShared", "{what}");
                    assert_eq!(bench.ingress_reasons("docs/wiki"), [Reason::HostShared]);
                    assert!(told.contains(&Reason::HostShared), "{what}: {told:?}");
                    let message = bench.report("docs/wiki").verdicts.pop().unwrap().message;
                    assert!(message.contains("evil/trap does not name it"), "{message}");
                } else {
                    assert_eq!(bench.ready("docs/wiki"), "True Ready", "{what}");
                    assert!(!told.contains(&Reason::HostShared), "{what}");
                }
                bench.delete("Ingress", "evil/trap").obey();
                assert_eq!(bench.ready("docs/wiki"), "True Ready", "{what}");
                cases += 1;
            }
        }
    };
    judge(&traefik_only, true, false);
    judge(&everywhere, true, true);
    judge(&nowhere, false, false);
    assert_eq!(cases, 32);
}

/// Traefik joins what it is told with hyphens, which names may have.
#[test]
fn whoever_traefik_takes_for_an_ingress_of_the_host_shares_it() {
    let protect = "vestibule.dev/protect: \"true\"";
    let canary = "nginx.ingress.kubernetes.io/canary: \"true\"";
    let named = |name: &str, service: &str, annotations: &str| {
        let text = ingress(name, &["evil.example"], annotations);
        let (_, of) = name.split_once('/').unwrap();
        text.replace(
            &format!("{{service: {{name: {of}, "),
            &format!("{{service: {{name: {service}, "),
        )
    };
    let passed_through = "nginx.ingress.kubernetes.io/ssl-passthrough: \"true\"";
    let of_errors = "nginx.ingress.kubernetes.io/default-backend: team-wiki-wiki-80";
    for (namesake, service, annotations, is_one) in [
        ("docs/team", "wiki-wiki", "", true),
        ("docs/team-wiki", "any", "", true),
        ("docs/x", "team-wiki-wiki", canary, true),
        ("docs-team-wiki/x", "wiki", canary, true),
        ("docs-team-wiki/x", "wiki", passed_through, true),
        // What answers the people who sign in there.
        ("vestibule-vestibule/team.corp.example", "any", "", true),
        ("docs-team-wiki/x", "wiki", "", false),
        ("docs/team", "wiki", "", false),
        ("docs/team", "wiki-wiki-80", "", false),
        ("docs/x", "team-wiki-wiki", "", false),
        ("docs/x", "x", of_errors, false),
        ("doc/team", "wiki-wiki", "", false),
        ("docs-team/wikis", "wiki", canary, false),
    ] {
        for plane in [DataPlane::Traefik, DataPlane::IngressNginx] {
            let mut bench = Bench::behind(controller(), &[plane]);
            bench.apply(USUAL).obey();
            let one = ingress("docs-team/wiki", &["team.corp.example"], protect);
            bench.apply(&one).obey();
            let what = format!("{namesake} {service} {annotations} {plane:?}");
            assert_eq!(bench.ready("docs-team/wiki"), "True Ready", "{what}");
            bench.apply(&named(namesake, service, annotations)).obey();
            if is_one && plane == DataPlane::Traefik {
                assert_eq!(bench.ready("docs-team/wiki"), "False HostShared", "{what}");
                let told = bench.ingress_reasons(namesake);
                assert!(told.contains(&Reason::HostShared), "{what}: {told:?}");
                let verdict = bench.report("docs-team/wiki").verdicts.pop().unwrap();
                let taken = format!("takes {namesake} for an Ingress of this host");
                assert!(verdict.message.contains(&taken), "{}", verdict.message);
            } else {
                assert_eq!(bench.ready("docs-team/wiki"), "True Ready", "{what}");
            }
            bench.delete("Ingress", namesake).obey();
            assert_eq!(bench.ready("docs-team/wiki"), "True Ready", "{what}");
        }
    }
}

/// A replica has not what it takes to find out who shares a host in such a way.
#[test]
fn a_replica_gives_nobody_a_session_where_the_controller_found_a_share() {
    let host = "wiki.corp.example";
    let mut bench = Bench::new(Place::Replica);
    bench.apply(USUAL);
    let mark = |bench: &mut Bench, sessions: &str| {
        let name = format!("vestibule/vestibule-{host}");
        let labels = "app.kubernetes.io/managed-by: vestibule, vestibule.dev/instance: vestibule";
        let endpoint = ingress(
            &name,
            &[host],
            &format!("vestibule.dev/sessions: {sessions}"),
        );
        let labelled = format!("  labels: {{{labels}}}\n  annotations:");
        bench.apply(&endpoint.replacen("  annotations:", &labelled, 1));
    };
    let began = Moment(1_800_000_000);
    assert!(bench.service("docs/wiki").unwrap().counts(host, began));
    mark(&mut bench, "none");
    assert!(!bench.service("docs/wiki").unwrap().counts(host, began));
    assert!(bench.host(host).unwrap().no_sessions.is_some());
    mark(&mut bench, "after-1799999999");
    assert!(bench.service("docs/wiki").unwrap().counts(host, began));
    assert!(bench.host(host).unwrap().no_sessions.is_none());
}

/// The backend of errors is one with that of an Ingress in the namespace `default`.
#[test]
fn whatever_answers_errors_may_be_taken_for_a_backend_too() {
    let mut bench = Bench::usual();
    let protect = "vestibule.dev/protect: \"true\"";
    let one = ingress("default/backend", &["app.corp.example"], protect);
    bench
        .apply(&one.replace("service: {name: backend", "service: {name: team-web"))
        .obey();
    assert_eq!(bench.ready("default/backend"), "True Ready");
    let of_errors = "nginx.ingress.kubernetes.io/default-backend: web-80";
    bench
        .apply(&ingress("team/trap", &["evil.example"], of_errors))
        .obey();
    assert_eq!(bench.ready("default/backend"), "False HostShared");
}

#[test]
fn an_ingress_of_the_same_namespace_may_take_what_it_likes() {
    let mut bench = Bench::usual();
    bench
        .apply(&ingress("docs/any", &["*.corp.example"], ""))
        .obey();
    assert_eq!(bench.ready("docs/wiki"), "True Ready");
    assert_eq!(bench.ingress_reasons("docs/any"), []);
}

/// What is left over of a host that is protected by its paths is left to everybody.
#[test]
fn a_host_without_a_rule_for_everything_leaves_the_rest_to_rules_without_a_host() {
    for spec in [
        rules("", "/"),
        format!("{{ingressClassName: nginx, defaultBackend: {BACKEND}}}"),
    ] {
        let mut bench = Bench::usual();
        let part = ingress(
            "docs/part",
            &["part.corp.example"],
            "vestibule.dev/protect: \"true\"",
        );
        bench.apply(&part.replace("path: /,", "path: /app,")).obey();
        assert_eq!(bench.ready("docs/part"), "True Ready");
        bench.apply(&trap(&spec, "")).obey();
        assert_eq!(bench.ready("docs/part"), "False HostShared", "{spec}");
        assert_eq!(bench.ready("docs/wiki"), "True Ready", "{spec}");
    }
}

#[test]
fn the_auth_host_is_covered_by_nobody_else_either() {
    for (spec, is_shared) in [
        (rules("*.corp.example", "/"), true),
        (rules("", "/"), false),
        (rules("", "/oauth2/callback/corp/and/much/more/of/it"), true),
    ] {
        for place in [controller(), Place::Replica] {
            let mut bench = Bench::new(place);
            bench.apply(USUAL).obey();
            bench
                .apply(&ingress("vestibule/auth-host", &["auth.corp.example"], ""))
                .obey();
            bench.apply(&trap(&spec, "")).obey();
            let entry = bench.host("auth.corp.example");
            let shared = entry.is_some_and(|entry| entry.no_sessions.is_some());
            assert_eq!(shared, is_shared, "{spec}");
        }
    }
}

/// Nothing is noted of the auth host, so replicas find out by themselves whom Traefik takes for its Ingress.
#[test]
fn whoever_traefik_takes_for_the_auth_host_stops_sign_in_on_every_replica() {
    let auth_host = "auth.corp.example";
    let shared = |bench: &Bench| {
        let entry = bench.host(auth_host);
        entry.is_some_and(|entry| entry.no_sessions.is_some())
    };
    let of_service = |name: &str, service: &str| {
        let (_, of) = name.split_once('/').unwrap();
        let text = ingress(name, &["evil.example"], "");
        text.replace(
            &format!("{{service: {{name: {of}, "),
            &format!("{{service: {{name: {service}, "),
        )
    };
    let own = ingress("vestibule/sign-in", &[auth_host], "");
    for (namesake, service, is_one) in [
        ("vestibule-sign/in", "sign-in", true),
        ("vestibule-sign/in", "any", true),
        ("vestibule-sign-in/sign", "in", true),
        ("vestibule-sign-in/sign", "out", false),
        ("vestibule-sign/out", "in", false),
        ("team-sign/in", "sign-in", false),
    ] {
        for place in [controller(), Place::Replica] {
            for is_older in [true, false] {
                let what = format!("{namesake} {service} {place:?} {is_older}");
                let mut bench = Bench::new(place.clone());
                bench.apply(USUAL).obey();
                let trap = of_service(namesake, service);
                let both = if is_older {
                    [&trap, &own]
                } else {
                    [&own, &trap]
                };
                for one in both {
                    bench.apply(one).obey();
                }
                assert_eq!(shared(&bench), is_one, "{what}");
                bench.delete("Ingress", namesake).obey();
                assert!(!shared(&bench), "{what}");
            }
        }
    }
    // Also where nothing changes but what a replica does not keep.
    let mut bench = Bench::new(Place::Replica);
    bench.apply(USUAL).apply(&own);
    let canary = |service: &str| {
        let text = of_service("vestibule-sign-in/x", service);
        text.replace(
            "annotations: {",
            "annotations: {nginx.ingress.kubernetes.io/canary: 'true'",
        )
    };
    for (service, is_one) in [("other", false), ("sign-in", true), ("other", false)] {
        bench.apply(&canary(service));
        assert_eq!(shared(&bench), is_one, "{service}");
    }
}

/// Sessions that others may have seen stay void after they have gone, whoever looks, and however often.
#[test]
fn a_shared_host_has_no_sessions_and_later_only_new_ones() {
    let shared_since = Moment(1_800_000_000);
    let host = "wiki.corp.example";
    for intruder in [
        ingress("evil/trap", &[host], ""),
        trap(&rules("*.corp.example", "/"), ""),
    ] {
        let mut bench = Bench::usual();
        let counts =
            |bench: &Bench, at: u64| bench.service("docs/wiki").unwrap().counts(host, Moment(at));
        assert!(counts(&bench, 1));
        bench.apply(&intruder);
        assert!(!counts(&bench, shared_since.0 + 1), "at once");
        bench.obey();
        assert!(!counts(&bench, shared_since.0 + 1));
        bench.delete("Ingress", "evil/trap");
        assert!(
            !counts(&bench, shared_since.0 + 1),
            "until the endpoint Ingress says since when"
        );
        bench.obey();
        assert!(!counts(&bench, shared_since.0), "seen by others");
        assert!(counts(&bench, shared_since.0 + 1), "begun later");
        let service = bench.service("docs/wiki").unwrap();
        assert_eq!(service.counts_since(host), Some(Moment(shared_since.0 + 1)));
        assert!(service.counts("other.corp.example", Moment(1)));
        assert_eq!(bench.ready("docs/wiki"), "True Ready");
        assert_eq!(bench.writes(), []);
        // What nobody understands counts as the worst.
        bench.annotate(
            "vestibule/vestibule-wiki.corp.example",
            &[("vestibule.dev/sessions", "all of them")],
        );
        assert!(!counts(&bench, u64::MAX));
    }
}

/// As while ingress-nginx is installed anew, or the owner tries another class.
#[test]
fn what_others_may_have_seen_does_not_count_again_after_a_class_was_gone() {
    const CLASS: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
";
    let usual_ingress = USUAL.rsplit("---\n").next().unwrap();
    let host = "wiki.corp.example";
    let (seen, later) = (Moment(1_700_000_000), Moment(1_900_000_000));
    let mut bench = Bench::usual();
    let counts = |bench: &Bench| {
        let service = bench.service("docs/wiki").unwrap();
        [seen, later].map(|began| service.counts(host, began))
    };
    let endpoint = |bench: &Bench| {
        let key = key(&format!("vestibule/vestibule-{host}"));
        bench.resolution.world().ingress(&key).is_some()
    };
    assert_eq!((counts(&bench), endpoint(&bench)), ([true, true], true));
    bench.apply(&ingress("evil/wiki", &[host], "")).obey();
    assert_eq!(counts(&bench), [false, false]);
    bench.delete("Ingress", "evil/wiki").obey();
    assert_eq!(counts(&bench), [false, true]);

    let elsewhere = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: elsewhere}
spec: {controller: example.com/other}
";
    bench.apply(elsewhere);
    for gone in ["deleted", "of another controller", "the Ingress moves"] {
        match gone {
            "deleted" => bench.delete("IngressClass", "nginx"),
            "of another controller" => {
                bench.apply(&CLASS.replace("k8s.io/ingress-nginx", "example.com/other"))
            }
            _ => bench.apply(
                &usual_ingress.replace("ingressClassName: nginx", "ingressClassName: elsewhere"),
            ),
        };
        bench.obey();
        let ready = bench.ready("docs/wiki");
        assert_eq!(ready, "False UnsupportedIngressClass", "{gone}");
        assert_eq!(
            (counts(&bench), endpoint(&bench)),
            ([false, true], true),
            "{gone}"
        );
        // A share that begins and ends meanwhile is noted as well.
        bench.apply(&ingress("evil/wiki", &[host], "")).obey();
        assert_eq!(counts(&bench), [false, false], "{gone}");
        bench.delete("Ingress", "evil/wiki").obey();
        assert_eq!(counts(&bench), [false, true], "{gone}");

        bench.apply(CLASS).apply(usual_ingress).obey();
        assert_eq!(bench.ready("docs/wiki"), "True Ready", "{gone}");
        assert_eq!(
            (counts(&bench), endpoint(&bench)),
            ([false, true], true),
            "{gone}"
        );
    }
    bench.delete("Ingress", "docs/wiki").obey();
    assert!(!endpoint(&bench), "nobody asks for it any more");
}
