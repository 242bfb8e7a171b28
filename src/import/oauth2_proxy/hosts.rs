//! Which hosts there are, and which service is behind each.
//!
//! oauth2-proxy need not know its hosts: the person says them, or the redirect URL and the domains that it knows do.

use url::Url;

use super::{
    given::{Given, Upstream},
    manifests::{Manifests, Place},
    sources::Unreadable,
    translate::Wishes,
};
use crate::{policy::HostPattern, resource::FolderHost};

/// What is served where.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) hosts: Vec<FolderHost>,
    /// Requests pass through us; otherwise nginx asks us and passes them on itself.
    pub(super) pass_through: bool,
    /// Where everybody signs in, if that is one host.
    pub(super) auth_host: Option<String>,
    /// The port that people use, if it is not the scheme's own.
    pub(super) public_port: Option<u16>,
}

/// Works it out.
pub(super) fn hosts(
    given: &Given,
    wishes: &Wishes,
    made: &mut Manifests,
) -> Result<Hosts, Unreadable> {
    let upstreams = upstreams(given);
    let is_served = |upstream: &Upstream| {
        let scheme = upstream.uri.split(':').next().unwrap_or_default();
        !matches!(scheme, "static" | "file" | "")
    };
    let named_upstream = wishes.hosts.iter().any(|host| host.upstream.is_some());
    let mut found = Hosts {
        pass_through: named_upstream || upstreams.iter().any(is_served),
        ..Hosts::default()
    };
    let usual = usual_upstream(&upstreams, found.pass_through, made);
    let redirect = given
        .text("redirect-url")
        .and_then(|url| Url::parse(url).ok());
    let redirect_host = redirect.as_ref().and_then(Url::host_str).map(str::to_owned);
    let shared = shared_domain(given);

    let mut names: Vec<(String, Option<String>)> = Vec::new();
    for host in &wishes.hosts {
        if HostPattern::parse(&host.host).is_none() {
            return Err(Unreadable(format!(
                "--host {}: not a host name such as wiki.corp.example. With the service behind it: wiki.corp.example=http://wiki:8080",
                host.host.escape_debug()
            )));
        }
        names.push((host.host.to_ascii_lowercase(), host.upstream.clone()));
    }
    match (names.as_slice(), &shared, &redirect_host) {
        ([], Some((flag, domain)), _) => {
            made.decide(
                Place::Service("hosts"),
                &[*flag],
                format!("nothing says which hosts there are, so this stands for each one directly below {domain}. Better name them: --host wiki.{domain}, once for each host"),
            );
            names.push((format!("*.{domain}"), None));
        }
        ([], None, Some(host)) => {
            made.from(Place::Service("hosts"), &["redirect-url"]);
            names.push((host.clone(), None));
        }
        ([], None, None) => {
            return Err(Unreadable(
                "Nothing says which hosts are behind oauth2-proxy. Name them: --host wiki.corp.example, once for each host, or with the service behind it: --host wiki.corp.example=http://wiki:8080".to_owned(),
            ));
        }
        _ => {}
    }
    central(
        given,
        &names,
        redirect.as_ref(),
        redirect_host,
        &mut found,
        made,
    );
    for (host, own) in names {
        let upstream = own.or_else(|| usual.clone());
        if let Some(url) = &upstream
            && !is_plain(url)
        {
            return Err(Unreadable(format!(
                "--host {host}: the service behind it is written http://NAME:PORT"
            )));
        }
        found.hosts.push(FolderHost { host, upstream });
    }
    Ok(found)
}

