//! From what a configuration says to our objects, with a note by everything.

use super::{
    ReadFile,
    given::Given,
    hosts::{self, Hosts},
    interpolate,
    manifests::{Manifests, Place, Rest},
    option::{Fate, Kind, Known, Theme},
    path_rule, people, provider, serve, session,
    sources::Unreadable,
};
use crate::resource::{
    HeaderFrom, ProtectedServiceSpec, RuleAccessSpec, RulePath, RuleSpec, UpstreamHeaderSpec,
    UpstreamSpec,
};

/// What the person says beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The hosts behind oauth2-proxy; empty: as far as the configuration says.
    pub hosts: Vec<WishedHost>,
    /// Everyone whom the identity provider knows is one of ours.
    pub provider_is_closed: bool,
}

/// A host, and the service behind it if requests are to pass through the front door.
#[derive(Clone, Debug)]
pub struct WishedHost {
    /// A host name, or `*.` and one.
    pub host: String,
    /// `http://NAME:PORT`.
    pub upstream: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Translation {
    /// YAML for the folder that `vestibule serve` reads.
    pub text: String,
    /// How many notes ask for a decision.
    pub decisions: usize,
}

/// A rule names no more paths than this.
const PATHS: usize = 32;

pub(super) fn translate(
    given: &Given,
    wishes: &Wishes,
    read: ReadFile<'_>,
) -> Result<Manifests, Unreadable> {
    let mut made = Manifests::default();
    let closed = wishes.provider_is_closed;
    let (name, flavour) = provider::provider(given, &mut made);
    let hosts = hosts::hosts(given, wishes, &mut made)?;
    let people = people::people(given, flavour, closed, read, &mut made);
    let (session, ceiling) = session::session(given, &mut made);
    let rules = rules(given, &hosts, &mut made);
    let headers = headers(given, &hosts, &mut made);
    let names: Vec<String> = headers.iter().map(|header| header.name.clone()).collect();
    serve::serve(given, &name, &hosts, ceiling.as_deref(), &names, &mut made);
    for host in hosts.hosts {
        let spec = ProtectedServiceSpec {
            identity_providers: vec![name.clone()],
            allow: people.allow.clone(),
            any_authenticated: people.any_authenticated,
            rules: rules.clone(),
            session: session.clone(),
            upstream: (!headers.is_empty()).then(|| UpstreamSpec {
                headers: headers.clone(),
            }),
            hosts: vec![host.clone()],
            ..ProtectedServiceSpec::default()
        };
        made.services.push((service_name(&host.host), spec));
    }
    unresolved(given, &mut made);
    the_rest(given, &mut made);
    Ok(made)
}

fn service_name(host: &str) -> String {
    host.replace('*', "any").replace('.', "-")
}

fn rules(given: &Given, hosts: &Hosts, made: &mut Manifests) -> Vec<RuleSpec> {
    let place = Place::Service("rules");
    let mut paths: Vec<RulePath> = Vec::new();
    for flag in ["skip-auth-route", "skip-auth-regex"] {
        for route in given.list(flag).iter().filter(|route| !route.is_empty()) {
            match path_rule::open(route, flag == "skip-auth-route") {
                Ok(opened) => {
                    match opened.narrower {
                        None => made.tell(place, &[flag], route.clone()),
                        Some(narrower) => made.decide(place, &[flag], format!("{route}: {narrower}")),
                    }
                    for path in opened.paths {
                        if !paths.contains(&path) {
                            paths.push(path);
                        }
                    }
                }
                Err(why) => made.decide(
                    place,
                    &[flag],
                    format!("{route} stays protected: {why}. Write the paths that need no session as Exact or Prefix"),
                ),
            }
        }
    }
    if !paths.is_empty() && !hosts.pass_through {
        made.tell(
            place,
            &[],
            "no path is public until nginx says which one is asked for: first add `proxy_set_header X-Original-URI $request_uri;` to every location = /oauth2/auth, then start vestibule with --original-uri-header X-Original-URI",
        );
    }
    let rule = |paths: &[RulePath]| RuleSpec {
        paths: paths.to_vec(),
        access: RuleAccessSpec::Public,
        allow: Vec::new(),
    };
    paths.chunks(PATHS).map(rule).collect()
}

/// What services are told beyond the usual headers.
fn headers(given: &Given, hosts: &Hosts, made: &mut Manifests) -> Vec<UpstreamHeaderSpec> {
    let place = Place::Service("upstream");
    let mut headers: Vec<UpstreamHeaderSpec> = Vec::new();
    let mut add = |name: &str, from: HeaderFrom, claim: Option<&str>| {
        let is_new = !headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case(name));
        if is_new {
            headers.push(UpstreamHeaderSpec {
                name: name.to_owned(),
                from,
                claim: claim.map(str::to_owned),
            });
        }
    };
    for header in &given.headers {
        let named = [format!("injectRequestHeaders {}", header.name)];
        let is_name = header
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-');
        let of_browser = ["authorization", "cookie", "set-cookie", "host"];
        let is_ours = is_name
            && !header.name.is_empty()
            && !of_browser.contains(&header.name.to_ascii_lowercase().as_str());
        match header.claim.as_deref().filter(|claim| is_ours && !claim.is_empty()) {
            Some("user") => add(&header.name, HeaderFrom::Subject, None),
            Some("email") => add(&header.name, HeaderFrom::Email, None),
            Some("preferred_username") => add(&header.name, HeaderFrom::Username, None),
            Some("groups") => add(&header.name, HeaderFrom::Groups, None),
            Some(claim) if !matches!(claim, "access_token" | "id_token" | "refresh_token" | "created_at" | "expires_on") => {
                add(&header.name, HeaderFrom::Claim, Some(claim));
            }
            _ => made.decide(
                place,
                &[],
                format!("{} is not carried over: identity headers carry claims, no tokens, passwords or fixed values, and never in Authorization", named.join("")),
            ),
        }
    }
    let passes = given.is_on("pass-basic-auth") || given.is_on("pass-user-headers");
    if hosts.pass_through && given.headers.is_empty() && given.upstreams.is_empty() && passes {
        let prefers = given.is_on("prefer-email-to-user");
        for flag in [
            "pass-user-headers",
            "pass-basic-auth",
            "prefer-email-to-user",
        ] {
            if given.has(flag) {
                made.from(place, &[flag]);
            }
        }
        if prefers {
            add("X-Forwarded-User", HeaderFrom::Email, None)
        } else {
            add("X-Forwarded-User", HeaderFrom::Subject, None);
            add("X-Forwarded-Email", HeaderFrom::Email, None);
        }
        add("X-Forwarded-Preferred-Username", HeaderFrom::Username, None);
        add("X-Forwarded-Groups", HeaderFrom::Groups, None);
        made.tell(
            place,
            &[],
            "what oauth2-proxy told the service; other identity headers stay away",
        );
    }
    headers
}

