//! Ways in which files are written, swapped, lost and broken.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Bench, GRAFANA, GRAFANA_SERVICE, LIMIT, PROVIDER, WIKI, everything};

#[tokio::test]
async fn an_emptied_file_closes_what_it_held_until_it_is_filled_or_deleted() {
    let bench = Bench::start(&everything());
    bench.write("wiki.yml", "");
    bench
        .becomes(
            "demo/wiki",
            "closed: Ingress demo/wiki cannot be read: wiki.yml: is empty, and held one object",
        )
        .await;
    bench.write("wiki.yml", WIKI);
    bench.becomes("demo/wiki", "open").await;
    // Somebody who comments everything out means it.
    bench.write("wiki.yml", "# later\n");
    bench.becomes("demo/wiki", "gone").await;
}

#[tokio::test]
async fn a_file_is_not_read_before_its_writer_closes_it() {
    // Its first half is in order, and lets everybody of corp.example into all of the service.
    let service =
        GRAFANA_SERVICE.replace("groups: [grafana-admins]", "emailDomains: [corp.example]");
    let rules = "  rules: [{paths: [{type: Prefix, value: /admin/}], access: Denied}]\n";
    let whole = format!("{service}{rules}");
    let bench = Bench::start(&[
        ("a.yaml", PROVIDER),
        ("b.yaml", GRAFANA),
        ("c.yaml", &whole),
    ]);
    let has_rules = || {
        bench
            .policy("demo/grafana")
            .is_some_and(|policy| policy.rules.len() == 1)
    };
    assert!(has_rules());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut file = File::create(bench.path("c.yaml")).unwrap();
    file.write_all(service.as_bytes()).unwrap();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            has_rules(),
            "half a file counts: {}",
            bench.state("demo/grafana")
        );
    }
    file.write_all(rules.replace("/admin/", "/internal/").as_bytes())
        .unwrap();
    drop(file);
    let start = Instant::now();
    while !format!("{:?}", bench.policy("demo/grafana")).contains("105, 110, 116") {
        assert!(
            start.elapsed() < LIMIT,
            "{:?}",
            bench.policy("demo/grafana")
        );
        assert!(has_rules());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_file_outside_that_a_link_leads_to_is_watched_too() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("wiki.of.the.team.yaml");
    fs::write(&target, WIKI).unwrap();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("provider.yaml"), PROVIDER).unwrap();
    symlink(&target, folder.path().join("wiki.yaml")).unwrap();
    let bench = Bench::of(folder, |path| path.to_owned(), None);
    assert_eq!(bench.state("demo/wiki"), "open");
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::write(&target, WIKI.replace("corp.example", "-")).unwrap();
    bench.becomes("demo/wiki", "closed").await;
    // As editors do.
    fs::write(outside.path().join("new"), WIKI).unwrap();
    fs::rename(outside.path().join("new"), &target).unwrap();
    bench.becomes("demo/wiki", "open").await;
}

#[tokio::test]
async fn what_cannot_be_read_any_more_is_closed_as_it_was() {
    let bench = Bench::start(&everything());
    type Loss = fn(&Path);
    let lose: [(&str, Loss); 4] = [
        // Container engines make a folder where the file to be mounted is missing.
        ("wiki.yml: cannot be read: it is a folder", |path| {
            fs::create_dir(path).unwrap()
        }),
        ("wiki.yml: cannot be read: No such file", |path| {
            symlink("nowhere", path).unwrap()
        }),
        (
            "wiki.yml: cannot be read: it is larger than 8 MiB",
            |path| {
                fs::write(path, vec![b'#'; 9 << 20]).unwrap();
            },
        ),
        ("wiki.yml: is not UTF-8", |path| {
            fs::write(path, b"a: \xff").unwrap()
        }),
    ];
    for (why, lose) in lose {
        fs::remove_file(bench.path("wiki.yml")).unwrap();
        lose(&bench.path("wiki.yml"));
        bench
            .becomes(
                "demo/wiki",
                &format!("closed: Ingress demo/wiki cannot be read: {why}"),
            )
            .await;
        assert_eq!(bench.state("demo/grafana"), "open");
        let path = bench.path("wiki.yml");
        fs::remove_dir(&path)
            .or_else(|_| fs::remove_file(&path))
            .unwrap();
        bench.write("wiki.yml", WIKI);
        bench.becomes("demo/wiki", "open").await;
    }
}

#[tokio::test]
async fn a_manifest_that_grows_when_it_is_read_is_refused() {
    let bench = Bench::start(&everything());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        let all = vec![before; 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{all}]\n"));
    }
    bench.write("wiki.yml", &bomb);
    bench
        .becomes(
            "demo/wiki",
            "closed: Ingress demo/wiki cannot be read: wiki.yml:",
        )
        .await;
    assert_eq!(bench.state("demo/grafana"), "open");
}

#[tokio::test]
async fn a_mounted_secret_is_rotated_at_once_and_survives_a_moment_of_emptiness() {
    let secrets = TempDir::new().unwrap();
    let file = secrets.path().join("example-client");
    fs::write(&file, "first\n").unwrap();
    let folder = TempDir::new().unwrap();
    let (provider, _) = PROVIDER.split_once("---").unwrap();
    fs::write(folder.path().join("provider.yaml"), provider).unwrap();
    fs::write(folder.path().join("wiki.yaml"), WIKI).unwrap();
    let bench = Bench::of(
        folder,
        |path| path.to_owned(),
        Some(secrets.path().to_owned()),
    );
    let secret = || {
        let table = bench.table.load();
        let provider = table.provider("example")?;
        let secret = provider.client_secret.as_ref()?;
        Some(String::from_utf8(secret.expose().to_vec()).unwrap())
    };
    assert_eq!(secret().as_deref(), Some("first"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    // A rotation by rename, and one in place.
    fs::write(secrets.path().join(".new"), "second").unwrap();
    fs::rename(secrets.path().join(".new"), &file).unwrap();
    until(|| secret().as_deref() == Some("second")).await;
    fs::write(&file, "third\r\n").unwrap();
    until(|| secret().as_deref() == Some("third")).await;
    // Empty, or out of reach: the value stays, and everybody who is signed in goes on.
    fs::write(&file, "").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(secret().as_deref(), Some("third"));
    fs::remove_file(&file).unwrap();
    symlink("nowhere", &file).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(secret().as_deref(), Some("third"));
    assert_eq!(bench.state("demo/wiki"), "open");
    // Deleted is deleted.
    fs::remove_file(&file).unwrap();
    bench.becomes("demo/wiki", "closed").await;
}

async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
