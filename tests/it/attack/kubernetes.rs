//! What a tenant tries through the Kubernetes API itself: values at their limits, references to what is not theirs,
//! objects that look like Vestibule's own, and annotations changed under the controller's hands.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{events::v1::Event, networking::v1::Ingress};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use vestibule::resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL};

use super::{
    ground::{Ground, Tenant, ground, rule},
    stage::now,
    told,
};

fn values() -> Vec<String> {
    let long = |unit: &str, octets: usize| unit.repeat(octets / unit.len());
    let mut values: Vec<String> = [
        "",
        " ",
        "x",
        "TRUE",
        "True",
        "yes",
        "1",
        "on",
        "false ",
        " false",
        "False",
        "FALSE",
        "0",
        "no",
        "off",
        "null",
        "~",
        "{}",
        "[]",
        "[corp.example, \"*\"]",
        "- corp.example",
        "{a: b}",
        "&a corp.example",
        "*a",
        "!!bool false",
        "|\n  corp.example",
        ">-\n  x",
        "? x",
        "a: b",
        "# x",
        "*",
        "*.",
        "*.*",
        "**",
        "*.example",
        "@",
        "@corp.example",
        "bob@",
        "bob@corp.example@corp.example",
        "corp.example.",
        ".corp.example",
        "corp..example",
        "/",
        "//",
        "/*",
        "/./",
        "/../",
        "/%2e%2e/",
        "/public/..",
        "/a?b",
        "/a#b",
        "regex:.*",
        "^/.*$",
        "/a/;/b",
        "\\",
        "/\\",
        "a,,b",
        ",",
        ",,",
        ";",
        "a b",
        "a\tb",
        "a\nb",
        "a\r\nSet-Cookie: x",
        "a\0b",
        "\0",
        "\u{1}\u{7f}",
        "\u{85}\u{2028}",
        "\u{e9}",
        "\u{202e}false",
        "fals\u{435}",
        "\u{1f600}",
        "\u{feff}true",
        "\u{ff0a}",
        "corp\u{3002}example",
        "xn--e1afmkfd.example",
        "$host",
        "${host}",
        "$http_x",
        "\"; return 200; #",
        "}\nserver { listen 80; }",
        "'; drop",
        "`id`",
        "$(id)",
        "{{ .Values }}",
        "<script>",
        "%00",
        "%0a",
        "http://evil.test/",
        "//evil.test",
        "../victim/wiki",
        "victim/wiki",
        "vestibule/vestibule-session-keys",
        "corp/../corp",
        "corp corp",
    ]
    .map(str::to_owned)
    .to_vec();
    values.extend([
        long("a", 63),
        long("a", 64),
        long("a", 253),
        long("a", 254),
        long("corp.example,", 200_000),
        long("a@corp.example,", 200_000),
        long("/a/", 200_000),
        long("a", 250_000),
        long(",", 100_000),
        long("\u{1f600}", 200_000),
    ]);
    values
}

