//! The endpoint through its built router and check service: what proxies, people and hostile clients get.

mod check;
mod clocks;
mod floods;
mod hand_off;
mod installations;
mod people;
mod plain_nginx;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::{DECIDING, Endpoint, Gate, Metrics, Proxies, Verify};
use crate::{
    clock::Clock,
    policy::{
        Ceiling, DomainPattern, Entry, Grant, Host, HostPattern, Identity, Moment, PathMatch,
        Policy, Rule, RuleAccess, SessionLimits, Terms, example_identity,
    },
    provider::{self, Providers},
    published::{
        Access, ClaimNames, DeniedTexts, HeaderSource, HostEntry, IDENTITY_HEADERS, Installation,
        KeyRing, ProviderKind, ProviderSettings, Published, Service, ServiceId, Table,
        UpstreamHeader,
    },
    session::{Keys, NamedFacts, issue, random},
};

const NOW: Moment = Moment(1_000_000);
/// Nobody listens there.
const ISSUER: &str = "http://127.0.0.1:1";

/// An installation with two protected hosts, `a.example` (with rules) and `b.example`, and one provider, which nobody
/// reaches.
struct Bench {
    verify: Verify,
    router: Router,
    keys: Arc<ArcSwap<Option<Keys>>>,
    table: Arc<ArcSwap<Table>>,
    clock: Clock,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Bench {
    fn new(auth_host: Option<&str>) -> Self {
        Self::behind_nginx(auth_host, None)
    }

    /// With a header in which nginx says the target.
    fn behind_nginx(auth_host: Option<&str>, original_uri: Option<&'static str>) -> Self {
        let original_uri = original_uri.map(HeaderName::from_static);
        let installation = Arc::new(Installation {
            auth_host: auth_host.and_then(Host::parse),
            ..Installation::default()
        });
        let mut table = Table::default().with(&Published::Provider(Arc::new(provider("corp"))));
        for service in [
            service("a", corp()),
            service("b", Grant::AnyOf(vec![entry_group("admins")])),
        ] {
            let host = HostEntry {
                pattern: service.hosts[0].clone(),
                services: vec![service.id.clone()],
                no_sessions: None,
                routes: vec![],
                named_groups: vec!["admins".into()],
                named_claims: vec![],
            };
            table = table
                .with(&Published::Host(Arc::new(host)))
                .with(&Published::Service(Arc::new(service)));
        }
        let table = Arc::new(ArcSwap::from_pointee(table));
        let keys = Arc::new(ArcSwap::from_pointee(Some(Keys::new(Arc::new(
            KeyRing::first(1, [1; 32]),
        )))));
        let clock = Clock::manual(NOW);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (observe, _) = mpsc::channel(10);
        let providers = Providers::new(
            clock.clone(),
            observe,
            provider::Metrics::register(&mut registry),
        );
        let gate = Gate::new(
            installation,
            Arc::clone(&table),
            Arc::clone(&keys),
            clock.clone(),
            metrics,
        )
        .unwrap();
        let gate = Arc::new(gate);
        let router = Arc::new(Endpoint::new(Arc::clone(&gate), providers))
            .router(Proxies::AskHere { original_uri });
        Self {
            verify: Verify::new(gate),
            router,
            keys,
            table,
            clock,
        }
    }

    /// A Cookie header with a session of this person on this host.
    fn session(&self, host: &str, who: &Identity<'_>) -> String {
        let keys = self.keys.load();
        let host = Host::parse(host).unwrap();
        let named = NamedFacts {
            groups: vec!["admins".into()],
            claims: vec![],
        };
        let sealed = issue(
            who,
            &named,
            keys.as_ref().as_ref().unwrap(),
            &host,
            NOW,
            random,
        )
        .unwrap();
        format!("__Host-vestibule={sealed}")
    }

    fn change(&self, change: &Published) {
        self.table.store(Arc::new(self.table.load().with(change)));
    }

    fn service(&self, name: &str) -> Service {
        (**self.table.load().service(&format!("team/{name}")).unwrap()).clone()
    }

    /// What a data plane gets for a request, and gets again: that a session has been opened before changes nothing.
    fn check(&self, path_and_query: &str, headers: &[(&str, &str)]) -> Reply {
        let request = request("GET", path_and_query, headers).map(|_| ());
        let answers = [1, 2, 3, 4].map(|_| self.verify.answer(&request));
        let [first, rest @ ..] = answers.map(|answer| (answer.status(), answer.headers().clone()));
        assert!(
            rest.iter().all(|answer| *answer == first),
            "{first:?}, {rest:?}"
        );
        let (status, headers) = first;
        Reply {
            status,
            headers,
            body: String::new(),
        }
    }

    async fn ask(&self, method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Reply {
        let response: Response<Body> = self
            .router
            .clone()
            .oneshot(request(method, path_and_query, headers))
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.into()).unwrap(),
        }
    }

