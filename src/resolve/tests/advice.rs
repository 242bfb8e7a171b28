//! What is allowed and likely a mistake, one by one; and that what is usual passes without a word.

use super::*;

const PROVIDERS: &str = "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp}
spec: {type: OIDC, oidc: {issuerURL: 'https://id.corp.example'}, clientID: v, default: true, maxSession: 10h, emailDomains: [corp.example, '*.corp.example']}
---
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: partner}
spec: {type: OIDC, oidc: {issuerURL: 'https://id.partner.example'}, clientID: v}
---
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: other, namespace: docs}
spec: {hosts: [{host: other.example}], identityProviders: [partner], allow: [{groups: [a]}]}
";

/// What is said about a service with this spec besides its hosts: `FIELD: MESSAGE`, the object's name left out.
fn said(spec: &str) -> Vec<String> {
    let mut bench = Bench::new(folder(true));
    bench.apply(PROVIDERS).apply(&format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: app, namespace: docs}}
spec: {{hosts: [{{host: app.example}}], {spec}}}
"
    ));
    about(&bench, &ObjectRef::ProtectedService(key("docs/app")))
}

/// What is said about a provider with this spec that a service uses.
fn said_of_provider(spec: &str) -> Vec<String> {
    let mut bench = Bench::new(folder(true));
    bench.apply(&format!(
        "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: it}}
spec: {{{spec}}}
---
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: app, namespace: docs}}
spec: {{hosts: [{{host: app.example}}], identityProviders: [it], allow: [{{groups: [a]}}]}}
"
    ));
    about(&bench, &ObjectRef::IdentityProvider("it".into()))
}

fn about(bench: &Bench, object: &ObjectRef) -> Vec<String> {
    let all = advice(bench.resolution.world()).into_iter();
    all.filter(|advice| advice.object == *object)
        .map(|advice| {
            let prefix = format!("{object}: ");
            advice.message.strip_prefix(&prefix).unwrap().to_owned()
        })
        .collect()
}

/// That exactly these are said, by how they begin.
fn expect(said: &[String], beginnings: &[&str]) {
    let matches = said.len() == beginnings.len()
        && said
            .iter()
            .zip(beginnings)
            .all(|(said, beginning)| said.starts_with(beginning));
    assert!(matches, "{said:#?}\nis not\n{beginnings:#?}");
}

#[test]
fn what_is_usual_passes_without_a_word() {
    for spec in [
        "allow: [{emailDomains: [corp.example]}]",
        "allow: [{emailDomains: ['*.corp.example'], groups: [a]}, {emails: [ann@team.corp.example]}]",
        "identityProviders: [corp, partner], allow: [{provider: corp, groups: [a]}, {provider: partner, emails: [ann@elsewhere.example]}]",
        "allow: [{groups: [a]}], session: {maxDuration: 10h}",
        "allow: [{groups: [a]}], rules: [{access: Public, paths: [{type: Exact, value: /healthz}, {type: Prefix, value: /assets/}]}, {access: Denied, paths: [{type: Exact, value: /metrics}]}, {access: Restricted, allow: [{groups: [b]}], paths: [{type: Prefix, value: /admin/}]}]",
        "allow: [{groups: [a]}], rules: [{access: Denied, paths: [{type: Prefix, value: /internal/}]}, {access: Public, paths: [{type: Exact, value: /internal/ping}]}]",
        "allow: [{groups: [a]}], rules: [{access: Public, paths: [{type: Prefix, value: /a/}]}, {access: Denied, paths: [{type: Prefix, value: /a/b/}]}]",
    ] {
        expect(&said(spec), &[]);
    }
    expect(
        &said_of_provider("type: Google, clientID: v, clientSecretRef: {name: s}"),
        &[],
    );
}

#[test]
fn a_service_that_admits_nobody() {
    expect(
        &said("displayName: App"),
        &["nothing says who may enter, so nobody may. Name them in spec.allow."],
    );
}

#[test]
fn domains_and_addresses_that_the_provider_does_not_let_in() {
    let only = "IdentityProvider corp lets in addresses of corp.example, *.corp.example only";
    expect(
        &said(
            "allow: [{emailDomains: [corp.example, other.example, '*.other.example']}, {emails: [ann@other.example, ann@corp.example]}]",
        ),
        &[
            &format!("spec.allow[0].emailDomains[1]: other.example admits nobody: {only}"),
            &format!("spec.allow[0].emailDomains[2]: *.other.example admits nobody: {only}"),
            &format!("spec.allow[1].emails[0]: ann@other.example admits nobody: {only}"),
        ],
    );
    // Another provider of the service may let them in.
    expect(
        &said(
            "identityProviders: [corp, partner], allow: [{provider: partner, emailDomains: [other.example]}, {provider: corp, emailDomains: [other.example]}]",
        ),
        &[&format!(
            "spec.allow[1].emailDomains[0]: other.example admits nobody: {only}"
        )],
    );
    expect(
        &said(
            "allow: [{groups: [a]}], rules: [{access: Restricted, paths: [{type: Prefix, value: /a/}], allow: [{emails: [ann@other.example]}]}]",
        ),
        &[&format!(
            "spec.rules[0].allow[0].emails[0]: ann@other.example admits nobody: {only}"
        )],
    );
}