/// Any value of any key either means what the documentation says, or closes.
#[tokio::test]
async fn no_value_of_an_annotation_opens_a_service_to_strangers() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("values").await?;
    let service = tenant.service("app").await?;
    let keys = [
        "protect",
        "allowed-email-domains",
        "allowed-emails",
        "allowed-groups",
        "public-paths",
        "identity-provider",
        "protected-service",
    ];
    let api: Api<Ingress> = Api::namespaced(ground.cluster().client().await?, &tenant.namespace);
    // A host for each key, so that it need not take a thousand of them: one value after the other.
    let spec =
        |key: &str| json!({"rules": [rule(&format!("{key}.values.story.test"), "/", "app")]});
    for key in keys {
        let protect = json!({"vestibule.dev/protect": "true"});
        tenant
            .apply(&tenant.ingress(key, &spec(key), &protect))
            .await?;
        ground
            .until_asked(&format!("{key}.values.story.test"))
            .await?;
    }
    service.forget();
    let cases: Vec<(usize, usize)> = stream::iter(keys)
        .map(async |key| {
            let host = format!("{key}.values.story.test");
            let (mut judged, mut refused) = (0, 0);
            for value in values() {
                let mut annotations = json!({"vestibule.dev/protect": "true"});
                annotations[format!("vestibule.dev/{key}")] = json!(value);
                let change = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
                if api.patch(key, &PatchParams::default(), &change).await.is_err() {
                    refused += 1;
                    continue;
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
                for target in ["/", "/secret"] {
                    let answer = ground.visit(&host, target, "").await?;
                    let shown: String = value.chars().take(40).collect();
                    ensure!(answer.status == 302 || answer.status == 403, "{key}={shown:?}: {target} answers {}", answer.status);
                }
                judged += 1;
                let gone = json!({"metadata": {"annotations": {format!("vestibule.dev/{key}"): null, "vestibule.dev/protect": "true"}}});
                api.patch(key, &PatchParams::default(), &Patch::Merge(gone)).await?;
            }
            anyhow::Ok((judged, refused))
        })
        .buffer_unordered(4)
        .try_collect()
        .await?;
    let judged: usize = cases.iter().map(|(judged, _)| judged).sum();
    let refused: usize = cases.iter().map(|(_, refused)| refused).sum();
    println!("{judged} values judged, {refused} refused by the API server");
    ensure!(service.seen().is_empty(), "{:?}", service.seen());
    told::cases(
        "no_value_of_an_annotation_opens_a_service_to_strangers",
        judged + refused,
    );
    tenant.namespace.delete().await
}

#[tokio::test]
async fn names_and_hosts_at_their_limits_are_protected_like_others() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("limits").await?;
    let _service = tenant.service("app").await?;
    let label = |c: &str, n: usize| c.repeat(n);
    let filled = |start: &str, n: usize| {
        let mut host = start.to_owned();
        while host.len() + 64 < n - 11 {
            host.push('.');
            host.push_str(&label("b", 63));
        }
        let rest = n - 11 - host.len() - 1;
        format!("{host}.{}.story.test", label("c", rest))
    };
    let twins = [filled("one", 253), filled("two", 253)];
    let cases = [
        (label("n", 253), "n.limits.story.test".to_owned()),
        ("a".to_owned(), format!("{}.story.test", label("a", 63))),
        (
            format!("{}.{}", label("d", 63), label("e", 189)),
            twins[0].clone(),
        ),
        ("wildcard.x".to_owned(), twins[1].clone()),
        (
            "vestibule-auth-host".to_owned(),
            "wildcard.story.test".to_owned(),
        ),
        ("0.0".to_owned(), "xn--mnchen-3ya.story.test".to_owned()),
        ("true".to_owned(), "true.story.test".to_owned()),
        ("null".to_owned(), "1.2.story.test".to_owned()),
    ];
    for (name, host) in &cases {
        let annotations = json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example"});
        let object = tenant.ingress(
            name,
            &json!({"rules": [rule(host, "/", "app")]}),
            &annotations,
        );
        tenant.apply(&object).await.with_context(|| name.clone())?;
    }
    for (name, host) in &cases {
        tenant
            .until_ready(name, "True", "Ready")
            .await
            .with_context(|| host.clone())?;
        ground.until_asked(host).await?;
        let in_ = ground
            .visit(host, "/", &ground.session(host, now())?)
            .await?;
        ensure!(in_.status == 200, "{host}: {}", in_.status);
        let start = ground.visit(host, "/oauth2/start?rd=%2F", "").await?;
        ensure!(
            start.status == 302,
            "{host}: {} {}",
            start.status,
            start.body
        );
    }
    told::cases(
        "names_and_hosts_at_their_limits_are_protected_like_others",
        cases.len(),
    );
    tenant.namespace.delete().await
}