    /// A person's browser navigates.
    async fn navigate(&self, host: &str, path_and_query: &str, cookie: &str) -> Reply {
        let headers = [
            ("host", host),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "none"),
            ("cookie", cookie),
        ];
        self.ask("GET", path_and_query, &headers).await
    }
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Every Set-Cookie, as name and value.
    fn cookies(&self) -> Vec<(String, String)> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines
            .map(|line| {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect()
    }

    /// The cookies as a browser would send them back.
    fn cookie_header(&self) -> String {
        let kept = self
            .cookies()
            .into_iter()
            .filter(|(_, value)| !value.is_empty());
        kept.map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

fn location(reply: &Reply) -> &str {
    reply.header("location")
}

/// The path to which a redirect leads, which is on that host.
fn path_at<'r>(host: &str, reply: &'r Reply) -> &'r str {
    let rest = location(reply).strip_prefix("https://").unwrap();
    rest.strip_prefix(host).unwrap()
}

fn request(method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path_and_query);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn corp() -> Grant {
    Grant::AnyOf(vec![Entry {
        email_domains: vec![DomainPattern::parse("corp.example").unwrap()],
        ..Entry::default()
    }])
}

fn entry_group(group: &str) -> Entry {
    Entry {
        groups: vec![group.into()],
        ..Entry::default()
    }
}

fn service(name: &str, grant: Grant) -> Service {
    let policy = Policy {
        providers: vec![Terms {
            provider: "corp".into(),
            issuer: ISSUER.into(),
            reading: provider("corp").reading(),
            ceiling: Ceiling::default(),
        }],
        grant,
        rules: vec![
            Rule {
                paths: vec![PathMatch::exact("/healthz").unwrap()],
                access: RuleAccess::Public,
            },
            Rule {
                paths: vec![PathMatch::prefix("/internal/").unwrap()],
                access: RuleAccess::Denied,
            },
        ],
        session: SessionLimits::default(),
        paths_are_rewritten: false,
    };
    let headers = [
        ("X-Auth-Request-User", HeaderSource::Subject),
        ("X-Auth-Request-Email", HeaderSource::Email),
        ("X-Auth-Request-Groups", HeaderSource::Groups),
    ];
    Service {
        id: ServiceId::new("team", name),
        hosts: vec![HostPattern::parse(&format!("{name}.example")).unwrap()],
        protected_service: format!("team/{name}").into(),
        display_name: None,
        access: Access::Open(Arc::new(policy)),
        disclosed: vec![],
        upstream_headers: headers
            .map(|(name, source)| UpstreamHeader {
                name: name.into(),
                source,
            })
            .into(),
        denied: DeniedTexts::default(),
    }
}

fn provider(name: &str) -> ProviderSettings {
    ProviderSettings {
        name: name.into(),
        display_name: "Corp".into(),
        order: 0,
        kind: ProviderKind::Oidc {
            issuer: ISSUER.into(),
            insecure_http: true,
        },
        client_id: "client".into(),
        client_secret: None,
        scopes: vec!["openid".into()],
        claims: ClaimNames::default(),
        trusts_unverified_email: false,
        max_session: None,
    }
}

fn ann() -> Identity<'static> {
    Identity {
        issuer: ISSUER.into(),
        ..example_identity()
    }
}

fn bob() -> Identity<'static> {
    Identity {
        email: Some("bob@other.example".into()),
        ..ann()
    }
}
