//! Who gets in after moving, beside who got in before.
//!
//! oauth2-proxy's side is written down here from its own behaviour: an address that is there and not said to be
//! unverified, of a domain or in the file; one of the groups, if there are any; or a path that is skipped.

use std::{borrow::Cow, fs, sync::Arc};

use proptest::prelude::*;
use tempfile::TempDir;
use vestibule::{
    clock::Clock,
    folder::{Folder, Metrics, Paths},
    import::oauth2_proxy::{self, Sources, WishedHost, Wishes},
    policy::{Claim, Decision, Identity, Moment, Visit, decide},
    published::{Access, IDENTITY_HEADERS, Installation, Table},
    resolve::Standalone,
};

const HOST: &str = "wiki.corp.example";
const ISSUER: &str = "https://id.corp.example";

/// What `vestibule serve` makes of manifests.
pub(super) struct Served {
    table: Arc<Table>,
}

// === impl Served ===

impl Served {
    pub(super) fn of(manifests: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let secrets = TempDir::new().unwrap();
        fs::write(folder.path().join("vestibule.yaml"), manifests).unwrap();
        for rest in manifests.split("clientSecretRef: {name: ").skip(1) {
            let name = rest.split([',', '}']).next().unwrap();
            fs::write(secrets.path().join(name), "hidden").unwrap();
        }
        let forwarded = ["User", "Email", "Preferred-Username", "Groups"];
        let forwarded = forwarded.map(|name| format!("X-Forwarded-{name}"));
        let headers = IDENTITY_HEADERS
            .map(str::to_owned)
            .into_iter()
            .chain(forwarded);
        let headers = headers.chain(["X-Department".to_owned()]);
        let installation = Installation {
            identity_headers: headers.map(Into::into).collect(),
            ..Installation::default()
        };
        let paths = Paths {
            manifests: folder.path().to_owned(),
            secrets: Some(secrets.path().to_owned()),
        };
        let live = Folder::open(
            paths,
            Arc::new(installation),
            Standalone {
                front_door: false,
                paths_are_told: true,
                asked_by_host: true,
            },
            Metrics::default(),
            Clock::System,
        )
        .unwrap();
        Self {
            table: live.table().load_full(),
        }
    }

    /// Each service and its state: `open`, or the reason why it is closed.
    pub(super) fn hosts(&self) -> Vec<(String, String)> {
        let state = |access: &Access| match access {
            Access::Open(_) => "open".to_owned(),
            Access::Closed(closed) => closed.reason.to_string(),
        };
        let services = self.table.services();
        services
            .map(|service| (service.id.to_string(), state(&service.access)))
            .collect()
    }

    fn decide(&self, person: Option<&Person>, path: &str) -> Decision {
        let service = self.table.services().next().unwrap();
        let Access::Open(policy) = &service.access else {
            // What is closed lets nobody in.
            return Decision::SignIn(vestibule::policy::SignIn::NoSession);
        };
        let visit = Visit { target: Some(path) };
        let identity = person.map(Person::signed_in);
        decide(policy, visit, identity.as_ref(), Moment(1000))
    }

    fn admits(&self, person: Option<&Person>, path: &str) -> bool {
        matches!(
            self.decide(person, path),
            Decision::Public | Decision::Allow
        )
    }
}

/// Somebody at the provider.
#[derive(Clone, Copy, Debug)]
struct Person {
    email: Option<&'static str>,
    /// `email_verified`, where the provider sends it.
    verified: Option<bool>,
    groups: &'static [&'static str],
}

// === impl Person ===

impl Person {
    fn signed_in(&self) -> Identity<'static> {
        let verified = self.verified.map(|verified| Claim {
            name: Cow::Borrowed("email_verified"),
            values: vec![Cow::Owned(verified.to_string())],
        });
        Identity {
            session_id: [0; 16],
            provider: Cow::Borrowed("oidc"),
            issuer: Cow::Borrowed(ISSUER),
            subject: Cow::Borrowed("1"),
            email: self.email.map(Cow::Borrowed),
            email_verified: self.verified == Some(true),
            name: None,
            username: None,
            groups: self
                .groups
                .iter()
                .map(|group| Cow::Borrowed(*group))
                .collect(),
            groups_complete: true,
            claims: verified.into_iter().collect(),
            authenticated_at: Moment(1000),
            issued_at: Moment(1000),
            ends_at: Moment(2000),
            reading: None,
        }
    }
}

