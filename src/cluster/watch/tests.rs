//! Streams of events and API servers that do what real ones do at their worst.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

struct Names;

impl Projection<ConfigMap, String> for Names {
    fn is(&self, key: &Key, object: Result<ConfigMap, InvalidObject>) -> Option<String> {
        let state = object.map(|object| {
            let version = object.data.and_then(|data| data.get("version").cloned());
            version.map_or("is".to_owned(), |version| format!("is {version}"))
        });
        Some(format!(
            "{} {}",
            key.name,
            state.unwrap_or("malformed".to_owned())
        ))
    }

    fn is_gone(&self, key: &Key) -> String {
        format!("{} gone", key.name)
    }
}

fn object(name: &str, data: &serde_json::Value) -> DeserializeGuard<ConfigMap> {
    let text = json!({"metadata": {"name": name, "namespace": "team"}, "data": data});
    serde_json::from_value(text).unwrap()
}

#[tokio::test]
async fn a_list_after_an_outage_tells_what_is_left_and_a_malformed_object_stops_nothing() {
    let good = json!({"k": "v"});
    let bad = json!("not a map");
    let events = stream::iter([
        Ok(Event::Init),
        Ok(Event::InitApply(object("a", &good))),
        Ok(Event::InitApply(object("b", &bad))),
        Ok(Event::InitDone),
        Err(watcher::Error::NoResourceVersion),
        Ok(Event::Init),
        Ok(Event::InitApply(object("b", &good))),
        Ok(Event::InitApply(object("c", &good))),
        Ok(Event::InitDone),
        Ok(Event::Delete(object("c", &good))),
    ]);
    let (into, mut told) = mpsc::channel(64);
    let metrics = Metrics::default();
    tell_all(events, &mut true, Kind::Secret, &metrics, &Names, &into).await;
    drop(into);
    let mut said = Vec::new();
    while let Some(told) = told.recv().await {
        said.push(in_words(told));
    }
    assert_eq!(
        said,
        [
            "a is",
            "b malformed",
            "listed",
            "b is",
            "c is",
            "listed again: b c",
            "c gone"
        ]
    );
}

fn in_words(told: Told<String>) -> String {
    match told {
        Told::Change(_, change) => change,
        Told::Listed(_) => "listed".into(),
        Told::ListedAgain(_, seen) => {
            let mut names: Vec<_> = seen.iter().map(|key| &*key.name).collect();
            names.sort_unstable();
            format!("listed again: {}", names.join(" "))
        }
    }
}

/// What a made-up API server answers to a request for ConfigMaps.
enum Answer {
    Json(u16, Value),
    /// A watch with these events, which ends then or goes on in silence.
    Events(Vec<Value>, Then),
}

enum Then {
    Ends,
    GoesOn,
}

type Answers = dyn Fn(usize, &str) -> Answer + Send + Sync;

/// An API server that answers as a test says, by how many requests of the same sort there were before. A real one cannot
/// be brought to do any of this.
struct ApiServer {
    answers: Box<Answers>,
    asked: Mutex<HashMap<&'static str, usize>>,
}

const LIST: &str = "list";
const WATCH: &str = "watch";
const LOOK: &str = "look";

impl ApiServer {
    fn new(answers: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answers: Box::new(answers),
            asked: Mutex::default(),
        })
    }

    fn asked(&self, sort: &'static str) -> usize {
        self.asked.lock().unwrap().get(sort).copied().unwrap_or(0)
    }

    fn answer(&self, request: &Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let query = request.uri().query().unwrap_or_default();
        let sort = if query.contains("watch=true") {
            WATCH
        } else if query.split('&').any(|parameter| parameter == "limit=1") {
            LOOK
        } else {
            LIST
        };
        let before = {
            let mut asked = self.asked.lock().unwrap();
            let before = asked.entry(sort).or_default();
            *before += 1;
            *before - 1
        };
        match (self.answers)(before, sort) {
            Answer::Json(status, value) => {
                let body = Full::from(value.to_string()).boxed_unsync();
                Response::builder().status(status).body(body).unwrap()
            }
            Answer::Events(events, then) => {
                let lines = events.into_iter().map(|event| format!("{event}\n"));
                let lines: Vec<_> = lines
                    .map(|line| Ok::<_, Infallible>(Frame::data(line.into())))
                    .collect();
                let rest = match then {
                    Then::Ends => stream::empty().boxed(),
                    Then::GoesOn => stream::pending().boxed(),
                };
                let body = StreamBody::new(stream::iter(lines).chain(rest));
                Response::new(body.boxed_unsync())
            }
        }
    }

    /// What a watch of it tells, until something that ends so, with `looks` between two looks.
    async fn tells_until(self: &Arc<Self>, last: &str, pace: Pace) -> Vec<String> {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request| {
            let answer = server.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let client = Client::new(service, "team");
        let (into, mut told) = mpsc::channel(64);
        let followed = follow(
            client,
            |client| Api::namespaced(client, "team"),
            pace,
            Kind::Secret,
            Metrics::default(),
            Names,
            into,
        );
        let followed = tokio::spawn(followed);
        let mut said: Vec<String> = Vec::new();
        while said.last().is_none_or(|one| one != last) {
            let next = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
            let next = next.unwrap_or_else(|_| panic!("only {said:?} was told"));
            said.push(in_words(next.unwrap()));
        }
        followed.abort();
        said
    }
}