#[test]
fn domains_overlap_if_one_address_can_be_of_both() {
    // Ceilings: corp.example, *.corp.example.
    for (domain, admits) in [
        ("corp.example", true),
        ("a.corp.example", true),
        ("*.corp.example", true),
        ("*.a.corp.example", true),
        ("*.example", true),
        ("notcorp.example", false),
        ("*.notcorp.example", false),
        ("example", false),
    ] {
        let said = said(&format!("allow: [{{emailDomains: ['{domain}']}}]"));
        let nobody = said.iter().any(|said| said.contains("admits nobody"));
        assert_eq!(nobody, !admits, "{domain}: {said:?}");
    }
}

#[test]
fn an_entry_that_contradicts_itself() {
    expect(
        &said(
            "allow: [{emailDomains: [corp.example], emails: [ann@a.corp.example, bob@corp.example]}]",
        ),
        &[
            "spec.allow[0].emails[0]: ann@a.corp.example admits nobody: emailDomains of the same entry asks for another domain",
        ],
    );
}

#[test]
fn an_entry_about_a_provider_that_is_not_the_default_one() {
    expect(
        &said("allow: [{provider: partner, groups: [a]}]"),
        &["spec.allow[0].provider: the service does not use IdentityProvider partner"],
    );
}

#[test]
fn domains_without_a_dot_and_domains_of_everybody() {
    let usual = "identityProviders: [partner]";
    expect(
        &said(&format!(
            "{usual}, allow: [{{emailDomains: [corp, GMail.com]}}, {{emails: [ann@corp, ann@gmail.com]}}]"
        )),
        &[
            "spec.allow[0].emailDomains[0]: corp is a domain without a dot",
            "spec.allow[0].emailDomains[1]: anybody in the world can have an address of gmail.com",
            "spec.allow[1].emails[0]: corp is a domain without a dot",
        ],
    );
    expect(
        &said_of_provider(
            "type: Google, clientID: v, clientSecretRef: {name: s}, emailDomains: [corp]",
        ),
        &["spec.emailDomains[0]: corp is a domain without a dot"],
    );
}

#[test]
fn rules_that_never_apply() {
    let rules = |rules: &str| said(&format!("allow: [{{groups: [a]}}], rules: [{rules}]"));
    expect(
        &rules(
            "{access: Public, paths: [{type: Prefix, value: /a/}]}, {access: Denied, paths: [{type: Prefix, value: /A/}]}",
        ),
        &[
            "spec.rules[0].paths[0]: /a/ never applies: spec.rules[1] has the same path and is stricter (Denied)",
        ],
    );
    // A Public path is exact: in other letters it hides nothing, and nothing hides what is stricter.
    expect(
        &rules(
            "{access: Public, paths: [{type: Exact, value: /a}]}, {access: Public, paths: [{type: Exact, value: /A}]}",
        ),
        &[],
    );
    expect(
        &rules(
            "{access: Denied, paths: [{type: Exact, value: /a}, {type: Exact, value: /A}]}, {access: Denied, paths: [{type: Exact, value: /a}]}",
        ),
        &[
            "spec.rules[0].paths[1]: /A never applies: it stands there twice",
            "spec.rules[1].paths[0]: /a never applies: spec.rules[0] comes before it",
        ],
    );
    expect(
        &rules(
            "{access: Public, paths: [{type: Prefix, value: /oauth2/}, {type: Exact, value: /oauth2}, {type: Exact, value: /oauth2x}]}",
        ),
        &[
            "spec.rules[0].paths[0]: /oauth2/ never applies: what lies under /oauth2",
            "spec.rules[0].paths[1]: /oauth2 never applies",
        ],
    );
}

#[test]
fn a_public_prefix_below_what_is_closed() {
    let said = said(
        "allow: [{groups: [a]}], rules: [{access: Restricted, allow: [{groups: [b]}], paths: [{type: Prefix, value: /admin/}]}, {access: Public, paths: [{type: Prefix, value: /ADMIN/assets/}]}]",
    );
    expect(
        &said,
        &[
            "spec.rules[1].paths[0]: everybody sees what lies below /ADMIN/assets/, signed in or not, although spec.rules[0] has /admin/ Restricted",
        ],
    );
}

#[test]
fn sessions_that_are_longer_than_allowed() {
    expect(
        &said("allow: [{groups: [a]}], session: {maxDuration: 48h}"),
        &[
            "spec.session.maxDuration: 48h has no effect: no session of this installation lives longer than 24h (--max-session)",
        ],
    );
    expect(
        &said("allow: [{groups: [a]}], session: {maxDuration: 12h}"),
        &[
            "spec.session.maxDuration: 12h has no effect on sessions of IdentityProvider corp, which live 10h at most",
        ],
    );
    expect(
        &said_of_provider("type: Google, clientID: v, clientSecretRef: {name: s}, maxSession: 30h"),
        &[
            "spec.maxSession: 30h has no effect: no session of this installation lives longer than 24h",
        ],
    );
}

