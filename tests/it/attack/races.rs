//! What is under way while the policy changes: callbacks whose token request hangs at the provider, tickets that nobody
//! has redeemed, sessions of before. Whatever comes of them opens no more than signing in anew would.
//!
//! In this process: a controller and a replica that hear of edits one after the other, the built endpoint, and a
//! provider that answers when it is told to. People keep every cookie that they ever got.

mod cluster;
mod provider;
mod rule;
mod step;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, Response, header};
use prometheus_client::registry::Registry;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};
use tower::ServiceExt;
use vestibule::{
    auth::{Endpoint, Gate, Metrics, Proxies, Verify},
    clock::Clock,
    policy::{Identity, Moment},
    provider::{Metrics as ProviderMetrics, Providers},
    published::KeyRing,
    session::{self, Keys},
};

use self::{
    cluster::Cluster,
    provider::Provider,
    rule::Session,
    step::{Corp, Person, Policy, Step, step},
};
use super::told;

const HOST: &str = "wiki.corp.test";
const AUTH_HOST: &str = "auth.corp.test";
const NOW: Moment = Moment(1_800_000_000);
const DAY: u64 = 86_400;

/// What the endpoint Ingress says of sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Note {
    All,
    None,
    After(Moment),
}

/// All that is true at a moment, and all that was ever given.
struct Story<'p> {
    provider: &'p Provider,
    clock: Clock,
    cluster: Cluster,
    verify: Verify,
    router: Router,
    keys: Arc<ArcSwap<Option<Keys>>>,
    policy: Policy,
    corp: Corp,
    is_shared: bool,
    is_auth_host_shared: bool,
    note: Note,
    generation: u32,
    has_auth_host: bool,
    jars: BTreeMap<(String, &'static str), BTreeMap<String, String>>,
    tabs: Vec<Tab>,
    callbacks: Vec<Callback>,
    tickets: Vec<(Person, String)>,
    sessions: Vec<Session>,
    /// Counts codes, so that no two stories share one.
    number: &'p mut usize,
    tally: &'p mut Tally,
}

/// Somebody who is at the provider.
#[derive(Clone)]
struct Tab {
    person: Person,
    host: &'static str,
    state: String,
    nonce: String,
}

struct Callback {
    person: Person,
    host: &'static str,
    code: String,
    answer: JoinHandle<Response<Body>>,
}

/// What the stories came to.
#[derive(Default)]
struct Tally {
    stories: usize,
    sessions: usize,
    passed: usize,
    refused: usize,
}

#[test]
fn nothing_that_was_under_way_opens_more_than_signing_in_anew_would() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Clock::manual(NOW);
    let provider = runtime.block_on(Provider::start(clock.clone())).unwrap();
    let (mut number, mut tally) = (0, Tally::default());
    let state = std::cell::RefCell::new((&mut number, &mut tally));
    let config = Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    };
    let stories = (any::<bool>(), proptest::collection::vec(step(), 1..40));
    let told = TestRunner::new(config).run(&stories, |(has_auth_host, steps)| {
        let mut state = state.borrow_mut();
        let (number, tally) = &mut *state;
        clock.set(NOW);
        let told = runtime.block_on(async {
            let mut story = Story::begin(&provider, &clock, has_auth_host, number, tally)?;
            for step in steps {
                story.take(step).await?;
                story.hold_all_to_the_rule()?;
            }
            Ok::<_, anyhow::Error>(())
        });
        told.map_err(|broken| TestCaseError::fail(format!("{broken:#}")))
    });
    told.unwrap();
    let Tally {
        stories,
        sessions,
        passed,
        refused,
    } = tally;
    println!("{stories} stories, {sessions} sessions, {passed} checks passed, {refused} did not");
    // Or nothing would have been tried.
    assert!(sessions > 100 && passed > 100 && refused > 100);
    told::cases(
        "nothing_that_was_under_way_opens_more_than_signing_in_anew_would",
        stories,
    );
}

// === impl Story ===

