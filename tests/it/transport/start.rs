//! `vestibule serve` as a process: its options, its environment, and the listeners that it opens with them.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Authority, LIMIT};

const MANIFEST: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: open
  namespace: demo
  annotations: {vestibule.dev/protect: \"false\"}
spec:
  rules:
  - host: open.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: localhost, port: {number: 1}}}}
";

/// A folder with manifests, state and a certificate for `open.example`.
struct Place {
    folder: TempDir,
}

/// A process that serves; its end comes with that of the test.
struct Serving {
    child: Child,
    log: std::path::PathBuf,
}

// === impl Place ===

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("manifests/open.yaml"), MANIFEST).unwrap();
        let issued = Authority::new().issue(&["open.example"]);
        issued.write(folder.path(), "open");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn serve(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command
            .args(["serve", "--manifests=manifests", "--state=state"])
            .args(["--admin-listen=127.0.0.1:0"])
            .args(options)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// The sentence with which a start ends at once.
    fn refusal(&self, options: &[&str]) -> String {
        let Output { status, stderr, .. } = self.serve(options).output().unwrap();
        let text = String::from_utf8(stderr).unwrap();
        assert!(!status.success(), "{options:?} {text}");
        text
    }

    fn start(&self, mut command: Command) -> Serving {
        let log = self.path().join("log");
        let out = File::create(&log).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out);
        Serving {
            child: command.spawn().unwrap(),
            log,
        }
    }
}

// === impl Serving ===