/// References to what is somebody else's, in every field that names something.
#[tokio::test]
async fn a_tenant_who_names_what_is_not_his_gets_none_of_it() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let (victim, mallory) = (
        ground.tenant("victim").await?,
        ground.tenant("mallory").await?,
    );
    let (_wiki, _app) = (victim.service("wiki").await?, mallory.service("app").await?);
    let (wiki, own) = ("named.story.test", "namer.story.test");
    victim.protect(ground, "wiki", wiki).await?;
    let ns = (*victim.namespace).to_owned();
    let closed = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "IdentityProvider", "metadata": {"name": "restricted"},
        "spec": {
            "type": "OIDC", "oidc": {"issuerURL": ground.product.provider.issuer()}, "clientID": "vestibule",
            "clientSecretRef": {"name": "corp"}, "closed": true, "allowedNamespaces": {"names": [&*victim.namespace]},
        },
    });
    ground.cluster().apply(&closed.to_string()).await?;
    mallory
        .apply(&mallory.ingress(
            "app",
            &json!({"rules": [rule(own, "/", "app")]}),
            &json!({}),
        ))
        .await?;
    let hash = "jsonpath={.status.policyHash}";
    let before = victim.kubectl(&["get", "psvc", "wiki", "-o", hash]).await?;
    let target = |target: Value| json!({"targetRefs": [target], "anyAuthenticated": false, "allow": [{"emails": ["mallory@corp.example"]}]});
    let named =
        |name: &str| target(json!({"group": "networking.k8s.io", "kind": "Ingress", "name": name}));
    let with = |field: Value| {
        let mut spec = named("app");
        for (key, value) in field.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    let specs = [
        named("wiki"),
        named(&format!("{ns}/wiki")),
        named(&format!("../{ns}/wiki")),
        named("vestibule-named.story.test"),
        target(
            json!({"group": "networking.k8s.io", "kind": "Ingress", "name": "wiki", "namespace": ns}),
        ),
        target(json!({"group": "networking.k8s.io", "kind": "IngressClass", "name": "story"})),
        target(json!({"group": "", "kind": "Secret", "name": "vestibule-session-keys"})),
        target(json!({"group": "", "kind": "Service", "name": "app"})),
        target(json!({"group": "vestibule.dev", "kind": "ProtectedService", "name": "wiki"})),
        json!({"hosts": [{"host": wiki}], "allow": [{"emails": ["mallory@corp.example"]}]}),
        with(json!({"hosts": [{"host": wiki, "upstream": "http://127.0.0.1:1"}]})),
        with(json!({"identityProviders": ["restricted"]})),
        with(json!({"identityProviders": ["restricted"], "allow": [], "anyAuthenticated": true})),
        with(json!({"identityProviders": ["../corp"]})),
        with(json!({"identityProviders": [""]})),
        with(json!({"clientSecretRef": {"name": "corp"}})),
        with(json!({"oidc": {"issuerURL": "https://evil.test"}})),
        with(json!({"allow": [], "anyAuthenticated": true})),
        with(json!({"allow": [{"provider": "restricted", "groups": ["a"]}]})),
        with(json!({"mode": "Audit"})),
        with(
            json!({"session": {"maxDuration": "1000000h"}, "rules": [{"access": "Public", "paths": [{"type": "Prefix", "value": "/"}]}]}),
        ),
        with(
            json!({"rules": [{"access": "Public", "paths": [{"type": "Prefix", "value": "/../"}]}]}),
        ),
    ];
    let (mut refused, mut powerless) = (0, 0);
    for spec in &specs {
        if mallory.apply(&mallory.policy("grab", spec)).await.is_err() {
            refused += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let said = mallory.ready("grab").await?;
            ensure!(said.starts_with("False"), "{spec}: {said}");
            // Nothing of it is open to the tenant's own people, nor to strangers.
            let inside = ground.visit(own, "/", &ground.session(own, now())?).await?;
            let is_targeted = spec.pointer("/targetRefs/0/name") == Some(&json!("app"));
            ensure!(
                !is_targeted || inside.status != 200,
                "{spec}: lets somebody in"
            );
            powerless += 1;
            mallory.kubectl(&["delete", "psvc", "grab"]).await?;
        }
        unharmed(ground, &victim, wiki)
            .await
            .with_context(|| spec.to_string())?;
        ensure!(
            victim.kubectl(&["get", "psvc", "wiki", "-o", hash]).await? == before,
            "{spec}: another policy"
        );
    }
    println!("{refused} refused by the API server, {powerless} say what is wrong and do nothing");
    let secrets = forbidden(&mallory, &ns).await?;
    told::cases(
        "a_tenant_who_names_what_is_not_his_gets_none_of_it",
        refused + powerless + secrets,
    );
    ground
        .cluster()
        .kubectl(&["delete", "identityprovider", "restricted"])
        .await?;
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

/// What the rights of a tenant do not include, whatever Vestibule's roles add to them.
async fn forbidden(mallory: &Tenant, victim: &str) -> Result<usize> {
    let all: [&[&str]; 10] = [
        &["get", "secrets", "-n", "vestibule"],
        &["get", "secret", "vestibule-session-keys", "-n", "vestibule"],
        &["get", "ingress", "-n", "vestibule"],
        &[
            "annotate",
            "ingress",
            "wiki",
            "-n",
            victim,
            "vestibule.dev/protect=false",
        ],
        &["delete", "psvc", "wiki", "-n", victim],
        &[
            "patch",
            "psvc",
            "wiki",
            "-n",
            victim,
            "--type=merge",
            "-p",
            "{\"spec\":{\"allow\":[]}}",
        ],
        &[
            "patch",
            "psvc",
            "wiki",
            "-n",
            victim,
            "--subresource=status",
            "--type=merge",
            "-p",
            "{\"status\":{\"summary\":null}}",
        ],
        &[
            "create",
            "ingress",
            "x",
            "-n",
            "vestibule",
            "--rule=x.test/*=x:80",
        ],
        &["delete", "identityprovider", "corp"],
        &["delete", "lease", "vestibule-controller", "-n", "vestibule"],
    ];
    for arguments in all {
        let user = format!("--as={}", mallory.user);
        let done = mallory
            .cluster()
            .kubectl(&[&[&*user], arguments].concat())
            .await;
        ensure!(done.is_err(), "a tenant may {arguments:?}");
    }
    Ok(all.len())
}

async fn unharmed(ground: &Ground, victim: &Tenant, host: &str) -> Result<()> {
    let said = victim.ready("wiki").await?;
    ensure!(said == "True Ready", "the other's is {said}");
    let stranger = ground.visit(host, "/", "").await?;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(
        stranger.status == 302 && bob.status == 200,
        "{} {}",
        stranger.status,
        bob.status
    );
    Ok(())
}

/// An object that looks as if the controller had made it: refused by the chart's policy, and of no use without it.
#[tokio::test]
async fn an_object_that_looks_like_the_controllers_own_opens_nothing() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("forger").await?;
    let service = tenant.service("plain").await?;
    let host = "plain.story.test";
    tenant
        .apply(&tenant.ingress(
            "plain",
            &json!({"rules": [rule(host, "/", "plain")]}),
            &json!({}),
        ))
        .await?;
    let targets = json!([{"group": "networking.k8s.io", "kind": "Ingress", "name": "plain"}]);
    let policy = tenant.policy(
        "plain-policy",
        &json!({"targetRefs": targets, "allow": [{"emailDomains": ["corp.example"]}]}),
    );
    tenant.apply(&policy).await?;
    tenant.until_ready("plain-policy", "True", "Ready").await?;
    ground.until_asked(host).await?;
    let uid = tenant
        .kubectl(&["get", "ingress", "plain", "-o", "jsonpath={.metadata.uid}"])
        .await?;
    let forged = |owners: Value| {
        let mut forged = tenant.policy(
            "plain",
            &json!({"targetRefs": targets, "allow": [{"emails": ["mallory@corp.example"]}]}),
        );
        forged["metadata"]["labels"] = json!({
            "vestibule.dev/derived-from": "ingress", "vestibule.dev/instance": "vestibule", "app.kubernetes.io/managed-by": "vestibule",
        });
        forged["metadata"]["ownerReferences"] = owners;
        forged
    };
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "networking.k8s.io/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    let forgeries = [
        forged(owner("Ingress", "plain", &uid)),
        forged(owner("Ingress", "other", &uid)),
        forged(json!([])),
    ];
    let mut cases = 0;
    for forgery in &forgeries {
        let refused = tenant.apply(forgery).await;
        ensure!(
            refused.is_err_and(|error| error.to_string().contains("leave it out")),
            "{forgery}"
        );
        cases += 1;
    }
    let label = tenant
        .kubectl(&[
            "label",
            "psvc",
            "plain-policy",
            "vestibule.dev/derived-from=ingress",
        ])
        .await;
    ensure!(label.is_err(), "a policy is passed off as derived");
    cases += 1;

    // Where the chart's policies are not installed.
    let binding = "vestibule-controller-mark";
    let kind = "validatingadmissionpolicybinding";
    let saved = ground
        .cluster()
        .kubectl(&["get", kind, binding, "-o", "json"])
        .await?;
    ground.cluster().kubectl(&["delete", kind, binding]).await?;
    for forgery in &forgeries {
        ground
            .wait()
            .until("nothing keeps anybody from forging", async || {
                tenant.apply(forgery).await.map(drop)
            })
            .await?;
        tenant.kubectl(&["delete", "psvc", "plain-policy"]).await?;
        service.forget();
        for _ in 0..20 {
            ground.visit(host, "/", "").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(service.seen().is_empty(), "open: {forgery}");
        let left = tenant
            .kubectl(&[
                "get",
                "ingress",
                "plain",
                "-o",
                "jsonpath={.metadata.annotations}",
            ])
            .await?;
        ensure!(left.contains(AUTH_URL), "{left}");
        ensure!(
            tenant
                .events("Ingress", "plain")
                .await?
                .iter()
                .any(|reason| reason == "PolicyMissing")
        );
        drop(
            tenant
                .kubectl(&["delete", "psvc", "plain", "--ignore-not-found"])
                .await?,
        );
        tenant.apply(&policy).await?;
        tenant.until_ready("plain-policy", "True", "Ready").await?;
        cases += 1;
    }
    cases += owners(ground, &tenant).await?;
    let mut saved: Value = serde_json::from_str(&saved)?;
    for field in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        saved["metadata"]
            .as_object_mut()
            .context("metadata")?
            .remove(field);
    }
    ground.cluster().apply(&saved.to_string()).await?;
    told::cases(
        "an_object_that_looks_like_the_controllers_own_opens_nothing",
        cases,
    );
    tenant.namespace.delete().await
}

