//! Paths: whatever trick a target plays, what is really served of it is what its rule says.
//!
//! Each target goes through the real proxies. If it reaches the service, it is put to real applications (Python's and
//! nginx's file servers) as it arrived, and what they serve of it counts, whatever anybody thinks that it means.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Result, ensure};

use super::{
    stage::{Stage, get},
    told,
};
use crate::bench::{
    PlainNginx, Process, Wait,
    loopback::free_component_address,
    process::{self, Start},
    raw,
};

/// Applications that serve the same files.
struct Applications {
    addresses: Vec<(&'static str, SocketAddr)>,
    _python: Process,
    _nginx: PlainNginx,
}

const PLACES: [&str; 6] = ["pub", "admin", "internal", "panel", "secret", "other"];
const EXACT: [&str; 2] = ["panel", "secret"];

// === impl Applications ===

impl Applications {
    async fn start() -> Result<Self> {
        let root = process::data_folder("served")?;
        for place in PLACES {
            fs::create_dir_all(root.join(place).join("sub"))?;
            // A rule of type Exact speaks of the place itself, not of what lies below it.
            let below = if EXACT.contains(&place) {
                "other"
            } else {
                place
            };
            fs::write(
                root.join(place).join("index.html"),
                format!("this is of {place}"),
            )?;
            for file in ["x", "sub/x"] {
                fs::write(root.join(place).join(file), format!("this is of {below}"))?;
            }
        }
        fs::write(root.join("healthz"), "this is of healthz")?;
        fs::write(root.join("index.html"), "this is of other")?;
        let python = free_component_address()?;
        let serving = Start::program("python", Path::new("/usr/bin/env"))?
            .arguments(["python3", "-m", "http.server", "--bind"])
            .arguments([python.ip().to_string(), python.port().to_string()])
            .argument("--directory")
            .argument(root.to_string_lossy())
            .start()?;
        let files = free_component_address()?;
        let site = format!(
            "server {{ listen {files}; root {}; location / {{ }} }}",
            root.display()
        );
        let nginx = PlainNginx::start(&site).await?;
        let applications = Self {
            addresses: vec![("Python", python), ("nginx", files)],
            _python: serving,
            _nginx: nginx,
        };
        for (name, address) in &applications.addresses {
            Wait::seconds(60)
                .every(Duration::from_millis(50))
                .until(&format!("{name} serves files"), async || {
                    let answer = raw::get(*address, "files", b"/pub/x", &[]).await?;
                    ensure!(answer.rest.contains("this is of pub"), "{}", answer.rest);
                    Ok(())
                })
                .await?;
        }
        Ok(applications)
    }

    /// What each serves for a target, redirects followed once.
    async fn serve(&self, target: &[u8]) -> Result<Vec<(&'static str, String)>> {
        let mut served = Vec::new();
        for (name, address) in &self.addresses {
            let mut answer = raw::get(*address, "files", target, &[]).await?;
            let location = answer.head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case("location")
                    .then(|| value.to_owned())
            });
            if let Some(to) = location {
                let path = to
                    .split_once("://")
                    .and_then(|(_, rest)| rest.find('/').map(|at| rest.split_at(at).1.to_owned()));
                answer = raw::get(*address, "files", path.unwrap_or(to).as_bytes(), &[]).await?;
            }
            served.push((*name, answer.rest));
        }
        Ok(served)
    }
}