/// Values that a Compose file leaves to the environment.
fn unresolved(given: &Given, made: &mut Manifests) {
    for (known, values) in given.options() {
        let is_open = values.iter().any(|value| interpolate::is_open(value));
        if is_open && known.kind != Kind::Secret {
            let place = match known.theme {
                Theme::Provider => Place::Provider(""),
                Theme::Access | Theme::Session | Theme::Proxy => Place::Service(""),
                Theme::Start | Theme::Server | Theme::Pages => Place::Serve,
            };
            made.decide(
                place,
                &[known.flag],
                "its value is a variable that has none in the .env beside the Compose file: write the value where ${...} stands",
            );
        }
    }
}

/// Everything that nothing has spoken of yet.
fn the_rest(given: &Given, made: &mut Manifests) {
    for (known, values) in given.options() {
        if made.mentions(known.flag) || known.theme == Theme::Start && known.fate == Fate::Carried {
            continue;
        }
        let place = match known.theme {
            Theme::Provider => Place::Provider(""),
            Theme::Access | Theme::Session | Theme::Proxy => Place::Service(""),
            Theme::Start | Theme::Server | Theme::Pages => Place::Serve,
        };
        let flags = &[known.flag];
        if known.is_default(values) {
            made.from(Place::End(Rest::Usual), flags);
            continue;
        }
        match known.fate {
            Fate::Carried if is_given_as_asked(known) => {
                made.from(Place::End(Rest::NotNeeded), flags)
            }
            Fate::Carried => made.from(Place::End(Rest::NoEffect), flags),
            Fate::NotNeeded => made.from(Place::End(Rest::NotNeeded), flags),
            Fate::Unsupported => made.from(Place::End(Rest::Unsupported), flags),
            Fate::Changed | Fate::Lost => made.decide(place, flags, known.text),
        }
    }
}

/// What is so for every service here, without a field that says it.
fn is_given_as_asked(known: &Known) -> bool {
    known.flag == "set-xauthrequest"
}