/// A name that is taken before the controller chooses it, and owner references that would have others' objects collected.
async fn owners(ground: &Ground, tenant: &Tenant) -> Result<usize> {
    let host = "taken.story.test";
    let _service = tenant.service("taken").await?;
    let mine = tenant.policy("taken", &json!({"targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "elsewhere"}], "allow": [{"emails": ["mallory@corp.example"]}]}));
    tenant.apply(&mine).await?;
    let annotations = json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example"});
    tenant
        .apply(&tenant.ingress(
            "taken",
            &json!({"rules": [rule(host, "/", "taken")]}),
            &annotations,
        ))
        .await?;
    ground.until_asked(host).await?;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(bob.status == 200, "the annotations decide: {}", bob.status);
    let spec = tenant
        .kubectl(&["get", "psvc", "taken", "-o", "jsonpath={.spec}"])
        .await?;
    ensure!(
        spec.contains("mallory") && spec.contains("elsewhere"),
        "somebody's own object was changed: {spec}"
    );

    // The derived object is given a second controller; the policy is that of the Ingress all the same.
    tenant.kubectl(&["delete", "psvc", "taken"]).await?;
    tenant.until_ready("taken", "True", "Ready").await?;
    let foreign = json!([{"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "00000000-0000-0000-0000-000000000001", "controller": true}]);
    let patch = json!({"metadata": {"ownerReferences": foreign}, "spec": {"allow": [{"emails": ["mallory@corp.example"]}]}}).to_string();
    tenant
        .kubectl(&["patch", "psvc", "taken", "--type=merge", "-p", &patch])
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(
        bob.status == 200,
        "a derived object decides: {}",
        bob.status
    );
    tenant.until_ready("taken", "True", "Ready").await?;

    // An object of the tenant's that claims to be owned by what is Vestibule's, or by nothing, is the tenant's loss.
    let endpoint = ground
        .cluster()
        .kubectl(&[
            "-n",
            "vestibule",
            "get",
            "ingress",
            "vestibule-taken.story.test",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .await?;
    let mut orphan = tenant.policy(
        "orphan",
        &json!({"targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "none"}]}),
    );
    orphan["metadata"]["ownerReferences"] = json!([{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "vestibule-taken.story.test", "uid": endpoint, "blockOwnerDeletion": false}]);
    tenant.apply(&orphan).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let there = ground
        .cluster()
        .kubectl(&[
            "-n",
            "vestibule",
            "get",
            "ingress",
            "vestibule-taken.story.test",
            "-o",
            "name",
        ])
        .await?;
    ensure!(
        there.contains("vestibule-taken"),
        "an endpoint Ingress was collected"
    );
    tenant.until_ready("taken", "True", "Ready").await?;
    Ok(3)
}

/// Somebody changes the three annotations a hundred times.
#[tokio::test]
async fn a_hundred_changes_under_the_controllers_hands_end_protected_and_cost_no_more_than_themselves()
-> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("fight").await?;
    let _service = tenant.service("app").await?;
    let host = "fight.story.test";
    tenant.protect(ground, "app", host).await?;
    let client = ground.cluster().client().await?;
    let api: Api<Ingress> = Api::namespaced(client.clone(), &tenant.namespace);
    let by = PatchParams {
        field_manager: Some("gitops".into()),
        ..PatchParams::default()
    };
    let written = async || ground.product.writes("Ingress").await;
    let before = written().await?;
    let changes = [
        json!({AUTH_URL: null}),
        json!({AUTH_URL: null, AUTH_SIGNIN: null, AUTH_RESPONSE_HEADERS: null}),
        json!({AUTH_RESPONSE_HEADERS: "X-Evil"}),
        json!({AUTH_SIGNIN: "https://evil.test"}),
        json!({AUTH_URL: "http://evil.test/"}),
    ];
    for round in 0..100_usize {
        let change = &changes[round % changes.len()];
        let patch = json!({"metadata": {"annotations": change}});
        api.patch("app", &by, &Patch::Merge(patch)).await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let back = json!({AUTH_URL: null, AUTH_SIGNIN: null, AUTH_RESPONSE_HEADERS: null});
        api.patch(
            "app",
            &by,
            &Patch::Merge(json!({"metadata": {"annotations": back}})),
        )
        .await?;
    }
    // It says that somebody does this, and is protected.
    tenant
        .until_ready("app", "False", "AnnotationConflict")
        .await?;
    ground.until_asked(host).await?;
    let ended = written().await?;
    ensure!(
        ended - before <= 250,
        "{} writes for 200 changes",
        ended - before
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    let later = written().await?;
    ensure!(later == ended, "{} writes for nothing", later - ended);
    // It says so still, though all is as it should be: a fighter who rests for a moment is not gone.
    let said = tenant.ready("app").await?;
    ensure!(said == "False AnnotationConflict", "{said}");
    let events: Api<Event> = Api::namespaced(client, &tenant.namespace);
    let events = events.list(&ListParams::default()).await?.items;
    let about: Vec<String> = events
        .iter()
        .map(|event| format!("{:?} {}", event.reason, event.name_any()))
        .collect();
    println!(
        "{} writes for 200 changes, {} Events",
        ended - before,
        events.len()
    );
    ensure!(events.len() <= 20, "{about:#?}");
    told::cases(
        "a_hundred_changes_under_the_controllers_hands_end_protected_and_cost_no_more_than_themselves",
        200,
    );
    tenant.namespace.delete().await
}
