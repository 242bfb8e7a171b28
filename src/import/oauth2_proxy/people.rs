//! Who gets in: from oauth2-proxy's one gate for everybody to `allow`.
//!
//! Its gate is an address (of a domain, or from a file) *and*, where groups are named, one of them. What restricted
//! people and cannot be expressed stays a demand that nobody meets: dropping it would let people in.

use super::{
    ReadFile,
    given::Given,
    manifests::{Manifests, Place},
    provider::{Flavour, Oidc},
};
use crate::{
    policy::{DomainPattern, Email},
    resource::{Allow, ClaimRequirement},
};

/// An entry of `allow` names no more addresses than this.
const ADDRESSES: usize = 256;

/// Who gets in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    pub(super) allow: Vec<Allow>,
    pub(super) any_authenticated: bool,
}

/// Translates the gate.
pub(super) fn people(
    given: &Given,
    flavour: Flavour,
    is_closed: bool,
    read: ReadFile<'_>,
    made: &mut Manifests,
) -> People {
    let (domains, anybody) = domains(given, made);
    let addresses = addresses(given, read, made);
    let groups = groups(given, flavour, made);
    let place = Place::Service("allow");
    if given.has("htpasswd-file") {
        made.decide(
            place,
            &["htpasswd-file"],
            "people sign in with an identity provider only: whoever had a password here stays out",
        );
    }
    if anybody {
        return everybody(given, flavour, is_closed, groups, made);
    }
    if domains.is_empty() && addresses.is_empty() {
        made.decide(place, &[], "nothing of what was given says who gets in, so nobody does: write emailDomains, emails or groups here");
    }
    let mut allow = Vec::new();
    if !domains.is_empty() {
        allow.push(Allow {
            email_domains: domains,
            groups: groups.clone(),
            ..Allow::default()
        });
    }
    allow.extend(addresses.chunks(ADDRESSES).map(|emails| Allow {
        emails: emails.to_vec(),
        groups: groups.clone(),
        ..Allow::default()
    }));
    People {
        allow,
        any_authenticated: false,
    }
}

/// `email_domains = ["*"]`.
fn everybody(
    given: &Given,
    flavour: Flavour,
    is_closed: bool,
    groups: Vec<String>,
    made: &mut Manifests,
) -> People {
    let flags = &["email-domain"];
    if !groups.is_empty() {
        made.tell(
            Place::Service("allow"),
            flags,
            "with * any address that the provider verified will do, as before. Take claims out if your provider does not send email_verified and the groups are enough",
        );
        let verified = ClaimRequirement {
            name: "email_verified".to_owned(),
            values: vec!["true".to_owned()],
        };
        return People {
            allow: vec![Allow {
                groups,
                claims: vec![verified],
                ..Allow::default()
            }],
            any_authenticated: false,
        };
    }
    match flavour {
        Flavour::Google => {
            made.decide(
                Place::Service("allow"),
                flags,
                "with * everybody with a Google account got in. That is never carried over, so nobody gets in: write your emailDomains here",
            );
            People::default()
        }
        Flavour::Unsupported => {
            made.decide(
                Place::Service("allow"),
                flags,
                "with * the provider's own restrictions decided, which are not carried over, so nobody gets in: write emailDomains, emails or groups here",
            );
            People::default()
        }
        Flavour::Oidc(_) => {
            made.decide(
                Place::Service("anyAuthenticated"),
                flags,
                if is_closed { "with * everybody whom the provider knows gets in, also without a verified address; better name emailDomains or groups in `allow` instead" } else { "with * everybody whom the provider knows got in. Nobody does until its IdentityProvider says `closed: true`: everyone it knows is one of yours, and nobody can make an account there. Better name emailDomains or groups in `allow` instead" },
            );
            if let Some((_, spec)) = made.provider.as_mut().filter(|_| is_closed) {
                spec.closed = true;
            }
            if given.has("authenticated-emails-file") {
                made.tell(
                    Place::Service("anyAuthenticated"),
                    &["authenticated-emails-file"],
                    "had no effect beside *",
                );
            }
            People {
                allow: Vec::new(),
                any_authenticated: true,
            }
        }
    }
}

fn domains(given: &Given, made: &mut Manifests) -> (Vec<String>, bool) {
    let place = Place::Service("allow");
    let listed = given.list("email-domain");
    let mut domains = Vec::new();
    let mut refused = Vec::new();
    for domain in listed.iter().filter(|domain| *domain != "*") {
        // As oauth2-proxy reads it: `.x` and `*.x` are what lies below x.
        let ours = match domain.strip_prefix('.') {
            Some(parent) => format!("*.{parent}"),
            None => domain.clone(),
        }
        .to_ascii_lowercase();
        match DomainPattern::parse(&ours) {
            Some(_) if domains.contains(&ours) => {}
            Some(_) => domains.push(ours),
            None => refused.push(domain.clone()),
        }
    }
    if !domains.is_empty() {
        made.from(place, &["email-domain"]);
    }
    if !refused.is_empty() {
        made.decide(
            place,
            &["email-domain"],
            format!(
                "\"{}\" is no domain that an address can have, and was left out",
                refused.join("\", \"")
            ),
        );
    }
    (domains, listed.iter().any(|domain| domain == "*"))
}