impl Serving {
    fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for a line with this text.
    fn line(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let printed = self.printed();
            if let Some(line) = printed.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(start.elapsed() < LIMIT, "no {text:?} in\n{printed}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address in the log line with this text.
    fn address(&self, text: &str) -> SocketAddr {
        let line = self.line(text);
        let (_, rest) = line.split_once(r#""address":""#).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_missing_certificate_ends_the_start_and_names_option_and_file() {
    let place = Place::new();
    let options = [
        "--front-door=127.0.0.1:0",
        "--tls-cert=gone.pem",
        "--tls-key=open.key",
    ];
    let text = place.refusal(&options);
    assert!(
        text.contains("vestibule: --tls-cert gone.pem: cannot be read: No such file"),
        "{text}"
    );
    let options = ["--front-door=127.0.0.1:0", "--tls-cert=open.pem"];
    let text = place.refusal(&options);
    assert!(text.contains("each certificate needs its key"), "{text}");
}

#[test]
fn plain_http_is_sent_to_the_public_origin_and_only_for_hosts_that_are_served() {
    let place = Place::new();
    let serving = place.start(place.serve(&[
        "--front-door=127.0.0.1:0",
        "--tls-cert=open.pem",
        "--tls-key=open.key",
        "--redirect-listen=127.0.0.1:0",
        "--public-port=8443",
        "--auth-host=auth.example",
        "--hsts=1d",
    ]));
    let address = serving.address("plain HTTP is sent to https");
    let ask = |head: &str| exchange(address, &format!("{head}\r\nconnection: close\r\n\r\n"));
    for (head, location) in [
        (
            "GET /a?b=c HTTP/1.1\r\nhost: open.example",
            "https://open.example:8443/a?b=c",
        ),
        (
            "HEAD / HTTP/1.1\r\nhost: OPEN.example.:80",
            "https://open.example:8443/",
        ),
        (
            "POST /a HTTP/1.1\r\ncontent-length: 0\r\nhost: open.example",
            "https://open.example:8443/a",
        ),
        (
            "GET /oauth2/start HTTP/1.1\r\nhost: auth.example",
            "https://auth.example:8443/oauth2/start",
        ),
        (
            "GET http://open.example/ HTTP/1.1\r\nhost: evil.example",
            "https://open.example:8443/",
        ),
    ] {
        let answer = ask(head);
        assert!(answer.starts_with("HTTP/1.1 308 "), "{head}: {answer}");
        let line = format!("\r\nlocation: {location}\r\n");
        assert!(answer.contains(&line), "{head}: {answer}");
        // RFC 6797 §7.2: not over plain HTTP.
        assert!(!answer.contains("strict-transport-security"), "{answer}");
    }
    for (head, status) in [
        ("GET / HTTP/1.1\r\nhost: evil.example", 404),
        ("GET / HTTP/1.1\r\nhost: 127.0.0.1", 404),
        (
            "GET http://evil.example/ HTTP/1.1\r\nhost: open.example",
            404,
        ),
        (
            "GET /.well-known/acme-challenge/x HTTP/1.1\r\nhost: open.example",
            404,
        ),
        ("GET / HTTP/1.1\r\nx: y", 400),
        (
            "GET / HTTP/1.1\r\nhost: open.example\r\nhost: evil.example",
            400,
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: open.example", 400),
        (
            "CONNECT open.example:443 HTTP/1.1\r\nhost: open.example",
            400,
        ),
    ] {
        let answer = ask(head);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {answer}"
        );
        assert!(
            !answer.to_lowercase().contains("location:"),
            "{head}: {answer}"
        );
    }
}

#[test]
fn a_pair_that_stays_broken_is_told_once_with_the_file_and_so_is_its_mending() {
    let place = Place::new();
    let serving = place.start(place.serve(&[
        "--front-door=127.0.0.1:0",
        "--tls-cert=open.pem",
        "--tls-key=open.key",
    ]));
    serving.line("the front door is open");
    let good = fs::read(place.path().join("open.pem")).unwrap();
    fs::write(place.path().join("open.pem"), "broken").unwrap();
    let line = serving.line("stays in force");
    assert!(
        line.contains("--tls-cert open.pem: holds no certificate") && line.contains("ERROR"),
        "{line}"
    );
    std::thread::sleep(Duration::from_secs(5));
    fs::write(place.path().join("open.pem"), good).unwrap();
    serving.line("the files hold the certificate again that is in force");
    let printed = serving.printed();
    assert_eq!(printed.matches("stays in force").count(), 1, "{printed}");
}

#[test]
fn a_certificate_that_has_ended_is_told_and_served_all_the_same() {
    let place = Place::new();
    let ended = Authority::new().issue_until(2020, &["open.example"]);
    ended.write(place.path(), "open");
    let serving = place.start(place.serve(&[
        "--front-door=127.0.0.1:0",
        "--tls-cert=open.pem",
        "--tls-key=open.key",
    ]));
    serving.line("the front door is open");
    let line = serving.line("has ended on 2020-01-01T00:00:00Z");
    assert!(
        line.contains("ERROR") && line.contains("open.pem"),
        "{line}"
    );
}

/// Compose files pass an empty variable for whatever is left open.
#[test]
fn an_empty_environment_variable_counts_as_not_set_for_every_option() {
    let place = Place::new();
    let help = place.serve(&["--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variables: Vec<&str> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split_once('=').map(|(name, _)| name))
        .collect();
    assert!(variables.len() > 20, "{variables:?}");
    let mut command = place.serve(&["--listen=127.0.0.1:0"]);
    command.envs(variables.iter().map(|name| (name, "")));
    let serving = place.start(command);
    serving.line("the auth endpoint serves");

    let mut command = place.serve(&["--listen=127.0.0.1:0"]);
    command.env("VESTIBULE_PUBLIC_PORT", "none");
    let output = command.output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn misspelt_variables_and_levels_are_told() {
    let place = Place::new();
    let text = place.refusal(&["--log-level=inf"]);
    assert!(text.contains("--log-level=inf: not one of"), "{text}");
    let mut command = place.serve(&["--front-door=127.0.0.1:0"]);
    command.env("VESTIBULE_MAX_SESION", "1h");
    let serving = place.start(command);
    let line = serving.line("VESTIBULE_MAX_SESION");
    assert!(
        line.contains("VESTIBULE_MAX_SESSION was probably meant"),
        "{line}"
    );
}

#[test]
fn redirect_uris_are_named_at_the_start_and_with_each_app_that_comes() {
    let place = Place::new();
    let provider = "apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp}
spec: {type: OIDC, default: true, clientID: x, oidc: {issuerURL: 'https://id.corp.example'}}
";
    let app = |name: &str, host: &str| {
        let text = format!(
            "apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: {name}}}
spec: {{hosts: [{{host: '{host}', upstream: 'http://127.0.0.1:1'}}], allow: [{{groups: [a]}}]}}
"
        );
        fs::write(place.path().join(format!("manifests/{name}.yaml")), text).unwrap();
    };
    fs::write(place.path().join("manifests/corp.yaml"), provider).unwrap();
    app("first", "first.example");
    let serving = place.start(place.serve(&["--front-door=127.0.0.1:0"]));
    serving.line("the front door is open");
    let printed = serving.printed();
    assert!(printed.contains("https://first.example/oauth2/callback/corp"));
    app("second", "second.example");
    serving.line("https://second.example/oauth2/callback/corp");
    app("third", "*.apps.example");
    let line = serving.line("each host that a wildcard covers");
    assert!(line.contains("https://HOST/oauth2/callback/"), "{line}");
    // Each once.
    let printed = serving.printed();
    assert_eq!(printed.matches("first.example/oauth2/callback").count(), 1);
}
