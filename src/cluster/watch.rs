//! One watch: objects in, changes out. What an object means is the caller's business; here is what a watch
//! must do in all cases: survive malformed objects, drop what nobody needs before the next object is read,
//! and say what is left after the connection was down. No watch remembers what it has told: the World does.

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
use crate::resource::Key;

/// What a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told<C> {
    /// Something changed, or is seen for the first time.
    Change(Kind, C),
    /// Everything of this kind that was there has been told once.
    Listed(Kind),
    /// The same, after an interruption: what is not among these is gone.
    ListedAgain(Kind, HashSet<Key>),
}

/// How objects of a kind become changes. Those of the whole cluster have no namespace in their keys.
pub(super) trait Projection<K, C>: Send {
    /// The object is there; `Err` if it could not be read.
    fn is(&self, key: &Key, object: Result<K, InvalidObject>) -> Option<C>;
    /// There is no such object any more.
    fn is_gone(&self, key: &Key) -> C;
    /// These are there after an interruption, and no others. What follows for the World is its own business.
    fn are_left(&self, _seen: &HashSet<Key>) {}
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
    // A list that breaks off may have told of objects that the next one does not have any more.
    let mut is_first_list = true;
    let mut seen: Option<HashSet<Key>> = None;
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(Event::Init) => {
                seen = (!is_first_list).then(HashSet::new);
                is_first_list = false;
                continue;
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                let key = key_of(&object);
                let change = projection.is(&key, object.0);
                if let Some(seen) = &mut seen {
                    seen.insert(key);
                }
                change.map(|change| Told::Change(kind, change))
            }
            Ok(Event::Delete(object)) => {
                Some(Told::Change(kind, projection.is_gone(&key_of(&object))))
            }
            Ok(Event::InitDone) => Some(match seen.take() {
                None => Told::Listed(kind),
                Some(seen) => {
                    projection.are_left(&seen);
                    Told::ListedAgain(kind, seen)
                }
            }),
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

fn key_of(object: &impl Resource) -> Key {
    let meta = object.meta();
    Key::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    struct Names;

    impl Projection<ConfigMap, String> for Names {
        fn is(&self, key: &Key, object: Result<ConfigMap, InvalidObject>) -> Option<String> {
            let state = if object.is_ok() { "is" } else { "malformed" };
            Some(format!("{} {state}", key.name))
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
        tell_all(events, Kind::Secret, &Metrics::default(), Names, &into).await;
        drop(into);
        let mut said = Vec::new();
        while let Some(told) = told.recv().await {
            said.push(match told {
                Told::Change(_, change) => change,
                Told::Listed(_) => "listed".into(),
                Told::ListedAgain(_, seen) => {
                    let mut names: Vec<_> = seen.iter().map(|key| &*key.name).collect();
                    names.sort_unstable();
                    format!("listed again: {}", names.join(" "))
                }
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
                "listed again: b c",
                "c gone"
            ]
        );
    }
}
