//! What `tests/speed/bench` and `tests/speed/front_door` measure, on one thread: the check, a fixed 200 of the same
//! stack with the same listener, the front door before a service, what a Table takes to build, or how much memory a
//! replica needs that watches a cluster.
//!
//!     check_cost fixed | check SERVICES [SESSIONS] | door http://ADDRESS | table SERVICES | replica SERVICES
//!
//! A server prints its address and a Cookie header with a session for the last service; then for each session, spread
//! over the services, a check's path and its header; the same for `team/denied`, where nobody may enter; and an empty
//! line. It serves until it is killed. At `team/public` everyone may enter.

mod objects;
mod replica;
mod table;

use std::{env, io::Write as _, sync::Arc, time::Duration};

use anyhow::Context;
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
    front_door::{FrontDoor, Metrics as DoorMetrics, Settings as DoorSettings},
    policy::{
        Ceiling, DomainPattern, Entry, Grant, Host, HostPattern, Identity, PathMatch, Policy, Rule,
        RuleAccess, SessionLimits, Terms,
    },
    published::{
        Access, DeniedTexts, HeaderSource, HostEntry, KeyRing, Published, Route, RoutePath,
        Service, ServiceId, Table, UpstreamHeader,
    },
    server::{CheckListener, Limits, Listener},
    session::{Keys, NamedFacts, issue, random},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let answer = arguments.next().unwrap_or_else(|| "check".to_owned());
    let argument = arguments.next().unwrap_or_default();
    let sessions = arguments.next().map_or(Ok(1), |n| n.parse())?;
    match &*answer {
        "table" => return table::build(argument.parse()?),
        "replica" => return replica::watch(argument.parse()?),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let anywhere = ([127, 0, 0, 1], 0).into();
        let listener = CheckListener::bind(anywhere, Limits::default()).await?;
        let door_listener = Listener::bind(anywhere, Limits::default()).await?;
        let services = argument.parse().unwrap_or(1);
        let keys = keys();
        let upstream = Some(&argument).filter(|_| answer == "door");
        let gate = gate(services, upstream)?;
        let cookie = session(&format!("s{services}.example"), 1, &keys)?;
        let mut out = std::io::stdout().lock();
        let address = match &*answer {
            "door" => door_listener.address()?,
            _ => listener.address()?,
        };
        writeln!(out, "{address} {cookie}")?;
        let spread = (0..sessions).map(|n| (n, format!("s{}", n % services + 1)));
        for (n, name) in spread.chain([(0, "denied".to_owned())]) {
            let host = format!("{name}.example");
            let asked = format!("m=GET&u=%2Fa%2Fb%3Fx%3D1&h={host}");
            let cookie = session(&host, n, &keys)?;
            writeln!(out, "/verify/nginx/team/{name}?{asked} {cookie}")?;
        }
        writeln!(out)?;
        drop(out);
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
                listener.serve(fixed, stop).await?;
            }
            "check" => listener.serve(Verify::new(gate), stop).await?,
            "door" => {
                let door = FrontDoor::new(
                    gate,
                    axum::Router::new(),
                    DoorSettings::default(),
                    DoorMetrics::default(),
                );
                door_listener.serve(door, stop).await;
            }
            _ => {
                anyhow::bail!("{answer} is not an answer: say fixed, check, door, table or replica")
            }
        }
        Ok(())
    })
}

/// What the kernel counts of this process, in MB: `VmHWM` is the peak, `VmRSS` what it is now.
fn memory(which: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    let kilobytes: u64 = fields
        .find(|(name, _)| *name == which)
        .and_then(|(_, value)| value.trim().strip_suffix(" kB"))
        .context("the kernel does not say how much memory was used")?
        .parse()?;
    Ok(kilobytes.div_ceil(1024))
}

/// Judges by a Table of so many services, all behind one address if there is one.
fn gate(services: usize, upstream: Option<&String>) -> anyhow::Result<Gate> {
    let mut table = Table::default();
    let everyone = Rule {
        paths: PathMatch::prefix("/a/").into_iter().collect(),
        access: RuleAccess::Public,
    };
    let nobody = Grant::AnyOf(vec![]);
    let headers = upstream_headers();
    let others = [
        service("public", policy(corp(), vec![everyone]), &headers),
        service("denied", policy(nobody, vec![]), &headers),
    ];
    // What says the same is shared, as it is in a Table that was worked out.
    let ours = policy(corp(), vec![]);
    let ordinary = (1..=services).map(|n| service(&format!("s{n}"), Arc::clone(&ours), &headers));
    for service in ordinary.chain(others).map(Arc::new) {
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
    let metrics = Metrics::register(&mut Registry::default());
    let keys = Arc::new(ArcSwap::from_pointee(Some(keys())));
    let table = Arc::new(ArcSwap::from_pointee(table));
    Ok(Gate::new(
        Arc::default(),
        table,
        keys,
        Clock::System,
        metrics,
    )?)
}

fn keys() -> Keys {
    Keys::new(Arc::new(KeyRing::first(1, [1; 32])))
}

/// A Cookie header with somebody's session for a host.
fn session(host: &str, subject: usize, keys: &Keys) -> anyhow::Result<String> {
    let host = Host::parse(host).ok_or_else(|| anyhow::anyhow!("no host"))?;
    let now = Clock::System.now();
    let who = Identity {
        session_id: [7; 16],
        provider: "corp".into(),
        issuer: "https://id.corp.example".into(),
        subject: format!("{}", 248_289_761_001 + subject).into(),
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
        reading: None,
    };
    let sealed = issue(&who, &NamedFacts::default(), keys, &host, now, random)
        .ok_or_else(|| anyhow::anyhow!("too large"))?;
    Ok(format!("__Host-vestibule={sealed}"))
}

fn corp() -> Grant {
    Grant::AnyOf(vec![Entry {
        email_domains: DomainPattern::parse("corp.example").into_iter().collect(),
        ..Entry::default()
    }])
}

fn policy(grant: Grant, rules: Vec<Rule>) -> Arc<Policy> {
    Arc::new(Policy {
        providers: vec![Terms {
            provider: "corp".into(),
            issuer: "https://id.corp.example".into(),
            reading: [0; 4],
            ceiling: Ceiling::default(),
        }],
        grant,
        rules,
        session: SessionLimits::default(),
        paths_are_rewritten: false,
    })
}

fn upstream_headers() -> Arc<[UpstreamHeader]> {
    let headers = [
        ("X-Auth-Request-User", HeaderSource::Subject),
        ("X-Auth-Request-Email", HeaderSource::Email),
        ("X-Auth-Request-Preferred-Username", HeaderSource::Username),
        ("X-Auth-Request-Groups", HeaderSource::Groups),
    ];
    let headers = headers.map(|(name, source)| UpstreamHeader {
        name: name.into(),
        source,
    });
    headers.into()
}

fn service(name: &str, policy: Arc<Policy>, upstream_headers: &Arc<[UpstreamHeader]>) -> Service {
    Service {
        id: ServiceId::new("team", name),
        hosts: HostPattern::parse(&format!("{name}.example"))
            .into_iter()
            .collect(),
        protected_service: format!("team/{name}").into(),
        display_name: None,
        access: Access::Open(policy),
        disclosed: vec![],
        upstream_headers: Arc::clone(upstream_headers),
        denied: DeniedTexts::default(),
    }
}
