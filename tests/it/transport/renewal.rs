//! Certificates: which is shown to whom, what their files may hold, and every way in which they are replaced.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use prometheus_client::registry::Registry;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vestibule::{
    clock::Clock,
    server::{CertificateFiles, Certificates, Limits},
};

use super::{Authority, Bench, Issued, LIMIT, files};

async fn becomes(bench: &Bench, expected: &CertificateDer<'static>) {
    let start = Instant::now();
    while bench.shown("wiki.example").await != *expected {
        assert!(start.elapsed() < LIMIT, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Puts a file in place of another by a rename.
fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// Lets a link lead elsewhere, at once.
fn relink(target: &Path, link: &Path) {
    let beside = link.parent().unwrap().join(".beside");
    symlink(target, &beside).unwrap();
    fs::rename(&beside, link).unwrap();
}

#[tokio::test]
async fn the_certificate_is_that_of_the_host_then_a_wildcards_then_the_first() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let first = authority.issue(&["first.corp.example"]);
    let wildcard = authority.issue(&["*.corp.example", "corp.example"]);
    let wiki = authority.issue(&["wiki.corp.example", "other.example"]);
    let written = [(&first, "first"), (&wildcard, "wildcard"), (&wiki, "wiki")]
        .map(|(issued, name)| issued.write(folder.path(), name));
    let bench = Bench::with(authority, folder, written.to_vec(), Limits::default()).await;
    for (host, expected) in [
        ("first.corp.example", &first),
        ("wiki.corp.example", &wiki),
        ("WIKI.corp.example", &wiki),
        ("other.example", &wiki),
        ("any.corp.example", &wildcard),
        ("corp.example", &wildcard),
        ("a.b.corp.example", &first),
        ("unknown.example", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(bench.shown(host).await == *expected.der(), "{host}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_counts_without_a_restart_and_open_connections_go_on() {
    let bench = Bench::start(Limits::default()).await;
    let mut open = bench.connect("wiki.example", &["http/1.1"]).await;
    let new = bench.authority.issue(&["wiki.example"]);
    rename_over(&bench.path("wiki.pem"), &new.certificate.pem());
    rename_over(&bench.path("wiki.key"), &new.key.serialize_pem());
    becomes(&bench, new.der()).await;
    let request = b"GET /a HTTP/1.1\r\nhost: wiki.example\r\nconnection: close\r\n\r\n";
    open.write_all(request).await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("/a 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn files_may_be_written_in_place() {
    let bench = Bench::start(Limits::default()).await;
    for _ in 0..3 {
        let new = bench.authority.issue(&["wiki.example"]);
        new.write(bench.folder.path(), "wiki");
        becomes(&bench, new.der()).await;
    }
}

/// A folder as certbot keeps it: `live/NAME/*.pem` lead to numbered files in `archive/NAME`.
#[tokio::test]
async fn links_may_be_swapped_as_certbot_does() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let live = folder.path().join("live/wiki");
    let archive = folder.path().join("archive/wiki");
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let renew = |issued: &Issued, number: u8| {
        let certificate = format!("fullchain{number}.pem");
        let key = format!("privkey{number}.pem");
        fs::write(archive.join(&certificate), issued.certificate.pem()).unwrap();
        fs::write(archive.join(&key), issued.key.serialize_pem()).unwrap();
        let up = Path::new("../../archive/wiki");
        relink(&up.join(key), &live.join("privkey.pem"));
        relink(&up.join(certificate), &live.join("fullchain.pem"));
    };
    renew(&authority.issue(&["wiki.example"]), 1);
    let files = CertificateFiles {
        certificate: live.join("fullchain.pem"),
        key: live.join("privkey.pem"),
    };
    let (new, live) = (authority.issue(&["wiki.example"]), live.clone());
    let bench = Bench::with(authority, folder, vec![files], Limits::default()).await;
    renew(&new, 2);
    becomes(&bench, new.der()).await;
    assert!(live.exists());
}

/// A Secret as Kubernetes mounts it: both files change in one rename of `..data`.
#[tokio::test]
async fn a_mounted_secret_may_be_swapped_as_kubernetes_does() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let root = folder.path().to_owned();
    let mount = |issued: &Issued, version: &str| {
        let hidden = root.join(version);
        fs::create_dir(&hidden).unwrap();
        fs::write(hidden.join("tls.crt"), issued.certificate.pem()).unwrap();
        fs::write(hidden.join("tls.key"), issued.key.serialize_pem()).unwrap();
        relink(Path::new(version), &root.join("..data"));
    };
    mount(&authority.issue(&["wiki.example"]), "..one");
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), root.join(name)).unwrap();
    }
    let files = CertificateFiles {
        certificate: root.join("tls.crt"),
        key: root.join("tls.key"),
    };
    let new = authority.issue(&["wiki.example"]);
    let bench = Bench::with(authority, folder, vec![files], Limits::default()).await;
    mount(&new, "..two");
    fs::remove_dir_all(root.join("..one")).unwrap();
    becomes(&bench, new.der()).await;
}

#[tokio::test]
async fn the_folder_itself_may_be_a_link_that_is_swapped() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for path in [&one, &two] {
        fs::create_dir(path).unwrap();
    }
    let current = folder.path().join("current");
    authority.issue(&["wiki.example"]).write(&one, "wiki");
    let new = authority.issue(&["wiki.example"]);
    new.write(&two, "wiki");
    symlink(&one, &current).unwrap();
    let written = vec![files(&current, "wiki")];
    let bench = Bench::with(authority, folder, written, Limits::default()).await;
    relink(&two, &current);
    becomes(&bench, new.der()).await;
}

