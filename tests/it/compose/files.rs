//! The files of `deploy/compose` as they stand.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{APP, BEHIND_NGINX, CENTRAL, CENTRAL_NGINX, WITHOUT_NGINX, program};
use crate::bench::{
    Certificate, loopback, plain_nginx, process,
    set_up::{Run, composed, folder, site},
};

const ALL: [&str; 3] = [BEHIND_NGINX, WITHOUT_NGINX, CENTRAL_NGINX];

fn texts(value: &Value) -> Vec<&str> {
    let entries = value.as_array().into_iter().flatten();
    entries.filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn every_compose_file_is_valid_and_gives_vestibule_no_more_than_it_needs() -> Result<()> {
    for name in ALL {
        let compose = composed(name, &[]).await.context(name)?;
        assert_eq!(compose["name"], *name);
        let vestibule = &compose["services"]["vestibule"];
        assert_eq!(vestibule["read_only"], true, "{name}");
        assert_eq!(texts(&vestibule["cap_drop"]), ["ALL"], "{name}");
        assert!(vestibule["cap_add"].is_null(), "{name}");
        assert!(vestibule["user"].is_null(), "{name}: the image says who");
        assert_eq!(
            texts(&vestibule["security_opt"]),
            ["no-new-privileges:true"]
        );
        assert_eq!(
            texts(&vestibule["healthcheck"]["test"]),
            ["CMD", "/usr/bin/vestibule", "health"]
        );
        let mounts = vestibule["volumes"].as_array().context("no volumes")?;
        for mount in mounts {
            let is_state = mount["target"] == "/var/lib/vestibule" && mount["type"] == "volume";
            assert!(is_state || mount["read_only"] == true, "{name}: {mount}");
        }
        assert_eq!(vestibule["secrets"][0]["target"], "/run/secrets/google");
        let secret = compose["secrets"]["google"]["file"].as_str();
        assert!(secret.is_some_and(|file| file.ends_with("/secrets/google")));
    }
    Ok(())
}

#[tokio::test]
async fn services_are_pinned_come_back_and_are_reached_through_the_proxy_alone() -> Result<()> {
    for name in ALL {
        let compose = composed(name, &[]).await?;
        let services = compose["services"].as_object().context("no services")?;
        for (service, it) in services {
            let image = it["image"].as_str().unwrap_or_default();
            let tag = image.rsplit_once(':').map(|(_, tag)| tag);
            let pinned = tag.is_some_and(|tag| tag.contains('.') && tag != "latest");
            assert!(pinned, "{name}: {service} is not pinned: {image}");
            assert_eq!(it["restart"], "unless-stopped", "{name}: {service}");
            let door = match name {
                WITHOUT_NGINX => "vestibule",
                _ => "nginx",
            };
            assert_eq!(it["ports"].is_null(), service != door, "{name}: {service}");
        }
        if name == BEHIND_NGINX {
            let [nginx, app] = ["nginx", "app"].map(|service| {
                let networks = compose["services"][service]["networks"].as_object();
                networks.map(|networks| networks.keys().collect::<Vec<_>>())
            });
            assert!(nginx != app && app.is_some(), "nginx can pass Vestibule by");
        }
    }
    Ok(())
}

/// A misspelt variable would change nothing, and nobody would know.
#[tokio::test]
async fn every_variable_is_an_option_of_serve() -> Result<()> {
    let mut help = Command::new(program());
    help.args(["serve", "--help"]);
    let help = process::run(help).await?;
    let known: BTreeSet<&str> = help
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split(['=', ']']).next())
        .collect();
    for name in ALL {
        let compose = composed(name, &[]).await?;
        let environment = compose["services"]["vestibule"]["environment"].as_object();
        let ours = environment.context("no environment")?.keys();
        for variable in ours.filter(|variable| variable.starts_with("VESTIBULE_")) {
            let known = known.contains(&**variable) || variable == "VESTIBULE_IMAGE";
            ensure!(known, "{name}: {variable} is no option of serve:\n{help}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn check_finds_nothing_in_the_manifests_but_the_client_that_is_to_be_filled_in() -> Result<()>
{
    let secrets = process::data_folder("secrets")?;
    fs::write(secrets.join("google"), "a-secret")?;
    for name in ALL {
        let compose = composed(name, &[]).await?;
        let environment = compose["services"]["vestibule"]["environment"].as_object();
        let environment = environment.context("no environment")?;
        let mut check = Command::new(program());
        check
            .args(["check", "--strict"])
            .envs(
                environment
                    .iter()
                    .map(|(name, value)| (name, value.as_str().unwrap_or_default())),
            )
            .env("VESTIBULE_MANIFESTS", folder(name).join("vestibule"))
            .env("VESTIBULE_SECRETS_DIR", &secrets);
        let said = check.output()?;
        let said = String::from_utf8_lossy(&said.stdout);
        let (found, sum) = said.trim_end().rsplit_once('\n').context("no findings")?;
        ensure!(found.lines().count() == 1, "{said}");
        let of_the_example = "1234567890-example.apps.googleusercontent.com is that of the example";
        ensure!(found.contains(of_the_example), "{said}");
        ensure!(sum.ends_with("0 errors, 1 warning"), "{said}");
    }
    Ok(())
}

/// What docs/compose.md promises.
#[test]
fn one_app_takes_one_file_and_a_further_one_seven_lines() -> Result<()> {
    let text = fs::read_to_string(folder(BEHIND_NGINX).join("vestibule/app.yaml"))?;
    let lines = text.lines().count();
    assert!(lines <= 20, "{lines} lines");
    let app = text.lines().skip_while(|line| *line != "---").count();
    assert_eq!(app, 7, "of {lines} lines");
    let other = fs::read_to_string(folder(WITHOUT_NGINX).join("vestibule/app.yaml"))?;
    assert_eq!(text, other, "the same app in both set-ups");
    Ok(())
}

#[tokio::test]
async fn nginx_accepts_every_file_for_it() -> Result<()> {
    let certificate = Certificate::new(&[APP])?;
    for (name, services) in [
        (BEHIND_NGINX, &[][..]),
        (CENTRAL_NGINX, &["pgweb:8081", "concourse:8080"][..]),
    ] {
        let services = services
            .iter()
            .map(|service| Ok((*service, loopback::free_component_address()?)))
            .collect::<Result<Vec<_>>>()?;
        let run = Run {
            name,
            program: program(),
            hosts: &CENTRAL,
            services: &services,
            nginx: None,
        };
        let [https, http, vestibule] = [
            loopback::free_component_address()?,
            loopback::free_component_address()?,
            loopback::free_component_address()?,
        ];
        let text = site(run, [https, http, vestibule], &certificate)?;
        for gone in ["vestibule:", "/etc/", "listen 443", "listen 80"] {
            ensure!(!text.contains(gone), "{name} still has '{gone}':\n{text}");
        }
        plain_nginx::accepts(&text).await.context(name)?;
    }
    Ok(())
}

/// What a secret or a key is put into is never committed, and nothing else is left out.
#[test]
fn secrets_and_certificates_stay_out_of_a_repository() -> Result<()> {
    for name in ALL {
        for private in ["secrets", "certificates"] {
            let ignored = fs::read_to_string(folder(name).join(private).join(".gitignore"))?;
            assert!(ignored.lines().any(|line| line == "*"), "{name}/{private}");
        }
    }
    Ok(())
}