fn people() -> Vec<Person> {
    let emails = [
        None,
        Some("ann@corp.example"),
        Some("Ann@Corp.Example"),
        Some("bob@eu.corp.example"),
        Some("eve@evilcorp.example"),
        Some("eve@corp.example.evil.example"),
        Some("eve@corp.example@evil.example"),
        Some("guest@partner.example"),
    ];
    let groups: [&[&str]; 4] = [&[], &["staff"], &["Staff"], &["role:admin", "other"]];
    let mut people = Vec::new();
    for email in emails {
        for verified in [None, Some(true), Some(false)] {
            // No provider vouches for an address that it does not send.
            if email.is_none() && verified == Some(true) {
                continue;
            }
            for groups in groups {
                people.push(Person {
                    email,
                    verified,
                    groups,
                });
            }
        }
    }
    people
}

const PATHS: [&str; 12] = [
    "/",
    "/healthz",
    "/healthzz",
    "/healthz/x",
    "/x/healthz",
    "/assets/",
    "/assets/app.js",
    "/assets/../admin",
    "/assets%2f..%2fadmin",
    "/ASSETS/app.js",
    "/admin",
    "//healthz",
];

/// A gate as oauth2-proxy is configured with it.
#[derive(Clone, Debug, Default)]
struct Gate {
    domains: Vec<&'static str>,
    file: bool,
    groups: Vec<&'static str>,
    roles: Vec<&'static str>,
    routes: Vec<Route>,
    allow_unverified: bool,
    closed: bool,
}

