//! `vestibule check`, as CI runs it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use super::{GRAFANA, GRAFANA_SERVICE, PROVIDER, WIKI};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn check(manifests: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .arg("check")
        .arg("--manifests=.")
        .args(options)
        .current_dir(manifests)
        .env_remove("VESTIBULE_SECRETS_DIR")
        .output()
        .unwrap()
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_folder_in_order_passes() {
    let folder = folder(&[
        ("provider.yaml", PROVIDER),
        ("wiki.yml", WIKI),
        ("b.yaml", GRAFANA),
        ("c.yaml", GRAFANA_SERVICE),
    ]);
    let output = check(
        folder.path(),
        &["--public-scheme=http", "--insecure-http", "--strict"],
    );
    assert_eq!(
        text(&output),
        "2 services on 2 hosts, 1 identity provider in 4 files: 0 errors, 0 warnings\n"
    );
    assert!(output.status.success());
}

#[test]
fn errors_and_warnings_say_where_they_are_and_errors_fail() {
    let service = "apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app}
spec:
  hosts:
  - host: app.corp.example
    upstream: https://app:443
  - host: app.corp.example:8080
    upstream: app:80
  allow:
  - emailDomains: ['@corp.example']
";
    let shadowed = "# The wiki
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: wiki}
spec:
  hosts: [{host: wiki.corp.example, upstream: 'wiki:80'}]
  allow:
  - emails: [ann@corp]
  rules:
  - access: Denied
    paths: [{type: Prefix, value: /internal/}]
  - access: Public
    paths:
    - {type: Exact, value: /oauth2/x}
    - {type: Prefix, value: /internal/assets/}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: notes}
";
    let typo = GRAFANA_SERVICE.replace("groups:", "group:");
    let (provider, _) = PROVIDER.split_once("---").unwrap();
    let folder = folder(&[
        ("app.yaml", service),
        ("grafana.yaml", &typo),
        ("provider.yaml", &provider.replace("http:", "https:")),
        ("wiki.yaml", shadowed),
    ]);
    let output = check(folder.path(), &["--front-door=:443"]);
    insta::assert_snapshot!(text(&output), @r#"
    ./app.yaml:7:5: error: ProtectedService default/app: spec.hosts[0].upstream: "https://app:443" speaks https; the way to a service is plain http, inside a machine or a container network.
    ./app.yaml:8:5: error: ProtectedService default/app: spec.hosts[1].host: "app.corp.example:8080" is not a host name such as wiki.corp.example, nor *. and one: no port, no scheme, no path. Requests for it are refused.
    ./app.yaml:11:5: error: ProtectedService default/app: spec.allow[0].emailDomains: "@corp.example" is not a domain; write corp.example, without the @. The service is closed until that is mended.
    ./grafana.yaml:2:1: error: ProtectedService demo/grafana: there is no Ingress demo/grafana. It will be protected as soon as there is.
    ./grafana.yaml:7:12: error: spec.allow[0].group: unknown field `group`, expected one of `provider`, `emailDomains`, `emails`, `groups`, `claims`
    ./wiki.yaml:8:14: warning: ProtectedService default/wiki: spec.allow[0].emails[0]: corp is a domain without a dot, and no address on the internet ends so. Write all of it, such as corp.example.
    ./wiki.yaml:14:7: warning: ProtectedService default/wiki: spec.rules[1].paths[0]: /oauth2/x never applies: what lies under /oauth2 is Vestibule's own (--endpoint-prefix).
    ./wiki.yaml:15:7: warning: ProtectedService default/wiki: spec.rules[1].paths[1]: everybody sees what lies below /internal/assets/, signed in or not, although spec.rules[0] has /internal/ Denied: the longer path wins. If that is meant, name the paths as Exact.
    ./wiki.yaml:17:1: warning: ConfigMap notes is of no concern here and was passed over
    Not checked without --secrets-dir: Secret example-client
    3 services on 2 hosts, 1 identity provider in 4 files: 5 errors, 4 warnings
    "#);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn two_services_that_claim_a_host_are_told_that_alone() {
    let app = "apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: app}
spec: {hosts: [{host: app.corp.example, upstream: 'app:80'}], allow: [{groups: [a]}]}
";
    let copy = app.replace("name: app}", "name: copy}");
    let folder = folder(&[
        ("provider.yaml", PROVIDER),
        ("app.yaml", app),
        ("copy.yaml", &copy),
    ]);
    let output = check(folder.path(), &["--public-scheme=http", "--insecure-http"]);
    let errors: Vec<&str> = text(&output)
        .lines()
        .filter(|line| line.contains("error:"))
        .collect();
    assert_eq!(errors.len(), 2, "{output:?}");
    assert!(
        errors
            .iter()
            .all(|line| line.contains("both claim app.corp.example")),
        "{errors:?}"
    );
}

