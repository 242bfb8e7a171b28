//! Identity providers: who may use which, and what is said if not.

use super::*;
use crate::published::ProviderKind;

fn idp(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: {name}, generation: 1}}
spec: {{{spec}}}
"
    )
}

fn provider_reason(bench: &Bench, name: &str) -> String {
    let unit = Unit::Provider(name.into());
    let plan = bench
        .resolution
        .result(&unit)
        .and_then(|result| result.plans.first().cloned());
    let Some(Plan::ProviderStatus { report, .. }) = plan else {
        panic!("no status for {name}")
    };
    let ready = report.verdicts.last().unwrap();
    format!(
        "{} {}",
        if ready.holds { "True" } else { "False" },
        ready.reason
    )
}

#[test]
fn a_provider_is_served_with_its_secret_and_reports_when_that_is_missing() {
    let mut bench = Bench::usual();
    let spec = "type: OIDC, oidc: {issuerURL: 'https://id.example'}, clientID: v, clientSecretRef: {name: corp-client}";
    bench.apply(&idp("corp", &format!("{spec}, default: true")));
    assert_eq!(provider_reason(&bench, "corp"), "False SecretNotFound");
    assert_eq!(bench.access("docs/wiki"), "SecretNotFound");
    assert_eq!(
        bench
            .resolution
            .world()
            .secrets_in_use()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["corp-client"]
    );
    bench.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: corp-client}, stringData: {other: x}}",
    );
    assert_eq!(provider_reason(&bench, "corp"), "False SecretKeyMissing");
    bench.apply("{apiVersion: v1, kind: Secret, metadata: {name: corp-client}, data: {client-secret: aHVudGVyMg==}}");
    assert_eq!(provider_reason(&bench, "corp"), "True Ready");
    assert_eq!(bench.access("docs/wiki"), "open");
    let served = bench.resolution.table().provider("corp").unwrap();
    assert_eq!(served.client_secret.as_ref().unwrap().expose(), b"hunter2");
    assert_eq!(
        served.scopes.iter().map(|s| &**s).collect::<Vec<_>>(),
        ["openid", "email", "profile"]
    );
    for problem in &bench.problems {
        assert!(
            !problem.message.contains("hunter2") && !problem.message.contains("aHVu"),
            "{problem:?}"
        );
    }
    bench.delete("Secret", "corp-client");
    assert_eq!(bench.ready("docs/wiki"), "False SecretNotFound");
}

#[test]
fn an_issuer_is_https_but_on_loopback() {
    for (issuer, fits) in [
        ("https://id.example", true),
        ("https://id.example/realms/corp", true),
        ("http://localhost:8080", true),
        ("http://127.0.0.1:9000/x", true),
        ("http://id.localhost", true),
        ("http://id.example", false),
        ("http://127.0.0.1.evil.example", false),
        ("http://localhost.evil.example", false),
        ("https://user@id.example", false),
        ("https://id.example?x=1", false),
        ("https://id.example#x", false),
        ("ftp://id.example", false),
        ("id.example", false),
    ] {
        let mut bench = Bench::usual();
        bench.apply(&idp(
            "corp",
            &format!("type: OIDC, oidc: {{issuerURL: '{issuer}'}}, clientID: v, default: true"),
        ));
        let expected = if fits { "True Ready" } else { "False Invalid" };
        assert_eq!(provider_reason(&bench, "corp"), expected, "{issuer}");
        assert_eq!(
            bench.access("docs/wiki"),
            if fits {
                "open"
            } else {
                "IdentityProviderInvalid"
            },
            "{issuer}"
        );
    }
}

#[test]
fn a_block_of_another_type_is_refused() {
    let mut bench = Bench::usual();
    for spec in [
        "type: OIDC, clientID: v",
        "type: Google, oidc: {issuerURL: 'https://id.example'}, clientID: v",
    ] {
        bench.apply(&idp("corp", spec));
        assert_eq!(provider_reason(&bench, "corp"), "False Invalid", "{spec}");
    }
    bench.apply(&idp(
        "corp",
        "type: Google, google: {hostedDomains: [corp.example]}, clientID: v",
    ));
    let served = bench.resolution.table().provider("corp").unwrap();
    assert_eq!(
        served.kind,
        ProviderKind::Google {
            hosted_domains: vec!["corp.example".into()]
        }
    );
}

#[test]
fn a_provider_can_be_for_some_namespaces_only() {
    let common = "type: OIDC, oidc: {issuerURL: 'https://id.example'}, clientID: v, default: true, allowedNamespaces";
    let mut bench = Bench::usual();
    bench.apply(&idp("corp", &format!("{common}: {{names: [shop]}}")));
    assert_eq!(bench.access("docs/wiki"), "RefNotPermitted");
    assert_eq!(
        bench.condition("docs/wiki", ConditionType::ResolvedRefs),
        "False RefNotPermitted"
    );
    bench.apply(&idp("corp", &format!("{common}: {{names: [docs]}}")));
    assert_eq!(bench.access("docs/wiki"), "open");
    bench.apply(&idp(
        "corp",
        &format!("{common}: {{selector: {{matchLabels: {{team: writers}}}}}}"),
    ));
    assert_eq!(bench.access("docs/wiki"), "open");
    bench.apply(
        "{apiVersion: v1, kind: Namespace, metadata: {name: docs, labels: {team: readers}}}",
    );
    assert_eq!(
        bench.access("docs/wiki"),
        "RefNotPermitted",
        "a label taken away counts at once"
    );
    bench.apply(&idp("corp", &format!("{common}: {{}}")));
    assert_eq!(
        bench.access("docs/wiki"),
        "RefNotPermitted",
        "an empty list names nobody"
    );
}