fn list(version: u64, objects: &[(&str, &str)], more: &str) -> Value {
    let items = objects.iter().map(|(name, version)| item(name, version));
    json!({
        "apiVersion": "v1", "kind": "ConfigMapList",
        "metadata": {"resourceVersion": version.to_string(), "continue": more},
        "items": items.collect::<Vec<_>>(),
    })
}

fn item(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "team", "resourceVersion": version, "uid": version},
        "data": {"version": version},
    })
}

fn status(code: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": "Expired", "message": "too old resource version",
    })
}

const QUICK: Pace = Pace {
    begins: Duration::from_millis(10),
    looks: Duration::from_millis(20),
};

/// kube takes a watch that ended in order up again at once.
#[tokio::test]
async fn watches_that_end_at_once_are_begun_so_often_and_no_more() {
    let server = ApiServer::new(|_, sort| match sort {
        WATCH => Answer::Events(vec![], Then::Ends),
        _ => Answer::Json(200, list(7, &[("a", "7")], "")),
    });
    let pace = Pace {
        begins: Duration::from_millis(100),
        looks: Duration::from_secs(60),
    };
    let begun = Instant::now();
    let told = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.tells_until("never", pace).await }
    });
    while server.asked(WATCH) < 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    told.abort();
    let took = begun.elapsed();
    assert!(took >= 5 * pace.begins, "six watches in {took:?}");
    assert_eq!(server.asked(LIST), 1, "nothing has to be listed again");
}

/// As `Expired` with status 410 instead of an event.
#[tokio::test]
async fn a_watch_that_cannot_begin_where_it_ended_leads_to_a_new_list() {
    let server = ApiServer::new(|before, sort| match (sort, before) {
        (WATCH, 0) => Answer::Json(410, status(410)),
        (WATCH, _) => Answer::Events(vec![], Then::GoesOn),
        (_, 0) => Answer::Json(200, list(7, &[("a", "7")], "")),
        _ => Answer::Json(200, list(900, &[("b", "900")], "")),
    });
    assert_eq!(
        server.tells_until("listed again: b", QUICK).await,
        ["a is 7", "listed", "b is 900", "listed again: b"]
    );
}

/// etcd was restored from a backup: what the watch waits for may not come for days.
#[tokio::test]
async fn an_api_server_that_goes_back_to_an_earlier_state_is_believed() {
    let server = ApiServer::new(|before, sort| match (sort, before) {
        (WATCH, _) => Answer::Events(vec![], Then::GoesOn),
        (LOOK, 0..3) => Answer::Json(200, list(900, &[("a", "900")], "")),
        (LIST, 0) => Answer::Json(200, list(900, &[("a", "900"), ("c", "880")], "")),
        _ => Answer::Json(200, list(40, &[("a", "33"), ("b", "12")], "")),
    });
    assert_eq!(
        server.tells_until("listed again: a b", QUICK).await,
        [
            "a is 900",
            "c is 880",
            "listed",
            "a is 33",
            "b is 12",
            "listed again: a b"
        ]
    );
}

/// An object may have gone, and another have come under its name, while nobody watched.
#[tokio::test]
async fn a_list_that_breaks_off_on_its_second_page_leaves_nothing_of_the_first_behind() {
    let server = ApiServer::new(|before, sort| match (sort, before) {
        (WATCH, _) => Answer::Events(vec![], Then::GoesOn),
        (LIST, 0) => Answer::Json(200, list(7, &[("a", "5"), ("b", "6")], "page-2")),
        (LIST, 1) => Answer::Json(410, status(410)),
        _ => Answer::Json(200, list(9, &[("b", "9")], "")),
    });
    assert_eq!(
        server.tells_until("listed again: b", QUICK).await,
        ["a is 5", "b is 6", "b is 9", "listed again: b"]
    );
}

#[tokio::test]
async fn what_a_watch_says_no_more_is_told_by_the_list_after_it() {
    let events = || {
        let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
        vec![
            event("MODIFIED", item("a", "12")),
            event("DELETED", item("b", "13")),
            event("ADDED", item("b", "14")),
            event("ERROR", status(410)),
        ]
    };
    let server = ApiServer::new(move |before, sort| match (sort, before) {
        (WATCH, 0) => Answer::Events(events(), Then::Ends),
        (WATCH, _) => Answer::Events(vec![], Then::GoesOn),
        (LIST, 0) => Answer::Json(200, list(7, &[("a", "5"), ("b", "6")], "")),
        // An API server that lags: older than what was seen, and it is what holds there.
        _ => Answer::Json(200, list(20, &[("a", "11")], "")),
    });
    assert_eq!(
        server.tells_until("listed again: a", QUICK).await,
        [
            "a is 5",
            "b is 6",
            "listed",
            "a is 12",
            "b gone",
            "b is 14",
            "a is 11",
            "listed again: a"
        ]
    );
}
