//! What is asked by host while something that is written cannot be read: nginx goes on sending people to the service
//! whose own entry has become unreadable, so nobody else's policy may decide there. Without a cookie 401 says that a
//! policy decides, 403 that nobody may pass.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Vestibule;
use crate::bench::{Wait, raw};

const PROVIDER: &str = "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp}
spec:
  type: OIDC
  oidc: {issuerURL: 'http://localhost:1'}
  clientID: vestibule
  clientSecretRef: {name: corp-client}
  default: true
---
apiVersion: v1
kind: Secret
metadata: {name: corp-client}
stringData: {client-secret: hidden}
";

const APP: &str = "apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app}
spec:
  hosts: [{host: panel.test}]
  allow: [{emails: [ann@corp.example]}]
";

/// The Ingress of a path of a host that another Ingress has the rest of.
const ADMIN: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: admin
  annotations: {vestibule.dev/protect: 'true', vestibule.dev/allowed-emails: ann@corp.example}
spec:
  rules:
  - host: shared.example
    http: {paths: [{path: /admin, pathType: Prefix, backend: {service: {name: admin, port: {number: 80}}}}]}
";

fn service(name: &str, host: &str) -> String {
    APP.replace("name: app", &format!("name: {name}"))
        .replace("panel.test", &format!("'{host}'"))
        .replace("emails: [ann@corp.example]", "emailDomains: [corp.example]")
}

fn manifests() -> Vec<(&'static str, String)> {
    let rest = ADMIN
        .replace("name: admin", "name: rest")
        .replace("path: /admin", "path: /")
        .replace("allowed-emails: ann@", "allowed-email-domains: ");
    vec![
        ("corp.yaml", PROVIDER.to_owned()),
        ("app.yaml", APP.to_owned()),
        ("wild.yaml", service("wild", "*.test")),
        ("solo.yaml", service("solo", "solo.example")),
        ("admin.yaml", ADMIN.to_owned()),
        ("rest.yaml", rest),
    ]
}

const TOLD: [&str; 2] = ["--original-uri-header", "X-Original-URI"];