/// Every way that is known to write a path so that two readers differ, for one place.
fn targets(place: &str) -> Vec<Vec<u8>> {
    let first = place.chars().next().unwrap_or('x');
    let rest: String = place.chars().skip(1).collect();
    let encoded = format!("%{:02x}{rest}", u32::from(first));
    let twice = format!("%25{:02x}{rest}", u32::from(first));
    let upper = place.to_uppercase();
    let patterns = [
        "/{p}",
        "/{p}/",
        "/{p}/x",
        "/{p}/sub/x",
        "//{p}/x",
        "///{p}/x",
        "/{p}//x",
        "/./{p}/x",
        "/{p}/./x",
        "/{p}/.",
        "/{p}/..",
        "/other/../{p}/x",
        "/pub/../{p}/x",
        "/pub/..%2f{p}/x",
        "/pub/%2e%2e/{p}/x",
        "/pub/.%2e/{p}/x",
        "/pub/%2e./{p}/x",
        "/pub%2f..%2f{p}%2fx",
        "/pub/..%5c{p}/x",
        "/pub\\..\\{p}\\x",
        "/pub/..\\{p}/x",
        "/pub/..;/{p}/x",
        "/pub/.;/../{p}/x",
        "/pub;/../{p}/x",
        "/pub/..;x=y/{p}/x",
        "/{p};x/x",
        "/{p}%3bx/x",
        "/pub/%252e%252e/{p}/x",
        "/pub/..%252f{p}/x",
        "/{e}",
        "/{e}/x",
        "/{t}/x",
        "/{u}",
        "/{u}/x",
        "/{p}%2fx",
        "/{p}%2Fx",
        "/{p}%5cx",
        "/{p}%00",
        "/{p}%00/x",
        "/pub/x%00/../{p}/x",
        "/{p}/x%00",
        "/{p}%20/x",
        "/{p}%20",
        "/{p}./x",
        "/{p}.",
        "/{p}%2e",
        "/{p}.html",
        "/{p}/x?y=/pub/",
        "/{p}?/pub/",
        "/{p}%3f/pub/",
        "/pub/?/../{p}/x",
        "/pub/%3f/../../{p}/x",
        "/{p}%23",
        "/{p}#/pub/",
        "/pub/#/../{p}/x",
        "/pub/%23/../../{p}/x",
        "/pub/x#/../../{p}/x",
        "/pub/%c0%ae%c0%ae/{p}/x",
        "/pub/%c0%af..%c0%af{p}",
        "/pub/%e0%80%ae%e0%80%ae/{p}/x",
        "/%e0%80%af{p}/x",
        "/pub/%u002e%u002e/{p}/x",
        "/pub/..%c1%9c{p}/x",
        "/pub/%ef%bc%8e%ef%bc%8e/{p}/x",
        "/pub/\u{ff0e}\u{ff0e}/{p}/x",
        "/%09{p}/x",
        "/%0a{p}/x",
        "/{p}%0a",
        "/{p}%09",
        "/{p}%0d%0aX:%20y/x",
        "/ {p}/x",
        "/\t{p}/x",
        "/pub/../../{p}/x",
        "/../{p}/x",
        "/..%2f{p}/x",
        "/%2e%2e/{p}/x",
        "/.//{p}/x",
        "/pub/./../{p}/x",
        "/pub//../{p}/x",
        "/pub/x/../../{p}/x",
        "http://wiki.example/{p}/x",
        "https://other.example/{p}/x",
        "{p}/x",
        "*",
        "/{p}/x/",
        "/{p}/x/..",
        "/{p}/sub/../x",
        "/%2f{p}/x",
        "/pub%2f../{p}/x",
        "/pub/%2f../{p}/x",
        "/pub/%2f%2f../../{p}/x",
        "/{p}%",
        "/{p}%2",
        "/{p}%zz",
        "/pub/%ff/../../{p}/x",
        "/%ff/../{p}/x",
        "/{p}%ff",
        "/pub/..%ff/{p}/x",
        "/pub/...//{p}/x",
        "/pub/..../{p}/x",
        "/PUB/../{p}/x",
        "/Pub/..%2F{p}/x",
        "/healthz/../{p}/x",
        "/healthz%2f..%2f{p}/x",
        "/healthz;/../{p}/x",
        "/healthz/..;/{p}/x",
        "/healthz/%2e%2e/{p}/x",
        "/healthz#/../{p}",
        "/oauth2/../{p}/x",
        "/oauth2/..%2f{p}/x",
        "/oauth2/%2e%2e/{p}/x",
        "/oauth2//../{p}/x",
        "/oauth2;/../{p}/x",
        "/.well-known/../{p}/x",
        "/pub/%2e%2e%2f%2e%2e%2f{p}/x",
        "/pub/%5c../{p}/x",
        "/pub/%5c..%5c{p}",
        "/{p}~1/x",
        "/{p}::$DATA",
        "/{p}/x/./../x",
        "/{p}%E2%80%8B/x",
        "/\u{feff}{p}/x",
        "/{p}/x%20HTTP/1.1",
        "/{p}/x?%2e%2e/%2e%2e",
        "/pub/x%3Bjsessionid=1/../../{p}/x",
    ];
    let fill = |pattern: &str| {
        let text = pattern
            .replace("{p}", place)
            .replace("{e}", &encoded)
            .replace("{t}", &twice)
            .replace("{u}", &upper);
        text.into_bytes()
    };
    let mut all: Vec<Vec<u8>> = patterns.into_iter().map(fill).collect();
    for octet in [0x00, 0x01, 0x0b, 0x7f, 0x80, 0xa0, 0xff] {
        for pattern in ["/{p}?", "/?{p}/x", "/pub/?../../{p}/x"] {
            let text = fill(pattern);
            let trick = text.iter().map(|b| if *b == b'?' { octet } else { *b });
            all.push(trick.collect());
        }
    }
    all
}