fn addresses(given: &Given, read: ReadFile<'_>, made: &mut Manifests) -> Vec<String> {
    let place = Place::Service("allow");
    let flags = &["authenticated-emails-file"];
    let Some(file) = given.text("authenticated-emails-file") else {
        return Vec::new();
    };
    let here = given.here(file);
    let text = match read(&here) {
        Ok(text) => text,
        Err(why) => {
            made.decide(place, flags, format!("{here} cannot be read ({why}), so its people stay out: write their addresses into emails"));
            return Vec::new();
        }
    };
    let mut addresses = Vec::new();
    let mut refused: usize = 0;
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let first = line.split(',').next().unwrap_or_default().trim();
        let address = first.trim_matches('"').to_lowercase();
        match Email::parse(&address) {
            Some(_) if addresses.contains(&address) => {}
            Some(_) => addresses.push(address),
            None if address.is_empty() => {}
            None => refused = refused.saturating_add(1),
        }
    }
    made.tell(place, flags, "the addresses of the file as it is now; from here on they are edited here, and an edit counts at once");
    if refused > 0 {
        made.decide(
            place,
            flags,
            format!(
                "{refused} of its lines are no addresses that can be compared, and were left out"
            ),
        );
    }
    addresses
}

/// The groups of which one is asked for; a demand that cannot be met is one of them.
fn groups(given: &Given, flavour: Flavour, made: &mut Manifests) -> Vec<String> {
    let place = Place::Service("allow");
    let mut groups: Vec<String> = Vec::new();
    let mut add = |flag: &str, prefix: &str| {
        let named = given.list(flag).iter().filter(|name| !name.is_empty());
        groups.extend(named.map(|name| format!("{prefix}{name}")));
        given.has(flag)
    };
    let kind = given.text_or_default("provider");
    if add("allowed-group", "") {
        match flavour {
            Flavour::Google => made.decide(place, &["allowed-group"], "Google sends no groups, so nobody gets in: name emailDomains or emails, or sign in through a provider that sends groups"),
            _ => made.from(place, &["allowed-group"]),
        }
    }
    match flavour {
        Flavour::Oidc(Oidc::Keycloak) => {
            if add("keycloak-group", "") {
                made.tell(
                    place,
                    &["keycloak-group"],
                    "as Keycloak's group mapper sends them: /group with full paths",
                );
            }
            if kind == "keycloak-oidc" && add("allowed-role", "role:") {
                made.decide(place, &["allowed-role"], "roles are looked for among the groups: add a mapper in Keycloak that puts them into the claim, and name them here as it does");
            }
        }
        Flavour::Oidc(Oidc::GitLab) => {
            if add("gitlab-group", "") {
                made.decide(
                    place,
                    &["gitlab-group"],
                    "compared with groups_direct of the ID token: direct memberships only",
                );
            }
            if add("gitlab-project", "project:") {
                made.decide(
                    place,
                    &["gitlab-project"],
                    "GitLab's ID token names no projects, so nobody gets in by one: use groups",
                );
            }
        }
        Flavour::Google => {
            if add("google-group", "") {
                made.decide(place, &["google-group"], "Google sends no groups, so nobody gets in: name emailDomains or emails, or sign in through a provider that sends groups");
            }
        }
        Flavour::Oidc(_) | Flavour::Unsupported => {}
    }
    if flavour == Flavour::Unsupported {
        groups.extend(restrictions(given));
    }
    groups.dedup();
    groups
}

/// What restricted people at providers that are not supported: asked for as groups, as Dex's connectors name them.
fn restrictions(given: &Given) -> Vec<String> {
    let one = |flag: &str| given.text(flag);
    let named = |team: &str| match one("github-org") {
        Some(org) if !team.contains(':') => format!("{org}:{team}"),
        _ => team.to_owned(),
    };
    let of_github: Vec<String> = match (one("github-team"), one("github-org")) {
        (Some(teams), _) => teams.split(',').map(|team| named(team.trim())).collect(),
        (None, Some(org)) => vec![org.to_owned()],
        (None, None) => Vec::new(),
    };
    let others = ["github-repo", "bitbucket-team", "bitbucket-repository"];
    let others = others.into_iter().filter_map(one).map(str::to_owned);
    of_github.into_iter().chain(others).collect()
}