#[test]
fn an_address_that_is_no_url_is_not_called_the_issuer() {
    let provider = "apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp}
spec: {type: OIDC, clientID: x, oidc: {issuerURL: id.corp.example/.well-known/openid-configuration}}
";
    let folder = folder(&[("provider.yaml", provider)]);
    let output = check(folder.path(), &[]);
    assert!(text(&output).contains("is not a URL such as"), "{output:?}");
    assert!(
        !text(&output).contains("The issuer is probably"),
        "{output:?}"
    );
}

#[test]
fn warnings_fail_only_if_asked_to() {
    let folder = folder(&[(
        "unused.yaml",
        "apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: unused}
spec: {type: Google, clientID: x, clientSecretRef: {name: y}}
",
    )]);
    let lax = check(folder.path(), &[]);
    assert_eq!(
        text(&lax),
        "./unused.yaml:4:1: warning: IdentityProvider unused: no service uses it.
Not checked without --secrets-dir: Secret y
0 services on 0 hosts, 1 identity provider in 1 file: 0 errors, 1 warning\n"
    );
    assert!(lax.status.success());
    let strict = check(folder.path(), &["--strict"]);
    assert_eq!((strict.status.code(), strict.stdout), (Some(1), lax.stdout));
}

#[test]
fn a_secret_is_missed_only_where_secrets_are_looked_for() {
    let (provider, _) = PROVIDER.split_once("---").unwrap();
    let folder = folder(&[("provider.yaml", provider), ("wiki.yaml", WIKI)]);
    let options = ["--public-scheme=http", "--insecure-http"];
    let without = check(folder.path(), &options);
    assert!(without.status.success(), "{without:?}");
    assert!(text(&without).contains("Not checked without --secrets-dir: Secret example-client"));
    let secrets = TempDir::new().unwrap();
    let secrets_dir = format!("--secrets-dir={}", secrets.path().display());
    let with = check(folder.path(), &[&options[..], &[&secrets_dir]].concat());
    assert_eq!(with.status.code(), Some(1));
    assert!(
        text(&with).contains("./provider.yaml:9:3: error: IdentityProvider example: spec.clientSecretRef: there is no Secret example-client"),
        "{}",
        text(&with)
    );
}

#[test]
fn machines_read_json() {
    let typo = GRAFANA_SERVICE.replace("groups:", "group:");
    let folder = folder(&[("a.yaml", &typo)]);
    let output = check(folder.path(), &["--output=json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"], 2);
    let second = &report["findings"][1];
    assert_eq!(
        (&second["file"], &second["line"]),
        (&"a.yaml".into(), &7.into())
    );
    assert_eq!(second["severity"], "error");
    assert_eq!(output.status.code(), Some(1));
}

fn app(name: &str, host: &str) -> String {
    format!(
        "apiVersion: vestibule.dev/v1alpha1\nkind: ProtectedService\nmetadata: {{name: {name}}}\nspec:\n  \
         hosts: [{{host: '{host}', upstream: 'x:1'}}]\n  allow: [{{groups: [{name}]}}]\n"
    )
}