#[tokio::test]
async fn a_pair_that_is_broken_leaves_the_old_one_in_force_until_it_is_whole() {
    let bench = Bench::start(Limits::default()).await;
    let old = bench.shown("wiki.example").await;
    let (certificate, key) = (bench.path("wiki.pem"), bench.path("wiki.key"));
    let new = bench.authority.issue(&["wiki.example"]);
    let whole = new.certificate.pem();
    let steps: [(&str, &dyn Fn()); 6] = [
        ("the key is missing", &|| fs::remove_file(&key).unwrap()),
        ("both are missing", &|| {
            fs::remove_file(&certificate).unwrap()
        }),
        ("the certificate is empty", &|| {
            fs::write(&certificate, "").unwrap();
            fs::write(&key, new.key.serialize_pem()).unwrap();
        }),
        ("the certificate is cut off", &|| {
            rename_over(&certificate, &whole[..whole.len() / 2]);
        }),
        ("the certificate is nonsense", &|| {
            rename_over(
                &certificate,
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            );
        }),
        ("the key is another one's", &|| {
            rename_over(
                &certificate,
                &bench.authority.issue(&["wiki.example"]).certificate.pem(),
            );
        }),
    ];
    for (state, step) in steps {
        step();
        // Long enough for a look after an event.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(bench.shown("wiki.example").await == old, "{state}");
    }
    rename_over(&certificate, &whole);
    becomes(&bench, new.der()).await;
}

#[tokio::test]
async fn of_two_pairs_each_is_replaced_by_itself() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let written = ["wiki", "shop"].map(|name| {
        let issued = authority.issue(&[&format!("{name}.example")]);
        issued.write(folder.path(), name)
    });
    let bench = Bench::with(authority, folder, written.to_vec(), Limits::default()).await;
    let shop = bench.shown("shop.example").await;
    fs::write(bench.path("shop.pem"), "broken").unwrap();
    let new = bench.authority.issue(&["wiki.example"]);
    new.write(bench.folder.path(), "wiki");
    becomes(&bench, new.der()).await;
    assert!(bench.shown("shop.example").await == shop);
}