/// Whether one host signs people in for all.
fn central(
    given: &Given,
    names: &[(String, Option<String>)],
    redirect: Option<&Url>,
    redirect_host: Option<String>,
    found: &mut Hosts,
    made: &mut Manifests,
) {
    let (Some(redirect), Some(host)) = (redirect, redirect_host) else {
        if given.has("redirect-url") && !made.mentions("redirect-url") {
            made.decide(
                Place::Serve,
                &["redirect-url"],
                "it names no host: the redirect URIs are built from each host instead",
            );
        }
        return;
    };
    if redirect.scheme() == "http" {
        made.decide(
            Place::Serve,
            &["redirect-url"],
            "people reached it by plain http. Sessions then cross the network readable by anyone on it, so the command below expects https; if that cannot be, add --public-scheme=http --insecure-http",
        );
    } else if let Some(port) = redirect.port() {
        found.public_port = Some(port);
    }
    let is_protected = names.iter().any(|(name, _)| *name == host);
    if is_protected {
        made.tell(
            Place::Serve,
            &["redirect-url"],
            "the redirect URI has the provider's name at its end now: add the new ones below beside the old one",
        );
    } else {
        made.tell(
            Place::Serve,
            &["redirect-url"],
            format!("{host} signs people in for every host: --auth-host, with one redirect URI"),
        );
        if given.has("cookie-domain") && !made.mentions("cookie-domain") {
            made.tell(
                Place::Serve,
                &["cookie-domain"],
                "no cookie is shared any more: each host has its own, handed over sealed by the --auth-host",
            );
        }
        found.auth_host = Some(host);
    }
}

/// The domain below which hosts shared a cookie, or to which people were sent back, and the flag that says so.
fn shared_domain(given: &Given) -> Option<(&'static str, String)> {
    let flags = ["cookie-domain", "whitelist-domain"].into_iter();
    let all = flags.flat_map(|flag| given.list(flag).iter().map(move |domain| (flag, domain)));
    let mut below = all.filter_map(|(flag, written)| {
        let domain = written.strip_prefix("*.");
        let domain = domain.or_else(|| written.strip_prefix('.'))?;
        Some((flag, domain))
    });
    let (flag, domain) = below.next()?;
    let domain = domain.split(':').next()?.to_ascii_lowercase();
    HostPattern::parse(&format!("*.{domain}")).map(|_| (flag, domain))
}

fn upstreams(given: &Given) -> Vec<Upstream> {
    let legacy = given.list("upstream").iter().filter(|uri| !uri.is_empty());
    let legacy = legacy.map(|uri| {
        let (bare, fragment) = match uri.split_once('#') {
            Some((bare, fragment)) if uri.starts_with("file:") => (bare, Some(fragment)),
            _ => (uri.as_str(), None),
        };
        let path = fragment.map(str::to_owned).or_else(|| {
            let url = Url::parse(bare).ok()?;
            let is_web = matches!(url.scheme(), "http" | "https");
            is_web.then(|| url.path().to_owned())
        });
        Upstream {
            path: path.unwrap_or_else(|| "/".to_owned()),
            uri: bare.to_owned(),
            is_rewritten: false,
        }
    });
    legacy.chain(given.upstreams.iter().cloned()).collect()
}

/// The service behind every host that has no other.
fn usual_upstream(
    upstreams: &[Upstream],
    pass_through: bool,
    made: &mut Manifests,
) -> Option<String> {
    let place = Place::Service("hosts");
    let flags = &["upstream"];
    if !pass_through {
        if !upstreams.is_empty() {
            made.tell(
                place,
                flags,
                "a fixed answer: nginx asks with auth_request, and knows the services itself",
            );
        }
        return None;
    }
    let mut usual = None;
    for upstream in upstreams {
        let at_root = matches!(upstream.path.as_str(), "/" | "");
        let uri = upstream.uri.trim_end_matches('/');
        match (at_root && !upstream.is_rewritten && is_plain(uri), &usual) {
            (true, None) => {
                made.from(place, flags);
                usual = Some(uri.to_owned());
            }
            _ => made.decide(
                place,
                flags,
                format!(
                    "{} ({}) is not carried over: a host has one service here, reached by http:// as a whole. Give it a host of its own, or let nginx or the service route paths",
                    upstream.path,
                    shown(&upstream.uri)
                ),
            ),
        }
    }
    if usual.is_none() && !upstreams.is_empty() {
        made.decide(
            place,
            &[],
            "no service is behind these hosts yet: write upstream: http://NAME:PORT beside each",
        );
    }
    usual
}

/// `http://NAME:PORT`, without user, path or query.
fn is_plain(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else {
        return false;
    };
    url.scheme() == "http"
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
}

/// The scheme and the host: what stands before them may be a password.
fn shown(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => match url.host_str() {
            Some(host) => format!("{}://{host}", url.scheme()),
            None => format!("{}:", url.scheme()),
        },
        Err(_) => "not a URL".to_owned(),
    }
}