#[test]
fn where_another_policy_would_answer_nginx_should_name_the_service_and_that_is_no_warning() {
    let (wild, panel) = (app("wild", "*.test"), app("panel", "panel.test"));
    let folder = folder(&[
        ("provider.yaml", PROVIDER),
        ("wild.yaml", &wild),
        ("panel.yaml", &panel),
    ]);
    let options = ["--public-scheme=http", "--insecure-http", "--strict"];
    let output = check(folder.path(), &options);
    assert_eq!(
        text(&output),
        "Where nginx asks, let it name the service, so that no other policy decides there once an entry is deleted: \
         panel.test auth_request /oauth2/auth/default/panel\n\
         2 services on 2 hosts, 1 identity provider in 3 files: 0 errors, 0 warnings\n"
    );
    assert!(output.status.success());
    // The front door judges what it sends on itself.
    let output = check(
        folder.path(),
        &[&options[..], &["--front-door=:80"]].concat(),
    );
    assert!(text(&output).starts_with("2 services"), "{}", text(&output));

    let both = app("wild", "*.test', upstream: 'x:1'}, {host: 'panel.test");
    fs::remove_file(folder.path().join("panel.yaml")).unwrap();
    fs::write(folder.path().join("wild.yaml"), both).unwrap();
    let output = check(folder.path(), &options);
    assert!(text(&output).starts_with("1 service "), "{}", text(&output));
}

#[test]
fn what_is_refused_because_of_an_unread_file_is_said() {
    let broken = app("panel", "panel.test").replace("allow", "alow");
    let folder = folder(&[
        ("provider.yaml", PROVIDER),
        ("wild.yaml", &app("wild", "*.test")),
        ("panel.yaml", &broken),
    ]);
    let options = ["--public-scheme=http", "--insecure-http"];
    let output = check(folder.path(), &options);
    let said =
        "Until that is mended, checks of nginx that name no service are refused for *.test\n";
    assert!(text(&output).contains(said), "{}", text(&output));
    let output = check(folder.path(), &[&options[..], &["--output=json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["refusedByHost"]["hosts"],
        serde_json::json!(["*.test"])
    );
    let output = check(
        folder.path(),
        &[&options[..], &["--front-door=:80"]].concat(),
    );
    assert!(!text(&output).contains("refused for"), "{}", text(&output));
}

#[test]
fn an_empty_folder_is_a_wrong_path() {
    let folder = TempDir::new().unwrap();
    let output = check(folder.path(), &[]);
    assert!(
        text(&output).starts_with(".: error: there is no manifest in it"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_folder_that_is_not_there_is_no_folder_in_order() {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["check", "--manifests", "/nowhere/at/all"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("/nowhere/at/all: No such file or directory"),
        "{said}"
    );
}

#[test]
fn a_host_that_two_services_claim_is_one_host() {
    let service = |name: &str| {
        format!(
            "apiVersion: vestibule.dev/v1alpha1\nkind: ProtectedService\nmetadata: {{name: {name}}}\nspec:\n  \
             hosts: [{{host: wiki.example, upstream: 'http://wiki:80'}}]\n  allow: [{{emailDomains: [corp.example]}}]\n"
        )
    };
    let (one, two) = (service("one"), service("two"));
    let folder = folder(&[
        ("provider.yaml", PROVIDER),
        ("a.yaml", &one),
        ("b.yaml", &two),
    ]);
    let output = check(folder.path(), &[]);
    assert!(
        text(&output).contains("\n2 services on 1 host, "),
        "{}",
        text(&output)
    );
}

#[test]
fn a_name_of_a_file_does_nothing_to_a_terminal() {
    let folder = folder(&[("\u{1b}[2J\u{202e}a\nb.yaml", "kind: [")]);
    let output = check(folder.path(), &[]);
    let said = text(&output);
    assert!(
        said.starts_with("./\\u{1b}[2J\\u{202e}a\\nb.yaml:"),
        "{said:?}"
    );
    assert!(
        !said.contains('\u{1b}') && !said.contains('\u{202e}'),
        "{said:?}"
    );
}
