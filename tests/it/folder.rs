//! A folder in force: what is served of it, before and after every kind of edit.

mod check;
mod hosts;
mod reload;
mod serve;
mod status;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use vestibule::{
    clock::Clock,
    folder::{Folder, Metrics, Paths},
    policy::{Host, Origin, Policy, Scheme},
    published::{Access, Installation, Table},
    resolve::Standalone,
};

/// Longer than any machine is busy.
const LIMIT: Duration = Duration::from_secs(60);

const PROVIDER: &str = "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: example}
spec:
  type: OIDC
  oidc: {issuerURL: 'http://localhost:1'}
  clientID: vestibule
  clientSecretRef: {name: example-client}
  default: true
---
apiVersion: v1
kind: Secret
metadata: {name: example-client}
stringData: {client-secret: hidden}
";

const WIKI: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: wiki
  namespace: demo
  annotations:
    vestibule.dev/protect: \"true\"
    vestibule.dev/allowed-email-domains: corp.example
spec:
  rules:
  - host: wiki.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: wiki, port: {number: 8080}}}
";

const GRAFANA: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: grafana, namespace: demo}
spec:
  rules:
  - host: grafana.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: grafana, port: {number: 3000}}}}
";

const GRAFANA_SERVICE: &str = "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {name: grafana, namespace: demo}
spec:
  targetRefs: [{group: networking.k8s.io, kind: Ingress, name: grafana}]
  allow: [{groups: [grafana-admins]}]
";

struct Bench {
    folder: TempDir,
    table: Arc<ArcSwap<Table>>,
    _following: AbortOnDropHandle<()>,
}

impl Bench {
    fn start(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self::of(folder, |path| path.to_owned(), None)
    }

