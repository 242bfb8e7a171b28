//! Our kinds as the API server sees them: what it lets in, what it refuses and in which words, what it shows.

use crate::bench::Cluster;
use anyhow::{Result, ensure};

use super::installed;

#[tokio::test]
async fn what_the_documentation_shows_is_let_in_and_can_be_looked_at() -> Result<()> {
    let cluster = installed().await?;
    let namespace = cluster.namespace("kinds").await?;
    let name = namespace.name();
    cluster
        .apply(&format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: wiki, namespace: {name}}}
spec:
  targetRefs: [{{name: wiki}}]
  identityProviders: [corp, partner]
  allow:
  - {{provider: corp, emailDomains: [corp.example, '*.corp.example']}}
  - {{provider: partner, emails: [ann@partner.example], groups: [contractors], claims: [{{name: department, values: [it]}}]}}
  rules:
  - {{paths: [{{type: Exact, value: /healthz}}], access: Public}}
  - {{paths: [{{type: Prefix, value: /admin/}}], access: Restricted, allow: [{{provider: corp, groups: [wiki-admins]}}]}}
  - {{paths: [{{type: Prefix, value: /internal/}}], access: Denied}}
  session: {{maxDuration: 12h, maxAuthenticationAge: 1h30m}}
  upstream: {{headers: [{{name: X-Auth-Request-User, from: Email}}, {{name: X-Auth-Request-Groups, from: Claim, claim: roles}}]}}
  denied: {{message: Ask the wiki team., requestAccessURL: 'https://access.corp.example/wiki', detail: Reason}}
  displayName: Wiki
---
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {{name: kinds-google}}
spec:
  type: Google
  google: {{hostedDomains: [corp.example]}}
  clientID: 123.apps.googleusercontent.com
  clientSecretRef: {{name: google}}
  closed: true
  order: 2
  allowedNamespaces: {{names: [a], selector: {{matchLabels: {{team: a}}}}}}
  maxSession: 8h
  emailDomains: [corp.example]
  emailVerification: Required