async fn asks(vestibule: &Vestibule, check: &str, host: &str, path: &str) -> Result<u16> {
    let mut connection = TcpStream::connect(vestibule.listen).await?;
    let request = format!(
        "GET /oauth2/auth{check} HTTP/1.1\r\nHost: {host}\r\nX-Original-URI: {path}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().parse()?)
}

/// What `/status` says of checks by host.
async fn refused_by_host(vestibule: &Vestibule) -> Result<Value> {
    let status = raw::get(vestibule.admin, "localhost", b"/status", &[]).await?;
    let status: Value = serde_json::from_str(status.rest.trim())?;
    Ok(status["refusedByHost"].clone())
}

async fn becomes(vestibule: &Vestibule, host: &str, path: &str, expected: u16) -> Result<()> {
    Wait::seconds(60)
        .until(
            &format!("{host}{path} is answered {expected}"),
            async || {
                let status = asks(vestibule, "", host, path).await?;
                ensure!(status == expected, "{status}");
                Ok(())
            },
        )
        .await
}

/// Whom no slip of others concerns.
async fn others_go_on(vestibule: &Vestibule, edit: &str) -> Result<()> {
    let solo = asks(vestibule, "", "solo.example", "/").await?;
    let named = asks(vestibule, "/default/wild", "other.test", "/").await?;
    ensure!((solo, named) == (401, 401), "{edit}: {solo} {named}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_leaves_no_host_and_no_path_to_a_broader_policy() -> Result<()> {
    let app = |from: &str, to: &str| ("app.yaml", APP.replace(from, to), "panel.test", "/");
    let admin = |from: &str, to: &str| {
        (
            "admin.yaml",
            ADMIN.replace(from, to),
            "shared.example",
            "/admin",
        )
    };
    let edits = [
        app("hosts:", "host:"),
        app("panel.test", "'panel,test'"),
        app("panel.test", "'panel.test:8443'"),
        app("panel.test", "'https://panel.test'"),
        app("{host:", "{hosst:"),
        app("[{host: panel.test}]", "[]"),
        app("kind: ProtectedService", "kind: ProtectedServce"),
        app("kind: ProtectedService", "kind: Protectedservice"),
        app("vestibule.dev/", "vestibul.dev/"),
        app("v1alpha1", "v1"),
        app("metadata:", "metdata:"),
        app(APP, "one day this will be a manifest"),
        app("[{host", "[{{host"),
        app(APP, ""),
        app("hosts: [{host: panel.test}]", "targetRefs: [{name: gone}]"),
        admin("/admin,", "admin,"),
        admin("kind: Ingress", "kind: Ingres"),
        admin("networking.k8s.io/v1", "networking.k8s.io/v1beta1"),
        admin("networking.k8s.io/v1", "networking.k8s/v1"),
        admin("number: 80", "name: http"),
        admin("paths:", "pths:"),
        admin("shared.example", "shared.example:8443"),
        admin("  rules", "rules"),
    ];
    let vestibule = Vestibule::start(&manifests(), &TOLD).await?;
    let mut tried = 0;
    for (file, text, host, path) in edits {
        let whole = fs::read_to_string(vestibule.manifest(file))?;
        ensure!(text != whole, "the edit changes nothing: {text}");
        for (host, path) in [("panel.test", "/"), ("shared.example", "/admin")] {
            becomes(&vestibule, host, path, 401).await?;
        }
        becomes(&vestibule, "other.test", "/", 401).await?;
        fs::write(vestibule.manifest(file), &text)?;
        becomes(&vestibule, host, path, 403)
            .await
            .with_context(|| text.clone())?;
        others_go_on(&vestibule, &text).await?;

        let mut broken = manifests();
        broken.retain(|(name, _)| *name != file);
        broken.push((file, text.clone()));
        let restarted = Vestibule::start(&broken, &TOLD).await?;
        let status = asks(&restarted, "", host, path).await?;
        ensure!(status == 403, "after a restart {status}: {text}");
        others_go_on(&restarted, &text).await?;
        fs::write(vestibule.manifest(file), whole)?;
        tried += 1;
    }
    becomes(&vestibule, "other.test", "/", 401).await?;
    vestibule
        .process
        .prints("is written that cannot be read")
        .await?;
    ensure!(refused_by_host(&vestibule).await?.is_null());
    fs::write(vestibule.manifest("admin.yaml"), "kind: [")?;
    becomes(&vestibule, "shared.example", "/admin", 403).await?;
    let said = refused_by_host(&vestibule).await?;
    ensure!(
        said["hosts"] == json!(["*.test", "shared.example"]),
        "{said:#}"
    );
    let message = said["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("admin.yaml:1") && message.contains("/oauth2/auth/NAMESPACE/NAME"),
        "{message}"
    );
    println!("{tried} edits, each live and after a restart");
    Ok(())
}

#[tokio::test]
async fn paths_that_are_patterns_do_not_choose_between_services() -> Result<()> {
    let patterns = ADMIN
        .replace("/admin,", "'/admin(/|$)(.*)',")
        .replace("Prefix", "ImplementationSpecific")
        .replace(
            "annotations: {",
            "annotations: {nginx.ingress.kubernetes.io/use-regex: 'true', ",
        );
    let mut all = manifests();
    all.retain(|(name, _)| *name != "admin.yaml");
    all.push(("admin.yaml", patterns));
    let vestibule = Vestibule::start(&all, &TOLD).await?;
    // As text that path is nobody's, and the policy of the rest of the host would decide about it.
    for path in ["/admin", "/admin/users", "/"] {
        let status = asks(&vestibule, "", "shared.example", path).await?;
        ensure!(status == 403, "{path}: {status}");
    }
    vestibule
        .process
        .prints("use-regex or rewrite-target")
        .await?;
    for check in ["/default/admin", "/default/rest"] {
        let status = asks(&vestibule, check, "shared.example", "/admin/users").await?;
        ensure!(status == 401, "{check}: {status}");
    }
    others_go_on(&vestibule, "a pattern").await
}

#[tokio::test]
async fn a_path_that_nobody_protects_is_judged_by_the_one_service_of_its_host() -> Result<()> {
    let open = ADMIN.replace(
        "vestibule.dev/protect: 'true'",
        "vestibule.dev/protect: 'false'",
    );
    let open = open.replace(", vestibule.dev/allowed-emails: ann@corp.example", "");
    let mut all = manifests();
    all.retain(|(name, _)| *name != "admin.yaml");
    all.push(("admin.yaml", open));
    let vestibule = Vestibule::start(&all, &TOLD).await?;
    for path in ["/", "/admin", "/admin/../x"] {
        let status = asks(&vestibule, "", "shared.example", path).await?;
        ensure!(status == 401, "{path}: {status}");
    }
    // Unless somebody may have meant it to be protected.
    fs::write(vestibule.manifest("new.yaml"), "kind: [")?;
    becomes(&vestibule, "shared.example", "/admin", 403).await
}