    fn of(folder: TempDir, manifests: impl Fn(&Path) -> PathBuf, secrets: Option<PathBuf>) -> Self {
        let paths = Paths {
            manifests: manifests(folder.path()),
            secrets,
        };
        let live = Folder::open(
            paths,
            Arc::new(installation()),
            Standalone {
                front_door: true,
                paths_are_told: true,
                asked_by_host: false,
            },
            Metrics::default(),
            Clock::System,
        )
        .unwrap();
        let table = Arc::clone(live.table());
        let following = tokio::spawn(live.follow(CancellationToken::new()));
        Self {
            folder,
            table,
            _following: AbortOnDropHandle::new(following),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// `open`, `closed: WHY`, or `gone`.
    fn state(&self, service: &str) -> String {
        let table = self.table.load();
        match table.service(service).map(|service| &service.access) {
            None => "gone".to_owned(),
            Some(Access::Open(_)) => "open".to_owned(),
            Some(Access::Closed(closed)) => format!("closed: {}", closed.message),
        }
    }

    /// The policy in force.
    fn policy(&self, service: &str) -> Option<Arc<Policy>> {
        let table = self.table.load();
        match &table.service(service)?.access {
            Access::Open(policy) => Some(Arc::clone(policy)),
            Access::Closed(_) => None,
        }
    }

    /// Waits until the state begins so; says how long that took.
    async fn becomes(&self, service: &str, expected: &str) -> Duration {
        let start = Instant::now();
        loop {
            let state = self.state(service);
            if state.contains(expected) {
                return start.elapsed();
            }
            assert!(
                start.elapsed() < LIMIT,
                "{service}: {state}, not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn installation() -> Installation {
    Installation {
        origin: Origin {
            scheme: Scheme::Http,
            port: 8080,
        },
        auth_host: Host::parse("auth.example"),
        ..Installation::default()
    }
}

fn everything() -> [(&'static str, &'static str); 4] {
    [
        ("provider.yaml", PROVIDER),
        ("wiki.yml", WIKI),
        ("grafana.yaml", GRAFANA),
        ("grafana-service.yaml", GRAFANA_SERVICE),
    ]
}

#[tokio::test]
async fn a_folder_is_served_from_the_first_look_on() {
    let bench = Bench::start(&everything());
    assert_eq!(bench.state("demo/wiki"), "open");
    assert_eq!(bench.state("demo/grafana"), "open");
    let table = bench.table.load();
    let host = table.host(&Host::parse("wiki.example").unwrap()).unwrap();
    assert_eq!(&*host.routes[0].upstream, "http://wiki:8080");
    assert_eq!(
        host.routes[0].service.as_ref().unwrap().as_str(),
        "demo/wiki"
    );
    let provider = table.provider("example").unwrap();
    assert_eq!(provider.client_secret.as_ref().unwrap().expose(), b"hidden");
}

#[tokio::test]
async fn an_edit_counts_within_a_tenth_of_a_second() {
    let bench = Bench::start(&everything());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut took = Vec::new();
    for round in 0..10 {
        let (domain, state) = if round % 2 == 0 {
            ("-", "closed")
        } else {
            ("corp.example", "open")
        };
        bench.write("wiki.yml", &WIKI.replace("corp.example", domain));
        took.push(bench.becomes("demo/wiki", state).await);
    }
    // The machine may be busy, but hardly all the time.
    assert!(
        took.iter().min() < Some(&Duration::from_millis(100)),
        "{took:?}"
    );
}

#[tokio::test]
async fn requests_do_not_wait_while_thousands_of_services_are_worked_out() {
    let file = |number: usize| {
        let services = (0..500).map(|n| WIKI.replace("wiki", &format!("w{n}-{number}")));
        services.collect::<Vec<_>>().join("---")
    };
    let bench = Bench::start(&[
        ("provider.yaml", PROVIDER),
        ("a.yaml", &file(0)),
        ("b.yaml", &file(1)),
        ("c.yaml", &file(2)),
    ]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut waits = Vec::new();
    for port in [":2", ":3", ":4"] {
        bench.write("provider.yaml", &PROVIDER.replace(":1", port));
        let begun = Instant::now();
        let (mut last, mut longest) = (begun, Duration::ZERO);
        let has_changed = || {
            let policy = bench.policy("demo/w0-0").unwrap();
            policy.providers[0].issuer.ends_with(port)
        };
        while !has_changed() {
            assert!(begun.elapsed() < LIMIT);
            // This thread is the only one of the runtime: whatever ran on it would be waited for.
            tokio::time::sleep(Duration::from_millis(1)).await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        waits.push((longest, begun.elapsed()));
    }
    // Other programs may have kept this thread from running, but hardly every time.
    assert!(
        waits.iter().any(|(longest, all)| *longest < *all / 3),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_broken_file_closes_what_it_covers_and_nothing_else() {
    let bench = Bench::start(&everything());
    for (broken, place) in [
        (
            WIKI.replace("  rules:", "  rulez:"),
            "wiki.yml:11:3: spec.rulez: unknown field",
        ),
        (
            WIKI.replace("number: 8080", "number: many"),
            "wiki.yml:17:48: spec.rules[0].http.paths[0].backend.service.port.number: invalid type",
        ),
        (WIKI.replace("  - host", " - host"), "wiki.yml:12:"),
        (
            WIKI.replace("kind: Ingress", "kind: Ingres\u{7}"),
            "wiki.yml:3:",
        ),
        ("{".to_owned(), "wiki.yml:"),
        ("kind: Ingress".to_owned(), "wiki.yml:1:1: apiVersion"),
        (
            WIKI.replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1"),
            "wiki.yml:3:1: kind: there is no Ingress in networking.k8s.io/v1beta1",
        ),
        (
            format!("{WIKI}---{WIKI}"),
            "Ingress demo/wiki stands in wiki.yml:2 and in wiki.yml:19",
        ),
    ] {
        bench.write("wiki.yml", &broken);
        bench
            .becomes(
                "demo/wiki",
                &format!("closed: Ingress demo/wiki cannot be read: {place}"),
            )
            .await;
        assert_eq!(bench.state("demo/grafana"), "open");
        bench.write("wiki.yml", WIKI);
        bench.becomes("demo/wiki", "open").await;
    }
}

#[tokio::test]
async fn a_protected_service_or_provider_that_cannot_be_read_closes_those_who_use_it() {
    let bench = Bench::start(&everything());
    bench.write(
        "grafana-service.yaml",
        &GRAFANA_SERVICE.replace("groups:", "group:"),
    );
    bench
        .becomes(
            "demo/grafana",
            "grafana-service.yaml:7:12: spec.allow[0].group: unknown field",
        )
        .await;
    assert_eq!(bench.state("demo/wiki"), "open");
    bench.write("grafana-service.yaml", GRAFANA_SERVICE);
    bench.becomes("demo/grafana", "open").await;
    bench.write("provider.yaml", &PROVIDER.replace("clientID", "clientId"));
    bench.becomes("demo/grafana", "closed").await;
    bench.becomes("demo/wiki", "closed").await;
    bench.write("provider.yaml", PROVIDER);
    bench.becomes("demo/wiki", "open").await;
}

#[tokio::test]
async fn what_was_broken_from_the_beginning_is_closed_too() {
    let service = GRAFANA_SERVICE.replace("groups:", "group:");
    let bench = Bench::start(&[
        ("a.yaml", PROVIDER),
        ("b.yaml", GRAFANA),
        ("c.yaml", &service),
    ]);
    assert!(
        bench
            .state("demo/grafana")
            .contains("c.yaml:7:12: spec.allow[0].group"),
        "{}",
        bench.state("demo/grafana")
    );
}

#[tokio::test]
async fn absence_closes_and_only_the_ingress_itself_says_that_it_is_open() {
    let bench = Bench::start(&everything());
    fs::remove_file(bench.path("grafana-service.yaml")).unwrap();
    bench.becomes("demo/grafana", "closed").await;
    let open = GRAFANA.replace(
        "namespace: demo}",
        "namespace: demo, annotations: {vestibule.dev/protect: 'false'}}",
    );
    bench.write("grafana.yaml", &open);
    bench.becomes("demo/grafana", "gone").await;
    let host = Host::parse("grafana.example").unwrap();
    assert!(
        bench.table.load().host(&host).unwrap().routes[0]
            .service
            .is_none()
    );
    fs::remove_file(bench.path("grafana.yaml")).unwrap();
    let start = Instant::now();
    while bench.table.load().host(&host).is_some() {
        assert!(start.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.state("demo/wiki"), "open");
}

#[tokio::test]
async fn an_editor_may_rename_and_leave_files_about() {
    let bench = Bench::start(&everything());
    // vim: the old file becomes a backup, the new one is written under the old name.
    fs::rename(bench.path("wiki.yml"), bench.path("wiki.yml~")).unwrap();
    bench.write(".wiki.yml.swp", "not: [yaml");
    bench.write("wiki.yml", &WIKI.replace("corp.example", "-"));
    bench.becomes("demo/wiki", "closed").await;
    // Others: a temporary file is renamed over the old one.
    bench.write(".new", WIKI);
    fs::rename(bench.path(".new"), bench.path("wiki.yml")).unwrap();
    bench.becomes("demo/wiki", "open").await;
}

#[tokio::test]
async fn links_may_be_swapped_as_kubernetes_and_deployments_do() {
    // Kubernetes: DIR/x.yaml -> ..data/x.yaml, ..data -> ..TIME.
    let folder = TempDir::new().unwrap();
    let version = |name: &str, wiki: &str| {
        let dir = folder.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("wiki.yaml"), wiki).unwrap();
        fs::write(dir.join("provider.yaml"), PROVIDER).unwrap();
    };
    version("..1", WIKI);
    version("..2", &WIKI.replace("corp.example", "-"));
    symlink("..1", folder.path().join("..data")).unwrap();
    for file in ["wiki.yaml", "provider.yaml"] {
        symlink(format!("..data/{file}"), folder.path().join(file)).unwrap();
    }
    let bench = Bench::of(folder, |path| path.to_owned(), None);
    assert_eq!(bench.state("demo/wiki"), "open");
    tokio::time::sleep(Duration::from_millis(100)).await;
    symlink("..2", bench.path("..data_tmp")).unwrap();
    fs::rename(bench.path("..data_tmp"), bench.path("..data")).unwrap();
    bench.becomes("demo/wiki", "closed").await;

    // Deployments: the folder itself is a link that leads elsewhere from now on.
    let folder = TempDir::new().unwrap();
    for (name, domain) in [("one", "corp.example"), ("two", "-")] {
        let dir = folder.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("wiki.yaml"), WIKI.replace("corp.example", domain)).unwrap();
        fs::write(dir.join("provider.yaml"), PROVIDER).unwrap();
    }
    symlink("one", folder.path().join("current")).unwrap();
    let bench = Bench::of(folder, |path| path.join("current"), None);
    assert_eq!(bench.state("demo/wiki"), "open");
    tokio::time::sleep(Duration::from_millis(100)).await;
    symlink("two", bench.path("next")).unwrap();
    fs::rename(bench.path("next"), bench.path("current")).unwrap();
    bench.becomes("demo/wiki", "closed").await;
    // The new folder is watched, not only read once.
    bench.write("two/wiki.yaml", WIKI);
    bench.becomes("demo/wiki", "open").await;
}

#[tokio::test]
async fn secrets_may_be_files() {
    let secrets = TempDir::new().unwrap();
    fs::write(secrets.path().join("example-client"), "from a file\n").unwrap();
    let folder = TempDir::new().unwrap();
    let (provider, _) = PROVIDER.split_once("---").unwrap();
    fs::write(folder.path().join("provider.yaml"), provider).unwrap();
    let bench = Bench::of(
        folder,
        |path| path.to_owned(),
        Some(secrets.path().to_owned()),
    );
    let secret = || {
        let table = bench.table.load();
        table
            .provider("example")
            .and_then(|provider| Some(provider.client_secret.as_ref()?.expose().to_vec()))
    };
    assert_eq!(secret().as_deref(), Some(&b"from a file"[..]));
    fs::remove_file(secrets.path().join("example-client")).unwrap();
    fs::create_dir(secrets.path().join("example-client")).unwrap();
    fs::write(
        secrets.path().join("example-client/client-secret"),
        "of a folder",
    )
    .unwrap();
    let start = Instant::now();
    while secret().as_deref() != Some(b"of a folder") {
        assert!(start.elapsed() < LIMIT, "{:?}", secret());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_folder_that_goes_away_closes_what_it_held_until_it_is_back() {
    let outer = TempDir::new().unwrap();
    let path = outer.path().join("manifests");
    fs::create_dir(&path).unwrap();
    for (name, text) in everything() {
        fs::write(path.join(name), text).unwrap();
    }
    let bench = Bench::of(outer, |path| path.join("manifests"), None);
    assert_eq!(bench.state("demo/wiki"), "open");
    fs::rename(bench.path("manifests"), bench.path("elsewhere")).unwrap();
    bench.becomes("demo/wiki", "closed").await;
    fs::rename(bench.path("elsewhere"), bench.path("manifests")).unwrap();
    bench.becomes("demo/wiki", "open").await;
}
