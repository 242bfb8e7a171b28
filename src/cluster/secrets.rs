//! The controller's view of client secrets: whether they are there, and nothing else. It may `get` Secrets of
//! its own namespace by name, and neither list nor watch them, so it asks again now and then.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{metrics::Kind, projections::Seen, watch::Told};
use crate::{
    published::Secret,
    resolve::{Change, SecretValues},
};

/// Between two looks at a Secret that is there.
const FOUND: Duration = Duration::from_secs(30);
/// Between two looks at one that is missing: somebody is probably making it.
const MISSING: Duration = Duration::from_secs(3);

/// How long a provider may wait for the news of its Secret before it is judged without.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which Secrets are asked about, and which have been answered for.
pub(super) struct SecretsInUse {
    names: watch::Sender<BTreeSet<Arc<str>>>,
    answered: HashSet<Arc<str>>,
    waiting_since: Option<Instant>,
}

/// Starts to look after Secrets of a namespace; which they are is said later.
pub(super) fn look_after(
    client: Client,
    namespace: Arc<str>,
    into: mpsc::Sender<Told<Seen>>,
    stop: &CancellationToken,
) -> SecretsInUse {
    let (names, asked) = watch::channel(BTreeSet::new());
    let poll = poll(client, namespace, asked, into);
    tokio::spawn(stop.clone().run_until_cancelled_owned(poll));
    SecretsInUse {
        names,
        answered: HashSet::new(),
        waiting_since: None,
    }
}

// === impl SecretsInUse ===

impl SecretsInUse {
    /// It is known whether this one is there.
    pub(super) fn answered(&mut self, name: &Arc<str>) {
        self.answered.insert(Arc::clone(name));
    }

    /// Asks about these from now on. Whether all of them have been answered for, or have been waited for long enough.
    pub(super) fn are_known(&mut self, in_use: BTreeSet<Arc<str>>) -> bool {
        let all_answered = in_use.iter().all(|name| self.answered.contains(name));
        self.answered.retain(|name| in_use.contains(name));
        self.names.send_if_modified(|asked| {
            let is_news = *asked != in_use;
            *asked = in_use;
            is_news
        });
        if all_answered {
            self.waiting_since = None;
            return true;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        since.elapsed() >= PATIENCE
    }

    /// Until when one is waited for, if any is.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.waiting_since?.checked_add(PATIENCE)
    }
}

/// Looks after the Secrets with these names, until nobody wants to know.
async fn poll(
    client: Client,
    namespace: Arc<str>,
    mut names: watch::Receiver<BTreeSet<Arc<str>>>,
    into: mpsc::Sender<Told<Seen>>,
) {
    let secrets: Api<v1::Secret> = Api::namespaced(client, &namespace);
    let mut due: HashMap<Arc<str>, Instant> = HashMap::new();
    loop {
        let wanted = names.borrow_and_update().clone();
        due.retain(|name, _| wanted.contains(name));
        let now = Instant::now();
        for name in wanted {
            if due.get(&name).is_some_and(|due| *due > now) {
                continue;
            }
            let pause = match secrets.get_opt(&name).await {
                Ok(found) => {
                    let pause = if found.is_some() { FOUND } else { MISSING };
                    let change = Change::Secret(Arc::clone(&name), found.map(|s| presence(&s)));
                    if into
                        .send(Told::Change(Kind::Secret, change.into()))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    pause
                }
                Err(error) => {
                    tracing::warn!(secret = &*name, %error, "a client secret's Secret could not be read; asking again");
                    MISSING
                }
            };
            due.insert(name, now.checked_add(pause).unwrap_or(now));
        }
        let next = due.values().min().copied();
        tokio::select! {
            changed = names.changed() => if changed.is_err() { return },
            () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
        }
    }
}

/// Its keys, and of each value only whether there is one: the controller has no use for a client secret.
fn presence(secret: &v1::Secret) -> SecretValues {
    let data = secret.data.iter().flatten();
    let mark = |bytes: &[u8]| {
        if bytes.is_empty() {
            &b""[..]
        } else {
            b"present"
        }
    };
    data.map(|(key, value)| (key.as_str().into(), Secret::new(mark(&value.0))))
        .collect()
}