"
        ))
        .await?;
    let columns = cluster.kubectl(&["get", "psvc", "-n", name]).await?;
    let titles: Vec<&str> = columns
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        titles,
        ["NAME", "HOSTS", "PROVIDERS", "READY", "REASON", "AGE"]
    );
    let columns = cluster.kubectl(&["get", "idp", "-o", "wide"]).await?;
    let titles: Vec<&str> = columns
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        titles,
        [
            "NAME", "TYPE", "ISSUER", "READY", "REASON", "AGE", "MESSAGE"
        ]
    );
    let all = cluster
        .kubectl(&["get", "vestibule", "-n", name, "-o", "name"])
        .await?;
    assert!(
        all.contains("protectedservice.vestibule.dev/wiki")
            && all.contains("identityprovider.vestibule.dev/kinds-google"),
        "{all}"
    );
    let explained = cluster
        .kubectl(&["explain", "psvc.spec.allow.emailDomains"])
        .await?;
    assert!(explained.contains("its subdomains alone"), "{explained}");
    let kind = cluster
        .kubectl(&[
            "get",
            "psvc",
            "wiki",
            "-n",
            name,
            "-o",
            "jsonpath={.spec.targetRefs[0]}",
        ])
        .await?;
    assert_eq!(
        kind,
        r#"{"group":"networking.k8s.io","kind":"Ingress","name":"wiki"}"#
    );
    cluster.kubectl(&["delete", "idp", "kinds-google"]).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_schema_can_refuse_is_refused_in_words_that_help() -> Result<()> {
    let cluster = installed().await?;
    let namespace = cluster.namespace("refused").await?;
    let wiki = "targetRefs: [{name: wiki}]";
    for (spec, words) in [
        (
            "allow: [{groups: [a]}]".to_owned(),
            "name at least one Ingress in targetRefs",
        ),
        (
            format!("{wiki}, hosts: [{{host: a.example}}]"),
            "hosts is for a folder that `vestibule serve` reads",
        ),
        (
            "targetRefs: [{kind: Service, name: wiki}]".to_owned(),
            "a target is an Ingress",
        ),
        (
            "targetRefs: [{name: wiki}, {name: wiki}]".to_owned(),
            "duplicate entries",
        ),
        (
            format!("{wiki}, allow: [{{}}]"),
            "an entry of allow must ask for something",
        ),
        (
            format!("{wiki}, allow: [{{groups: [a]}}], anyAuthenticated: true"),
            "use one of them",
        ),
        (
            format!("{wiki}, identityProviders: [a, b], allow: [{{groups: [a]}}]"),
            "which provider it is about",
        ),
        (
            format!("{wiki}, identityProviders: [a], allow: [{{provider: b, groups: [a]}}]"),
            "not in identityProviders",
        ),
        (
            format!(
                "{wiki}, rules: [{{paths: [{{type: Prefix, value: /admin}}], access: Denied}}]"
            ),
            "a Prefix ends in /",
        ),
        (
            format!("{wiki}, rules: [{{paths: [{{type: Prefix, value: /}}], access: Public}}]"),
            "Public cannot be everything",
        ),
        (
            format!("{wiki}, rules: [{{paths: [{{type: Exact, value: /a}}], access: Restricted}}]"),
            "a Restricted rule says in allow whom it admits",
        ),
        (
            format!("{wiki}, rules: [{{paths: [{{type: Regex, value: /a}}], access: Denied}}]"),
            "Unsupported value",
        ),
        (
            format!("{wiki}, session: {{maxDuration: 1d}}"),
            "should match",
        ),
        (
            format!("{wiki}, upstream: {{headers: [{{name: X, from: Claim}}]}}"),
            "claim is given with `from: Claim`",
        ),
        (
            format!("{wiki}, denied: {{requestAccessURL: 'javascript:alert(1)'}}"),
            "should match",
        ),
        (
            format!("{wiki}, allow: [{{expression: 'true'}}]"),
            "field not declared in schema",
        ),
    ] {
        let manifest = format!(
            "{{apiVersion: vestibule.dev/v1alpha1, kind: ProtectedService, metadata: {{name: wiki, namespace: {}}}, spec: {{{spec}}}}}",
            namespace.name()
        );
        refused(cluster, &manifest, words).await?;
    }
    let oidc = "type: OIDC, clientID: v";
    for (name, spec, words) in [
        (
            "corp",
            format!("{oidc}, oidc: {{issuerURL: 'http://id.example'}}"),
            "issuerURL is an https URL",
        ),
        (
            "corp",
            format!("{oidc}, oidc: {{issuerURL: 'https://id.example?x'}}"),
            "issuerURL is an https URL",
        ),
        (
            "corp",
            format!("{oidc}, oidc: {{issuerURL: 'http://localhost.evil.example'}}"),
            "issuerURL is an https URL",
        ),
        ("corp", oidc.to_owned(), "type OIDC needs the block oidc"),
        (
            "corp",
            "type: Google, clientID: v, oidc: {issuerURL: 'https://id.example'}".to_owned(),
            "type OIDC needs the block oidc",
        ),
        (
            "corp",
            format!("{oidc}, oidc: {{issuerURL: 'https://id.example'}}, google: {{}}"),
            "the block google is for type Google",
        ),
        (
            "corp.x",
            format!("{oidc}, oidc: {{issuerURL: 'https://id.example'}}"),
            "the name becomes part of callback URLs",
        ),
        (
            "corp",
            "type: OIDC, oidc: {issuerURL: 'https://id.example'}".to_owned(),
            "clientID",
        ),
        (
            "corp",
            format!(
                "{oidc}, oidc: {{issuerURL: 'https://id.example'}}, allowedNamespaces: {{selector: {{matchLabels: {{}}}}}}"
            ),
            "matchLabels names at least one label",
        ),
    ] {
        let manifest = format!(
            "{{apiVersion: vestibule.dev/v1alpha1, kind: IdentityProvider, metadata: {{name: {name}}}, spec: {{{spec}}}}}"
        );
        refused(cluster, &manifest, words).await?;
    }
    Ok(())
}

async fn refused(cluster: &Cluster, manifest: &str, words: &str) -> Result<()> {
    let error = match cluster.apply(manifest).await {
        Ok(_) => anyhow::bail!("this was let in: {manifest}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(
        error.contains(words),
        "{manifest}\nwas refused with other words than {words:?}: {error}"
    );
    Ok(())
}