#[test]
fn two_defaults_are_none() {
    let mut bench = Bench::usual();
    bench.apply(&idp(
        "extra",
        "type: OIDC, oidc: {issuerURL: 'https://x.example'}, clientID: v, default: true",
    ));
    assert_eq!(bench.access("docs/wiki"), "SeveralDefaults");
    assert_eq!(
        (
            provider_reason(&bench, "corp"),
            provider_reason(&bench, "extra")
        ),
        (
            "False SeveralDefaults".to_owned(),
            "False SeveralDefaults".to_owned()
        )
    );
    bench.annotate("docs/wiki", &[("vestibule.dev/identity-provider", "corp")]);
    assert_eq!(
        bench.access("docs/wiki"),
        "open",
        "one that is named needs no default"
    );
    bench.annotate("docs/wiki", &[("vestibule.dev/identity-provider", "")]);
    bench.delete("IdentityProvider", "extra");
    assert_eq!(bench.access("docs/wiki"), "open");
    assert_eq!(provider_reason(&bench, "corp"), "True Ready");
}

#[test]
fn everyone_means_everyone_of_a_closed_provider() {
    let google = |rest: &str| {
        idp(
            "corp",
            &format!("type: Google, clientID: v, default: true, {rest}"),
        )
    };
    let mut bench = Bench::usual();
    bench.apply(&psvc("wiki-policy", "wiki", "anyAuthenticated: true"));
    assert_eq!(bench.access("docs/wiki"), "RefNotPermitted");
    bench.apply(&google("closed: true"));
    assert_eq!(
        bench.access("docs/wiki"),
        "RefNotPermitted",
        "every Google account is everybody"
    );
    bench.apply(&google(
        "closed: true, google: {hostedDomains: [corp.example]}",
    ));
    assert_eq!(bench.access("docs/wiki"), "open");
    let hosted_domains = |bench: &Bench| match &bench.service("docs/wiki").unwrap().access {
        Access::Open(policy) => policy.providers[0].ceiling.hosted_domains.clone(),
        closed => panic!("{closed:?}"),
    };
    assert_eq!(hosted_domains(&bench), ["corp.example".into()]);
    // Sessions of those who were admitted before are judged by it too.
    bench.apply(&google(
        "closed: true, google: {hostedDomains: [lab.example]}",
    ));
    assert_eq!(hosted_domains(&bench), ["lab.example".into()]);
}

#[test]
fn asking_google_for_groups_is_said_to_be_in_vain() {
    let mut bench = Bench::usual();
    bench.apply(&idp("corp", "type: Google, clientID: v, default: true"));
    bench
        .apply(&psvc(
            "wiki-policy",
            "wiki",
            "allow: [{emails: [ann@corp.example]}, {groups: [staff]}]",
        ))
        .obey();
    assert_eq!(bench.ready("docs/wiki-policy"), "False GroupsNotSent");
    assert_eq!(
        bench.access("docs/wiki"),
        "open",
        "the other entry still counts"
    );
    let message = &bench.report("docs/wiki-policy").verdicts[1].message;
    assert!(message.contains("Google sends no groups"), "{message}");
}

#[test]
fn of_several_providers_the_broken_one_admits_nobody_and_the_others_go_on() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("wiki-policy", "wiki", "identityProviders: [corp, partner]\n  allow: [{provider: corp, groups: [a]}, {provider: partner, groups: [b]}]")).obey();
    assert_eq!(
        bench.ready("docs/wiki-policy"),
        "False IdentityProviderNotFound"
    );
    let Access::Open(policy) = &bench.service("docs/wiki").unwrap().access else {
        panic!()
    };
    assert_eq!(
        policy
            .providers
            .iter()
            .map(|terms| &*terms.provider)
            .collect::<Vec<_>>(),
        ["corp"]
    );
}

#[test]
fn ceilings_reach_the_policy_and_the_names_of_groups_reach_the_host() {
    let mut bench = Bench::usual();
    bench.apply(&idp("corp", "type: OIDC, oidc: {issuerURL: 'https://id.example'}, clientID: v, default: true, maxSession: 8h, emailDomains: [corp.example]"));
    bench.apply(&psvc("wiki-policy", "wiki", "allow: [{groups: [staff], claims: [{name: department, values: [it]}]}]
  rules: [{paths: [{type: Prefix, value: /admin/}], access: Restricted, allow: [{groups: [admins]}]}]
  upstream: {headers: [{name: x-auth-request-user, from: Claim, claim: employee}]}"));
    let service = bench.service("docs/wiki").unwrap();
    let Access::Open(policy) = &service.access else {
        panic!()
    };
    assert_eq!(
        policy.providers[0].ceiling.max_session,
        Some(Duration::from_secs(8 * 3600))
    );
    assert_eq!(policy.providers[0].ceiling.email_domains.len(), 1);
    assert_eq!(&*service.upstream_headers[0].name, "X-Auth-Request-User");
    let host = bench.host("wiki.corp.example").unwrap();
    let names = |list: &[Arc<str>]| list.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&host.named_groups), ["admins", "staff"]);
    assert_eq!(names(&host.named_claims), ["department", "employee"]);
}
