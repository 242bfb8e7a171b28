//! How `vestibule serve` is started for it.

use super::{
    given::Given,
    hosts::Hosts,
    manifests::{Manifests, Place},
    option::duration,
};

/// Makes the command.
pub(super) fn serve(
    given: &Given,
    provider: &str,
    hosts: &Hosts,
    ceiling: Option<&str>,
    headers: &[String],
    made: &mut Manifests,
) {
    let mut arguments = vec![
        "--manifests ./manifests".to_owned(),
        "--secrets-dir ./secrets".to_owned(),
        "--state ./state".to_owned(),
    ];
    listeners(given, hosts, &mut arguments, made);
    let port = hosts
        .public_port
        .map_or_else(String::new, |port| format!(":{port}"));
    if let Some(port) = hosts.public_port {
        arguments.push(format!("--public-port {port}"));
    }
    if let Some(host) = &hosts.auth_host {
        arguments.push(format!("--auth-host {host}"));
    }
    let mut prefix = "/oauth2";
    if let Some(given) = given
        .text("proxy-prefix")
        .filter(|given| *given != "/oauth2")
    {
        if is_prefix(given) {
            made.from(Place::Serve, &["proxy-prefix"]);
            arguments.push(format!("--endpoint-prefix {given}"));
            prefix = given;
        } else {
            made.decide(
                Place::Serve,
                &["proxy-prefix"],
                "is no path such as /oauth2, so /oauth2 it is: nginx has to route that",
            );
        }
    }
    if let Some(ceiling) = ceiling {
        arguments.push(format!("--max-session {ceiling}"));
    }
    if !headers.is_empty() {
        arguments.push(format!("--identity-header {}", headers.join(",")));
    }
    if let Some(address) = given.text("metrics-address") {
        match address_of(address) {
            Some(address) => {
                made.from(Place::Serve, &["metrics-address"]);
                arguments.push(format!("--admin-listen {address}"));
            }
            None => made.decide(
                Place::Serve,
                &["metrics-address"],
                "is no address such as 127.0.0.1:9090; metrics are on 127.0.0.1:9090",
            ),
        }
    }
    proxies(given, hosts, &mut arguments, made);
    made.serve.arguments = arguments;
    let at = |host: &str| format!("https://{host}{port}{prefix}/callback/{provider}");
    made.serve.redirect_uris = match &hosts.auth_host {
        Some(host) => vec![at(host)],
        None => hosts.hosts.iter().map(|host| at(&host.host)).collect(),
    };
}

fn listeners(given: &Given, hosts: &Hosts, arguments: &mut Vec<String>, made: &mut Manifests) {
    let tls = given.has("tls-cert-file") || given.has("tls-key-file");
    let flag = if tls { "https-address" } else { "http-address" };
    let asked = given.text_or_default(flag);
    let address = address_of(asked);
    if address.is_none() {
        made.decide(
            Place::Serve,
            &[flag],
            "a socket file or an inherited one is not supported: listen on an address",
        );
    } else if given.has(flag) {
        made.from(Place::Serve, &[flag]);
    }
    let address = address.unwrap_or_else(|| "127.0.0.1:4180".to_owned());
    if !hosts.pass_through {
        arguments.push(format!("--listen {address}"));
        if tls {
            made.decide(Place::Serve, &["tls-cert-file", "tls-key-file"], "the auth endpoint speaks plain HTTP with nginx: keep it on this machine or a private network");
        }
        return;
    }
    arguments.push(format!("--front-door {address}"));
    if tls {
        for (flag, option) in [
            ("tls-cert-file", "--tls-cert"),
            ("tls-key-file", "--tls-key"),
        ] {
            if let Some(file) = given.text(flag) {
                made.from(Place::Serve, &[flag]);
                let file = given.here(file);
                let file = shlex::try_quote(&file)
                    .map_or_else(|_| "FILE".into(), |file| file.into_owned());
                arguments.push(format!("{option} {file}"));
            }
        }
    }
}

fn proxies(given: &Given, hosts: &Hosts, arguments: &mut Vec<String>, made: &mut Manifests) {
    if given.has("force-https") && given.is_on("force-https") {
        if hosts.pass_through {
            made.from(Place::Serve, &["force-https"]);
            arguments.push("--redirect-listen 0.0.0.0:80".to_owned());
        } else {
            made.tell(Place::Serve, &["force-https"], "nginx does that")
        }
    }
    if !hosts.pass_through {
        return;
    }
    let trusted = given.list("trusted-proxy-ip");
    let is_network = |text: &String| {
        text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
    };
    let (good, bad): (Vec<&String>, Vec<&String>) =
        trusted.iter().partition(|text| is_network(text));
    if !good.is_empty() {
        let good: Vec<&str> = good.into_iter().map(String::as_str).collect();
        made.from(Place::Serve, &["trusted-proxy-ip"]);
        arguments.push(format!("--trusted-proxies {}", good.join(",")));
    }
    if !bad.is_empty() {
        made.decide(
            Place::Serve,
            &["trusted-proxy-ip"],
            "what is no address or network was left out",
        );
    }
    if let Some(text) = given.text("upstream-timeout") {
        match duration(text).filter(|seconds| *seconds > 0) {
            Some(seconds) => {
                made.from(Place::Serve, &["upstream-timeout"]);
                arguments.push(format!("--upstream-timeout {seconds}s"));
            }
            None => made.decide(
                Place::Serve,
                &["upstream-timeout"],
                "is no duration of a second or more, and was left out",
            ),
        }
    }
}

/// An address to listen on; a port alone means every address of the machine.
fn address_of(text: &str) -> Option<String> {
    let bare = text.split_once("://").map_or(text, |(_, bare)| bare);
    if text.starts_with("unix:") || text.starts_with("fd:") {
        return None;
    }
    let whole = if bare.starts_with(':') {
        format!("0.0.0.0{bare}")
    } else {
        bare.replace("localhost:", "127.0.0.1:")
    };
    whole
        .parse::<std::net::SocketAddr>()
        .ok()
        .map(|address| address.to_string())
}

fn is_prefix(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let segments = text
        .strip_prefix('/')
        .map(|rest| rest.split('/').collect::<Vec<_>>());
    segments.is_some_and(|segments| {
        let good = |segment: &&str| {
            !segment.is_empty() && !matches!(*segment, "." | "..") && segment.chars().all(inner)
        };
        segments.iter().all(good)
    })
}
