//! One watch: objects in, changes out. What an object means is the caller's business; here is what a watch
//! must do in all cases: survive malformed objects, drop what nobody needs before the next object is read,
//! and say what is left after the connection was down. No watch remembers what it has told: the World does.

use std::{collections::HashSet, fmt::Debug, pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use kube_runtime::{
    WatchStreamExt,
    watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::sleep};

use super::{
    metrics::{Kind, Metrics, OfKind},
    paced::paced,
};
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

/// How often a watch may begin and how often it is looked whether the API server has gone back.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// From the beginning of a watch to that of the next.
    pub begins: Duration,
    /// Between two looks.
    pub looks: Duration,
}

/// Gentle on the API server, and soon enough for people.
pub(super) const PACE: Pace = Pace {
    begins: Duration::from_secs(1),
    looks: Duration::from_secs(60),
};

/// Follows all objects of an API until the receiver is gone. `api`: with a client that is made here.
pub(super) async fn follow<K, C>(
    client: Client,
    api: impl FnOnce(Client) -> Api<DeserializeGuard<K>>,
    pace: Pace,
    kind: Kind,
    metrics: Metrics,
    projection: impl Projection<K, C>,
    into: mpsc::Sender<Told<C>>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    C: Send,
{
    let api = api(paced(client, pace.begins));
    let mut is_first_list = true;
    loop {
        let stream = watcher::watcher(api.clone(), watcher::Config::default().page_size(PAGE));
        // The pauses between attempts follow kube's default: 0.8 s to 30 s, doubling, with jitter.
        let stream = stream.default_backoff();
        let told = tell_all(
            stream,
            &mut is_first_list,
            kind,
            &metrics,
            &projection,
            &into,
        );
        tokio::select! {
            end = told => match end {
                End::NobodyListens => return,
                End::TooOld => sleep(pace.begins).await,
            },
            () = goes_back(&api, pace.looks) => tracing::warn!(
                ?kind,
                "the API server has gone back to an earlier state, as after etcd was restored from a backup; everything is listed anew"
            ),
        }
    }
}

/// Why a stream of events is of no use any more.
#[derive(Debug, PartialEq, Eq)]
enum End {
    NobodyListens,
    /// The API server does not remember what came after the last event (410), and says so before the watch begins: kube's
    /// watcher would ask for the same for ever.
    TooOld,
}

/// Ends when the API server knows less than it did. A watch from what was newer hears nothing until as much has happened
/// once more, and the policy of then would stay in force.
async fn goes_back<K>(api: &Api<DeserializeGuard<K>>, pause: Duration)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut newest = 0;
    loop {
        let found = api.list(&ListParams::default().limit(1)).await;
        let version = found.ok().and_then(|list| list.metadata.resource_version);
        if let Some(version) = version.and_then(|version| version.parse::<u64>().ok()) {
            if version < newest {
                return;
            }
            newest = version;
        }
        sleep(pause).await;
    }
}

async fn tell_all<K, C>(
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>,
    // A list that breaks off may have told of objects that the next one does not have any more.
    is_first_list: &mut bool,
    kind: Kind,
    metrics: &Metrics,
    projection: &impl Projection<K, C>,
    into: &mpsc::Sender<Told<C>>,
) -> End
where
    K: Resource<DynamicType = ()>,
{
    let mut events = pin!(events);
    let mut seen: Option<HashSet<Key>> = None;
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(Event::Init) => {
                seen = (!std::mem::take(is_first_list)).then(HashSet::new);
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
                if is_too_old(&error) {
                    return End::TooOld;
                }
                continue;
            }
        };
        if let Some(told) = told
            && into.send(told).await.is_err()
        {
            break;
        }
    }
    End::NobodyListens
}

fn is_too_old(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
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
mod tests;
