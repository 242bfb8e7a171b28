//! A server for `tests/speed/run` and `tests/speed/front_door`, on one thread: the check, a fixed 200 of the same stack
//! with the same listener, or the front door before a service.
//!
//!     check_cost fixed | check SERVICES | door http://ADDRESS
//!
//! Prints the address and a Cookie header with a session, then serves until it is killed.

use std::{env, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CACHE_CONTROL};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use vestibule::{
    auth::{Gate, Metrics, Verify},
    clock::Clock,
    front_door::{FrontDoor, Settings as DoorSettings},
    policy::{
        Ceiling, DomainPattern, Entry, Grant, Host, HostPattern, Identity, Origin, Policy, Scheme,
        SessionLimits, Terms,
    },
    published::{
        Access, DeniedTexts, HeaderSource, HostEntry, IDENTITY_HEADERS, Installation, KeyRing,
        Published, Route, RoutePath, Service, ServiceId, Table, UpstreamHeader,
    },
    server::{Limits, Listener},
    session::{Keys, NamedFacts, issue, random},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let answer = arguments.next().unwrap_or_else(|| "check".to_owned());
    let argument = arguments.next().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await?;
        let services = argument.parse().unwrap_or(1);
        let (gate, cookie) = gate(services, Some(&argument).filter(|_| answer == "door"))?;
        println!("{} {cookie}", listener.address()?);
        let (gate, stop) = (Arc::new(gate), CancellationToken::new());
        match &*answer {
            "fixed" => {
                let fixed = service_fn(async |_: Request<Incoming>| {
                    let mut response = Response::new(Full::<Bytes>::default());
                    response
                        .headers_mut()
                        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    Ok(response)
                });
                listener.serve(fixed, stop).await;
            }
            "check" => listener.serve(Verify::new(gate), stop).await,
            "door" => {
                let door = FrontDoor::new(gate, axum::Router::new(), DoorSettings::default());
                listener.serve(door, stop).await;
            }
            _ => anyhow::bail!("{answer} is not an answer: say fixed, check or door"),
        }
        Ok(())
    })
}

/// A Table of so many services, all behind one address if there is one, and a session for the last one.
fn gate(services: usize, upstream: Option<&String>) -> anyhow::Result<(Gate, String)> {
    let installation = Arc::new(Installation {
        instance: "vestibule".into(),
        namespace: "vestibule".into(),
        origin: Origin {
            scheme: Scheme::Https,
            port: 443,
        },
        endpoint_prefix: "/oauth2".into(),
        auth_host: None,
        identity_headers: IDENTITY_HEADERS.map(Into::into).into(),
        max_session: Duration::from_secs(86_400),
    });
    let mut table = Table::default();
    for n in 1..=services {
        let service = Arc::new(service(n));
        let host = HostEntry {
            pattern: service
                .hosts
                .first()
                .cloned()
                .ok_or_else(|| anyhow::anyhow!("no host"))?,
            services: vec![service.id.clone()],
            no_sessions: None,
            routes: upstream
                .map(|upstream| Route {
                    path: RoutePath::Prefix("/".into()),
                    service: Some(service.id.clone()),
                    upstream: upstream.as_str().into(),
                })
                .into_iter()
                .collect(),
            named_groups: vec![],
            named_claims: vec![],
        };
        table = table
            .with(&Published::Host(Arc::new(host)))
            .with(&Published::Service(service));
    }
    let clock = Clock::System;
    let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
    let host =
        Host::parse(&format!("s{services}.example")).ok_or_else(|| anyhow::anyhow!("no host"))?;
    let now = clock.now();
    let who = Identity {
        session_id: [7; 16],
        provider: "corp".into(),
        issuer: "https://id.corp.example".into(),
        subject: "248289761001".into(),
        email: Some("ann@corp.example".into()),
        email_verified: true,
        name: Some("Ann Example".into()),
        username: Some("ann".into()),
        groups: (0..12).map(|n| format!("team-number-{n}").into()).collect(),
        groups_complete: true,
        claims: vec![],
        authenticated_at: now,
        issued_at: now,
        ends_at: now.after(Duration::from_secs(80_000)),
    };
    let sealed = issue(&who, &NamedFacts::default(), &keys, &host, now, random)
        .ok_or_else(|| anyhow::anyhow!("too large"))?;
    let metrics = Metrics::register(&mut Registry::default());
    let keys = Arc::new(ArcSwap::from_pointee(Some(keys)));
    let gate = Gate::new(
        installation,
        Arc::new(ArcSwap::from_pointee(table)),
        keys,
        clock,
        metrics,
    )?;
    Ok((gate, format!("__Host-vestibule={sealed}")))
}

fn service(n: usize) -> Service {
    let policy = Policy {
        providers: vec![Terms {
            provider: "corp".into(),
            issuer: "https://id.corp.example".into(),
            ceiling: Ceiling::default(),
        }],
        grant: Grant::AnyOf(vec![Entry {
            email_domains: DomainPattern::parse("corp.example").into_iter().collect(),
            ..Entry::default()
        }]),
        rules: vec![],
        session: SessionLimits::default(),
        paths_are_rewritten: false,
    };
    let headers = [
        ("X-Auth-Request-User", HeaderSource::Subject),
        ("X-Auth-Request-Email", HeaderSource::Email),
        ("X-Auth-Request-Preferred-Username", HeaderSource::Username),
        ("X-Auth-Request-Groups", HeaderSource::Groups),
    ];
    Service {
        id: ServiceId::new("team", &format!("s{n}")),
        hosts: HostPattern::parse(&format!("s{n}.example"))
            .into_iter()
            .collect(),
        protected_service: format!("team/s{n}").into(),
        display_name: None,
        access: Access::Open(Arc::new(policy)),
        upstream_headers: headers
            .map(|(name, source)| UpstreamHeader {
                name: name.into(),
                source,
            })
            .into(),
        denied: DeniedTexts::default(),
    }
}