/// Places that a person who is signed in, but no wiki-admin, may not see; and those for nobody at all.
const CLOSED: [&str; 4] = ["admin", "panel", "internal", "secret"];

#[tokio::test]
async fn no_target_reaches_more_than_its_rule_says_as_real_applications_serve_it() -> Result<()> {
    let applications = Applications::start().await?;
    let stage = Stage::new("paths", "paths.story.test").await?;
    let session = |groups| -> Result<String> {
        let value = stage.session(&stage.host, &stage.person(groups))?;
        Ok(format!("Cookie: __Host-vestibule={value}"))
    };
    let (bob, ann) = (session(&[])?, session(&["wiki-admins"])?);
    let (mut sent, mut arrived) = (0, 0);
    for (door, address) in &stage.doors {
        for place in PLACES {
            for target in targets(place) {
                for (who, cookie, closed) in [
                    (
                        "a stranger",
                        "X: y",
                        &["other", "admin", "panel", "internal", "secret"][..],
                    ),
                    ("bob", &bob, &CLOSED),
                    ("ann", &ann, &["internal", "secret"]),
                ] {
                    get(*address, &stage.host, &target, &[cookie]).await?;
                    sent += 1;
                    for reached in stage.service.take() {
                        arrived += 1;
                        for (application, served) in applications.serve(&reached).await? {
                            let forbidden = closed
                                .iter()
                                .find(|place| served.contains(&format!("this is of {place}")));
                            ensure!(
                                forbidden.is_none(),
                                "{who} got {forbidden:?} of {application} through {door}: {} arrived as {}",
                                target.escape_ascii(),
                                reached.escape_ascii()
                            );
                        }
                    }
                }
            }
        }
        // The tricks fail, and what is meant to work does.
        for (target, cookie, arrives) in [
            ("/pub/x", "X: y", true),
            ("/healthz", "X: y", true),
            ("/other/x", "X: y", false),
            ("/other/x?a=/../b%2f", &*bob, true),
            ("/admin/x", &bob, false),
            ("/admin/x", &ann, true),
            ("/internal/x", &ann, false),
            ("/%6fther/x", &bob, true),
        ] {
            get(*address, &stage.host, target.as_bytes(), &[cookie]).await?;
            ensure!(
                stage.service.take().is_empty() != arrives,
                "{door}: {target} {cookie:.8}"
            );
        }
    }
    ensure!(arrived > 100, "{arrived} arrived");
    told::cases(
        "no_target_reaches_more_than_its_rule_says_as_real_applications_serve_it",
        sent,
    );
    Ok(())
}