#[tokio::test]
async fn keys_may_be_pkcs8_pkcs1_and_sec1_and_chains_are_sent_whole() {
    let authority = Authority::new();
    for (is_rsa, is_pkcs8) in [(true, true), (true, false), (false, true), (false, false)] {
        let key = match is_rsa {
            true => KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
            false => KeyPair::generate().unwrap(),
        };
        let folder = TempDir::new().unwrap();
        let issued = authority.issue_for(key, &["wiki.example"]);
        let written = issued.write(folder.path(), "wiki");
        let inner = inner(issued.key.serialized_der());
        let key = match (is_rsa, is_pkcs8) {
            (_, true) => issued.key.serialize_pem(),
            (true, false) => pem("RSA PRIVATE KEY", inner),
            (false, false) => pem("EC PRIVATE KEY", inner),
        };
        fs::write(&written.key, &key).unwrap();
        let chain = format!(
            "{}{}",
            issued.certificate.pem(),
            authority.certificate.pem()
        );
        fs::write(&written.certificate, chain).unwrap();
        let authority = std::sync::Arc::clone(&authority);
        let bench = Bench::with(authority, folder, vec![written], Limits::default()).await;
        let stream = bench.connect("wiki.example", &[]).await;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        let kind = key.lines().next().unwrap_or_default();
        assert_eq!(chain.len(), 2, "{kind}");
        assert!(chain[0] == *issued.der(), "{kind}");
    }
}

/// The key within PKCS#8: the third member of the sequence.
fn inner(pkcs8: &[u8]) -> &[u8] {
    let (outer, _) = value(pkcs8);
    let (_, rest) = value(outer);
    let (_, rest) = value(rest);
    value(rest).0
}

/// The value of the first member, and what follows it.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ ..=127 => (usize::from(short), 2),
        129 => (usize::from(der[2]), 3),
        130 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        more => panic!("{more}"),
    };
    der[start..].split_at(length)
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[test]
fn when_a_certificate_ends_is_a_metric() {
    let folder = TempDir::new().unwrap();
    let issued = Authority::new().issue_until(2030, &["wiki.example"]);
    let files = issued.write(folder.path(), "wiki");
    let certificates = Certificates::open(vec![files], Clock::System).unwrap();
    let (mut registry, mut text) = (Registry::with_prefix("vestibule"), String::new());
    certificates.register(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let file = folder.path().join("wiki.pem");
    let line = format!(
        "vestibule_tls_certificate_expiration_timestamp_seconds{{file=\"{}\"}} 1893456000\n",
        file.display()
    );
    assert!(text.contains(&line), "{text}");
}

#[test]
fn a_pair_that_cannot_be_used_ends_the_start_with_the_option_the_file_and_the_reason() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name);
    let good = authority.issue(&["wiki.example"]);
    let CertificateFiles { certificate, key } = good.write(folder.path(), "good");
    authority
        .issue(&["wiki.example"])
        .write(folder.path(), "other");
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "Dear sir or madam").unwrap();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(path("encrypted"), encrypted).unwrap();
    let refusals: [(PathBuf, PathBuf, &str, PathBuf, &str); 9] = [
        (
            path("none"),
            key.clone(),
            "--tls-cert",
            path("none"),
            "No such file",
        ),
        (
            certificate.clone(),
            path("none"),
            "--tls-key",
            path("none"),
            "No such file",
        ),
        (
            path("."),
            key.clone(),
            "--tls-cert",
            path("."),
            "it is not a file",
        ),
        (
            path("empty"),
            key.clone(),
            "--tls-cert",
            path("empty"),
            "holds no certificate",
        ),
        (
            path("text"),
            key.clone(),
            "--tls-cert",
            path("text"),
            "holds no certificate",
        ),
        (
            key.clone(),
            key.clone(),
            "--tls-cert",
            key.clone(),
            "swapped?",
        ),
        (
            certificate.clone(),
            certificate.clone(),
            "--tls-key",
            certificate.clone(),
            "swapped?",
        ),
        (
            certificate.clone(),
            path("encrypted"),
            "--tls-key",
            path("encrypted"),
            "passphrase",
        ),
        (
            certificate.clone(),
            path("other.key"),
            "--tls-key",
            path("other.key"),
            "does not belong",
        ),
    ];
    for (certificate, key, option, file, reason) in refusals {
        let opened = Certificates::open(vec![CertificateFiles { certificate, key }], Clock::System);
        let Err(error) = opened else {
            panic!("{option} {reason}: taken");
        };
        let text = error.to_string();
        let begin = format!("{option} {}: ", file.display());
        assert!(text.starts_with(&begin), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}
