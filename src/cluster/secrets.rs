//! The controller's view of client secrets: whether they are there, and nothing else. It may `get` Secrets of
//! its own namespace by name, and neither list nor watch them, so it asks again now and then.

use std::{collections::BTreeSet, collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{metrics::Kind, projections::Seen, watch::Told};
use crate::{
    published::Secret,
    resolve::{Change, SecretValues},
};

/// Between two looks at a Secret that is there.
const FOUND: Duration = Duration::from_secs(30);
/// Between two looks at one that is missing: somebody is probably making it.
const MISSING: Duration = Duration::from_secs(3);

/// Looks after the Secrets with these names, until nobody wants to know.
pub(super) async fn poll(
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
