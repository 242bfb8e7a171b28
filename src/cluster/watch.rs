//! One watch: objects in, changes out. What an object means is the caller's business; here is what a watch
//! must do in all cases: survive malformed objects, drop what nobody needs before the next object is read,
//! and notice what vanished while the connection was down.

use std::{collections::HashSet, fmt::Debug, pin::pin};

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use kube_runtime::{
    WatchStreamExt,
    watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::metrics::{Kind, Metrics, OfKind};

/// Where an object lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Its namespace; empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told<C> {
    /// Something changed, or is seen for the first time.
    Change(Kind, C),
    /// Everything of this kind that was there has been told once.
    Listed(Kind),
}

/// How objects of a kind become changes.
pub(super) trait Projection<K, C>: Send {
    /// The object is there; `Err` if it could not be read.
    fn is(&self, place: &Place, object: Result<K, InvalidObject>) -> Option<C>;
    /// There is no such object any more.
    fn is_gone(&self, place: &Place) -> C;
}

/// As many objects are asked for at once. With everything that others write on them they take ten times the room of what
/// is kept, and what they leave between it when they go is not all used again.
const PAGE: u32 = 100;

/// Follows all objects of an API until the receiver is gone.
pub(super) async fn follow<K, C>(
    api: Api<DeserializeGuard<K>>,
    kind: Kind,
    metrics: Metrics,
    projection: impl Projection<K, C>,
    into: mpsc::Sender<Told<C>>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    C: Send,
{
    let stream = watcher::watcher(api, watcher::Config::default().page_size(PAGE));
    // The pauses between attempts follow kube's default: 0.8 s to 30 s, doubling, with jitter.
    tell_all(stream.default_backoff(), kind, &metrics, projection, &into).await;
}

async fn tell_all<K, C>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    kind: Kind,
    metrics: &Metrics,
    projection: impl Projection<K, C>,
    into: &mpsc::Sender<Told<C>>,
) where
    K: Resource<DynamicType = ()>,
{
    let mut events = pin!(events);
    let mut known: HashSet<Place> = HashSet::new();
    let mut unseen: HashSet<Place> = HashSet::new();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(Event::Init) => {
                unseen.clone_from(&known);
                continue;
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                let place = Place::of(&object);
                unseen.remove(&place);
                let change = projection.is(&place, object.0);
                known.insert(place);
                change.map(|change| Told::Change(kind, change))
            }
            Ok(Event::Delete(object)) => {
                let place = Place::of(&object);
                known.remove(&place);
                Some(Told::Change(kind, projection.is_gone(&place)))
            }
            Ok(Event::InitDone) => {
                for place in unseen.drain() {
                    known.remove(&place);
                    let gone = Told::Change(kind, projection.is_gone(&place));
                    if into.send(gone).await.is_err() {
                        return;
                    }
                }
                Some(Told::Listed(kind))
            }
            Err(error) => {
                metrics.watch_failures.get_or_create(&OfKind { kind }).inc();
                tracing::warn!(?kind, %error, "a watch broke; it is taken up again{}", hint(&error));
                continue;
            }
        };
        if let Some(told) = told
            && into.send(told).await.is_err()
        {
            return;
        }
    }
}

/// What to do about the two causes that waiting does not mend.
fn hint(error: &watcher::Error) -> &'static str {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return "";
    };
    if status.is_not_found() {
        ". The API server does not know this kind: install Vestibule's CRDs (vestibule crd | kubectl apply -f -)"
    } else if status.is_forbidden() {
        ". This service account lacks the right: see the chart's ClusterRoles"
    } else {
        ""
    }
}

// === impl Place ===

impl Place {
    /// The place of an object.
    pub(super) fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    struct Names;

    impl Projection<ConfigMap, String> for Names {
        fn is(&self, place: &Place, object: Result<ConfigMap, InvalidObject>) -> Option<String> {
            let state = if object.is_ok() { "is" } else { "malformed" };
            Some(format!("{} {state}", place.name))
        }

        fn is_gone(&self, place: &Place) -> String {
            format!("{} gone", place.name)
        }
    }

    fn object(name: &str, data: &serde_json::Value) -> DeserializeGuard<ConfigMap> {
        let text = json!({"metadata": {"name": name, "namespace": "team"}, "data": data});
        serde_json::from_value(text).unwrap()
    }

    #[tokio::test]
    async fn a_list_after_an_outage_tells_what_vanished_and_a_malformed_object_stops_nothing() {
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
        tell_all(events, Kind::Secret, &Metrics::default(), Names, &into).await;
        drop(into);
        let mut said = Vec::new();
        while let Some(told) = told.recv().await {
            said.push(match told {
                Told::Change(_, change) => change,
                Told::Listed(_) => "listed".into(),
            });
        }
        assert_eq!(
            said,
            [
                "a is",
                "b malformed",
                "listed",
                "b is",
                "c is",
                "a gone",
                "listed",
                "c gone"
            ]
        );
    }
}