/// An expression, and which of `PATHS` it matches.
type Route = (&'static str, fn(&str) -> bool);

const ROUTES: [Route; 12] = [
    ("^/healthz$", |path| path == "/healthz"),
    ("^/healthz", |path| path.starts_with("/healthz")),
    ("/healthz", |path| path.contains("/healthz")),
    ("healthz$", |path| path.ends_with("healthz")),
    ("^/assets/", |path| path.starts_with("/assets/")),
    ("^/assets/.+$", |path| {
        path.len() > 8 && path.starts_with("/assets/")
    }),
    ("^/(healthz|admin)$", |path| {
        path == "/healthz" || path == "/admin"
    }),
    ("GET=^/healthz$", |path| path == "/healthz"),
    ("POST=^/healthz$", |_| false),
    ("GET!=^/admin", |path| !path.starts_with("/admin")),
    ("^/a[a-z]+$", |path| path == "/admin"),
    ("^/$|^/admin$", |path| path == "/" || path == "/admin"),
];

// === impl Gate ===

impl Gate {
    /// What oauth2-proxy did.
    fn admitted(&self, person: Option<&Person>, path: &str) -> bool {
        self.routes.iter().any(|(_, matches)| matches(path))
            || person.is_some_and(|person| self.passes(person))
    }

    fn passes(&self, person: &Person) -> bool {
        let Some(email) = person.email.map(str::to_lowercase) else {
            return false;
        };
        if person.verified == Some(false) && !self.allow_unverified {
            return false;
        }
        let in_domain = |domain: &&str| {
            let domain = domain.to_lowercase();
            let host = email.rsplit('@').next().unwrap();
            let below = domain.strip_prefix('*').unwrap_or(&domain);
            email.matches('@').count() == 1
                && (email.ends_with(&format!("@{domain}"))
                    || below.starts_with('.') && host.ends_with(below))
        };
        let address = self.domains.contains(&"*")
            || self.domains.iter().any(in_domain)
            || self.file && email == "guest@partner.example";
        let roles = self.roles.iter().map(|role| format!("role:{role}"));
        let asked: Vec<String> = self
            .groups
            .iter()
            .map(ToString::to_string)
            .chain(roles)
            .collect();
        let member = asked
            .iter()
            .any(|group| person.groups.contains(&group.as_str()));
        address && (asked.is_empty() || member)
    }

    fn served(&self) -> Served {
        let mut flags = vec![
            format!("--oidc-issuer-url={ISSUER}"),
            "--provider=keycloak-oidc".to_owned(),
            "--provider-display-name=oidc".to_owned(),
            "--client-id=x".to_owned(),
            "--client-secret=x".to_owned(),
        ];
        let lists = [
            ("email-domain", &self.domains),
            ("allowed-group", &self.groups),
            ("allowed-role", &self.roles),
        ];
        for (flag, values) in lists {
            flags.extend(values.iter().map(|value| format!("--{flag}={value}")));
        }
        flags.extend(
            self.routes
                .iter()
                .map(|(route, _)| format!("--skip-auth-route={route}")),
        );
        if self.file {
            flags.push("--authenticated-emails-file=guests".to_owned());
        }
        flags.push(format!(
            "--insecure-oidc-allow-unverified-email={}",
            self.allow_unverified
        ));
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        let wishes = Wishes {
            hosts: vec![WishedHost {
                host: HOST.to_owned(),
                upstream: None,
            }],
            provider_is_closed: self.closed,
        };
        let read = |_: &str| Ok("# people\nGuest@partner.example,x\n".to_owned());
        let made = oauth2_proxy::import(&sources, &wishes, &read).unwrap();
        Served::of(&made.text)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nobody_gets_in_who_did_not_before(
        domains in proptest::sample::subsequence(vec!["corp.example", "CORP.example", ".corp.example", "*.partner.example", "*", " corp.example", "example"], 0..4),
        groups in proptest::sample::subsequence(vec!["staff", "other"], 0..2),
        roles in proptest::sample::subsequence(vec!["admin"], 0..2),
        routes in proptest::sample::subsequence(ROUTES.to_vec(), 0..4),
        file: bool,
        allow_unverified: bool,
    ) {
        let gate = Gate { domains, file, groups, roles, routes, allow_unverified, closed: false };
        let served = gate.served();
        for path in PATHS {
            let anybody = people();
            for person in anybody.iter().map(Some).chain([None]) {
                prop_assert!(
                    !served.admits(person, path) || gate.admitted(person, path),
                    "{person:?} on {path}, with {gate:?}"
                );
            }
        }
    }
}

/// Where addresses are verified and nothing asks for more than can be carried over, the same people get in.
#[test]
fn the_same_people_get_in_where_everything_could_be_carried_over() {
    let base = Gate {
        domains: vec!["corp.example", ".corp.example"],
        file: true,
        ..Gate::default()
    };
    let with_groups = Gate {
        groups: vec!["staff"],
        roles: vec!["admin"],
        ..base.clone()
    };
    let anybody_of_a_group = Gate {
        domains: vec!["*"],
        file: false,
        ..with_groups.clone()
    };
    let with_routes = Gate {
        routes: vec![ROUTES[0], ROUTES[4], ROUTES[6]],
        ..base.clone()
    };
    for gate in [base, with_groups, anybody_of_a_group, with_routes] {
        let served = gate.served();
        // Oddly written targets and addresses are read more strictly here.
        let paths = PATHS
            .iter()
            .filter(|path| !path.contains("..") && !path.starts_with("//"));
        for path in paths {
            let people = people();
            let known = people.iter().filter(|person| person.verified == Some(true));
            for person in known.map(Some).chain([None]) {
                assert_eq!(
                    served.admits(person, path),
                    gate.admitted(person, path),
                    "{person:?} on {path}, with {gate:?}"
                );
            }
        }
    }
}

#[test]
fn everybody_at_a_provider_gets_in_only_once_somebody_said_that_it_is_closed() {
    let ann = Person {
        email: Some("ann@corp.example"),
        verified: Some(true),
        groups: &[],
    };
    let open = Gate {
        domains: vec!["*"],
        ..Gate::default()
    };
    assert!(open.admitted(Some(&ann), "/") && !open.served().admits(Some(&ann), "/"));
    let closed = Gate {
        closed: true,
        ..open
    };
    assert!(closed.served().admits(Some(&ann), "/"));
}