#[test]
fn providers_that_cannot_be_meant_so() {
    expect(
        &said_of_provider("type: OIDC, oidc: {issuerURL: 'http://localhost:5556'}, clientID: v"),
        &["spec.oidc.issuerURL: is plain http"],
    );
    expect(
        &said_of_provider(
            "type: OIDC, oidc: {issuerURL: 'https://id.example/x/.well-known/openid-configuration'}, clientID: v",
        ),
        &[
            "spec.oidc.issuerURL: is the address of the metadata, not the issuer. The issuer is probably https://id.example/x.",
        ],
    );
    expect(
        &said_of_provider("type: Google, clientID: v"),
        &["Google asks a web application for its client secret"],
    );
}

#[test]
fn a_client_secret_that_was_pasted_with_something_beside_it() {
    let said = |secret: &str| {
        let mut bench = Bench::new(folder(true));
        bench.apply(PROVIDERS).apply(&format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: partner}}
spec: {{type: OIDC, oidc: {{issuerURL: 'https://id.partner.example'}}, clientID: v, clientSecretRef: {{name: partner}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: partner}}
stringData: {{client-secret: \"{secret}\"}}
"
        ));
        about(&bench, &ObjectRef::IdentityProvider("partner".into()))
    };
    for pasted in ["s3cret\\n", "s3cret\\nmore", " s3cret", "client secret"] {
        expect(
            &said(pasted),
            &["spec.clientSecretRef: leads to a value with a blank or a line break in it"],
        );
    }
    expect(&said("s3cret~._-"), &[]);
    expect(
        &said("CLIENT_SECRET"),
        &["spec.clientSecretRef: leads to CLIENT_SECRET, the word of the example"],
    );
}

/// Every client id in what people copy from is known to be one, but for those that can be registered as they are.
#[test]
fn a_client_id_of_our_own_examples() {
    let pages = [
        include_str!("../../../README.md"),
        include_str!("../../../docs/install.md"),
        include_str!("../../../docs/standalone.md"),
        include_str!("../../../docs/nginx.md"),
        include_str!("../../../docs/identity-providers.md"),
        include_str!("../../../charts/vestibule/templates/NOTES.txt"),
        include_str!("../../../deploy/compose/without-nginx/vestibule/app.yaml"),
        include_str!("../../../deploy/compose/behind-nginx/vestibule/app.yaml"),
        include_str!("../../../deploy/compose/central-nginx/vestibule/google.yaml"),
    ];
    let mut tried = 0;
    for page in pages {
        let ids = page.lines().filter_map(|line| {
            let id = line.trim_start().strip_prefix("clientID: ")?;
            id.split_whitespace().next()
        });
        for id in ids.filter(|id| *id != "vestibule") {
            let spec =
                format!("type: OIDC, oidc: {{issuerURL: 'https://id.example'}}, clientID: {id}");
            let wanted = format!("spec.clientID: {id} is that of the example");
            expect(&said_of_provider(&spec), &[&wanted]);
            tried += 1;
        }
    }
    assert!(tried >= 9, "{tried} ids");
    for real in [
        "vestibule",
        "client_id",
        "123456789012-abc.apps.googleusercontent.com",
    ] {
        let spec =
            format!("type: OIDC, oidc: {{issuerURL: 'https://id.example'}}, clientID: {real}");
        expect(&said_of_provider(&spec), &[]);
    }
}

#[test]
fn a_provider_that_nobody_uses_and_names_that_stand_there_twice() {
    let mut bench = Bench::new(folder(true));
    bench
        .apply(PROVIDERS)
        .delete("ProtectedService", "docs/other");
    let partner = ObjectRef::IdentityProvider("partner".into());
    expect(&about(&bench, &partner), &["no service uses it."]);
    // Nor does anybody use the default one, until an Ingress asks for it.
    let corp = ObjectRef::IdentityProvider("corp".into());
    expect(&about(&bench, &corp), &["no service uses it."]);
    bench.apply(&ingress(
        "docs/x",
        &["x.example"],
        "vestibule.dev/protect: 'true'",
    ));
    expect(&about(&bench, &corp), &[]);
    expect(
        &said("identityProviders: [partner, partner], allow: [{provider: partner, groups: [a]}]"),
        &["spec.identityProviders[1]: partner stands there twice"],
    );
}

#[test]
fn a_host_without_a_dot() {
    let mut bench = Bench::new(folder(true));
    bench.apply(
        "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app, namespace: docs}
spec: {hosts: [{host: wiki}, {host: localhost}], allow: [{groups: [a]}]}
",
    );
    expect(
        &about(&bench, &ObjectRef::ProtectedService(key("docs/app"))),
        &["spec.hosts[0].host: wiki is a name without a dot"],
    );
}

#[test]
fn advice_is_given_in_a_cluster_too() {
    let mut bench = Bench::usual();
    bench.apply(&psvc("p", "wiki", "allow: [{emailDomains: [gmail.com]}]"));
    expect(
        &about(&bench, &ObjectRef::ProtectedService(key("docs/p"))),
        &["spec.allow[0].emailDomains[0]: anybody in the world"],
    );
}