impl<'p> Story<'p> {
    fn begin(
        provider: &'p Provider,
        clock: &Clock,
        has_auth_host: bool,
        number: &'p mut usize,
        tally: &'p mut Tally,
    ) -> Result<Self> {
        tally.stories += 1;
        let cluster = Cluster::new(has_auth_host);
        let keys = Arc::new(ArcSwap::from_pointee(None));
        let mut registry = Registry::default();
        let (observe, _) = mpsc::channel(10);
        let gate = Gate::new(
            Arc::clone(&cluster.installation),
            Arc::clone(&cluster.table),
            Arc::clone(&keys),
            clock.clone(),
            Metrics::register(&mut registry),
        )?;
        let gate = Arc::new(gate);
        let metrics = ProviderMetrics::register(&mut registry);
        let providers = Providers::new(clock.clone(), observe, metrics);
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&gate), providers));
        let mut story = Self {
            provider,
            clock: clock.clone(),
            cluster,
            verify: Verify::new(gate),
            router: endpoint.router(Proxies::AskElsewhere),
            keys,
            policy: Policy::Domain,
            corp: Corp::Usual,
            is_shared: false,
            is_auth_host_shared: false,
            note: Note::All,
            generation: 0,
            has_auth_host,
            jars: BTreeMap::new(),
            tabs: Vec::new(),
            callbacks: Vec::new(),
            tickets: Vec::new(),
            sessions: Vec::new(),
            number,
            tally,
        };
        story.edit_policy(Policy::Domain);
        story.edit_corp(Corp::Usual);
        story.new_keys()?;
        story.catch_up();
        Ok(story)
    }

    async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Policy(policy) => self.edit_policy(policy),
            Step::Corp(corp) => self.edit_corp(corp),
            Step::Share(shares) => {
                self.is_shared = shares;
                let host = shares.then_some(HOST);
                self.cluster.ingress("evil", "wiki", host, &json!({}));
            }
            Step::ShareAuthHost(shares) => {
                self.is_auth_host_shared = shares && self.has_auth_host;
                let host = shares.then_some(AUTH_HOST);
                self.cluster.ingress("evil", "auth", host, &json!({}));
            }
            Step::ControllerCatchesUp => self.catch_up(),
            Step::NewKeys => self.new_keys()?,
            Step::Later(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::SignIn(person) => {
                self.leave(person).await?;
                if let Some(tab) = self.tabs.last().cloned() {
                    self.come_back(tab).await?;
                }
                if let Some(callback) = self.callbacks.pop() {
                    self.answer(callback).await?;
                }
                if let Some(ticket) = self.tickets.last().cloned() {
                    self.finish(ticket).await?;
                }
            }
            Step::Leave(person) => self.leave(person).await?,
            Step::ComeBack(which) if !self.tabs.is_empty() => {
                let tab = which.get(&self.tabs).clone();
                self.come_back(tab).await?;
            }
            Step::Answer(which) if !self.callbacks.is_empty() => {
                let which = which.index(self.callbacks.len());
                let callback = self.callbacks.swap_remove(which);
                self.answer(callback).await?;
            }
            Step::Finish(which) if !self.tickets.is_empty() => {
                let ticket = which.get(&self.tickets).clone();
                self.finish(ticket).await?;
            }
            Step::ComeBack(_) | Step::Answer(_) | Step::Finish(_) => {}
        }
        Ok(())
    }

    fn edit_policy(&mut self, policy: Policy) {
        self.policy = policy;
        let mut spec = json!({
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "wiki"}],
            "identityProviders": ["corp"],
            "allow": [{"emailDomains": ["corp.test"]}],
        });
        match policy {
            Policy::Gone => return self.cluster.policy(None),
            Policy::Domain => {}
            Policy::Group => spec["allow"] = json!([{"groups": ["admins"]}]),
            Policy::Short => spec["session"] = json!({"maxDuration": "10m"}),
            Policy::Ann => spec["allow"] = json!([{"emails": ["ann@corp.test"]}]),
        }
        self.cluster.policy(Some(&spec));
    }

    fn edit_corp(&mut self, corp: Corp) {
        self.corp = corp;
        let mut spec = json!({
            "type": "OIDC", "oidc": {"issuerURL": self.issuer()}, "clientID": "vestibule",
        });
        match corp {
            Corp::Gone => return self.cluster.provider(None),
            Corp::Usual | Corp::Moved => {}
            Corp::Trusted => spec["emailVerification"] = json!("Trusted"),
            Corp::Roles => spec["claims"] = json!({"groups": "roles"}),
            Corp::Elsewhere => spec["emailDomains"] = json!(["partner.test"]),
            Corp::Brief => spec["maxSession"] = json!("5m"),
            Corp::NotForDocs => spec["allowedNamespaces"] = json!({"names": ["other"]}),
        }
        self.cluster.provider(Some(&spec));
    }

    fn issuer(&self) -> String {
        let name = if self.corp == Corp::Moved {
            "two"
        } else {
            "one"
        };
        self.provider.issuer(name)
    }

    /// The old key is retired at once.
    fn new_keys(&mut self) -> Result<()> {
        self.generation += 1;
        let key = STANDARD.encode([u8::try_from(self.generation)?; 32]);
        let id = self.generation;
        let ring = json!({"version": 1, "keys": [{"id": id, "sealFrom": 0, "key": key}]});
        let ring = KeyRing::parse(ring.to_string().as_bytes())?;
        self.keys.store(Arc::new(Some(Keys::new(Arc::new(ring)))));
        Ok(())
    }

    fn catch_up(&mut self) {
        let now = self.clock.now();
        self.note = match self.note {
            _ if self.is_shared => Note::None,
            Note::None => Note::After(now),
            note => note,
        };
        self.cluster.controller_catches_up(now);
    }

    async fn leave(&mut self, person: Person) -> Result<()> {
        let start = "/oauth2/start/docs/wiki?m=GET&rd=%2Fx";
        let mut host = HOST;
        let mut answer = self.get(person, host, start).await?;
        self.take_in(person, host, &answer)?;
        if let Some(there) = leads_to(&answer, AUTH_HOST) {
            host = AUTH_HOST;
            answer = self.get(person, host, &there).await?;
            self.take_in(person, host, &answer)?;
        }
        let location = location(&answer);
        if let Some(query) = location.split_once("/auth?").map(|(_, query)| query) {
            let parameters: BTreeMap<_, _> =
                url::form_urlencoded::parse(query.as_bytes()).collect();
            let parameter = |name| {
                let found = parameters.get(name).with_context(|| format!("no {name}"));
                found.map(|value| value.to_string())
            };
            self.tabs.push(Tab {
                person,
                host,
                state: parameter("state")?,
                nonce: parameter("nonce")?,
            });
        }
        Ok(())
    }

    /// The token request hangs from here on, if there is one.
    async fn come_back(&mut self, tab: Tab) -> Result<()> {
        *self.number += 1;
        let code = format!("code-{}", self.number);
        self.provider.expects(&code, tab.person.claims(&tab.nonce));
        let target = format!("/oauth2/callback/corp?code={code}&state={}", tab.state);
        let request = self.request(tab.person, tab.host, &target)?;
        let router = self.router.clone();
        let mut answer = tokio::spawn(async move { router.oneshot(request).await.unwrap() });
        tokio::select! {
            arrived = self.provider.arrival(&code) => {
                arrived?;
                self.callbacks.push(Callback { person: tab.person, host: tab.host, code, answer });
            }
            refused = &mut answer => self.take_in(tab.person, tab.host, &refused?)?,
        }
        Ok(())
    }

    async fn answer(&mut self, callback: Callback) -> Result<()> {
        self.provider.release(&callback.code)?;
        let answer = callback.answer.await?;
        self.take_in(callback.person, callback.host, &answer)
    }

    async fn finish(&mut self, (person, ticket): (Person, String)) -> Result<()> {
        let answer = self.get(person, HOST, &ticket).await?;
        self.take_in(person, HOST, &answer)
    }

    fn request(&self, person: Person, host: &'static str, target: &str) -> Result<Request<Body>> {
        let jar = self.jars.get(&(format!("{person:?}"), host));
        let pairs = jar.into_iter().flatten();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::builder()
            .uri(target)
            .header(header::HOST, host)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header(header::COOKIE, pairs.join("; "));
        Ok(request.body(Body::empty())?)
    }

    async fn get(
        &self,
        person: Person,
        host: &'static str,
        target: &str,
    ) -> Result<Response<Body>> {
        let request = self.request(person, host, target)?;
        Ok(self.router.clone().oneshot(request).await?)
    }

    /// Keeps what an answer gives. Nobody obeys when a cookie is to be forgotten.
    fn take_in(
        &mut self,
        person: Person,
        host: &'static str,
        answer: &Response<Body>,
    ) -> Result<()> {
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie")?;
            if value.is_empty() {
                continue;
            }
            let jar = self.jars.entry((format!("{person:?}"), host)).or_default();
            jar.insert(name.to_owned(), value.to_owned());
            if name == "__Host-vestibule" {
                let is_shared = match host {
                    HOST => self.is_shared,
                    _ => self.is_auth_host_shared,
                };
                ensure!(
                    !is_shared,
                    "{person:?} got a session of {host}, which others share"
                );
                self.tally.sessions += 1;
                if host == HOST {
                    self.keep(person, value)?;
                }
            }
        }
        if let Some(ticket) = leads_to(answer, HOST).filter(|_| host == AUTH_HOST) {
            ensure!(!self.is_shared, "a ticket for a host that others share");
            ensure!(
                !self.is_auth_host_shared,
                "a ticket of an auth host that others share"
            );
            self.tickets.push((person, ticket));
        }
        Ok(())
    }

    fn keep(&mut self, person: Person, value: &str) -> Result<()> {
        // With the key of its time: the octets behind the version name it.
        let generation = (1..=self.generation).rev().find_map(|generation| {
            let key = u8::try_from(generation).ok()?;
            let keys = Keys::new(Arc::new(KeyRing::first(generation, [key; 32])));
            let purpose = session::Purpose::Session;
            let plain = keys.open(purpose, HOST, value.as_bytes(), self.clock.now())?;
            let who: Identity<'_> = postcard::from_bytes(&plain).ok()?;
            Some((generation, who.into_static()))
        });
        let (generation, who) = generation.context("a session that no key opens")?;
        self.sessions.push(Session {
            cookie: format!("__Host-vestibule={value}"),
            who,
            person,
            generation,
        });
        Ok(())
    }
}

fn location(answer: &Response<Body>) -> &str {
    let location = answer.headers().get(header::LOCATION);
    location.map_or("", |value| value.to_str().unwrap_or_default())
}

/// The target on this host to which an answer leads.
fn leads_to(answer: &Response<Body>, host: &str) -> Option<String> {
    let origin = format!("https://{host}");
    location(answer).strip_prefix(&origin).map(str::to_owned)
}
