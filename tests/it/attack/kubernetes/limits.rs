//! Values of annotations, names and hosts, of every sort and at their limits.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::attack::{
    ground::{ground, rule},
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
