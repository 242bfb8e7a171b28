//! Events (`events.k8s.io/v1`) on the objects that their owners look at: one per change, never one per retry.
//!
//! An Event's name is made of what it says, so a restarted controller or a new leader that sees the same
//! problem again meets its predecessor's Event and stays quiet.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::time::Instant;

use super::write::is_ending;
use crate::clock::Clock;

/// `reportingController` of every Event.
pub(super) const REPORTING_CONTROLLER: &str = "vestibule.dev/controller";

/// `action` of every Event: what the controller was doing.
const ACTION: &str = "Protect";

/// The API server keeps Events for an hour unless told otherwise.
const KEPT: Duration = Duration::from_secs(3600);

/// The API's limit for a note, in bytes.
const NOTE_LIMIT: usize = 1024;

/// Something worth telling an object's owner.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    /// The object whose owner should know; with its uid, since `kubectl describe` looks for that.
    pub(super) regarding: ObjectReference,
    /// Whether something is wrong.
    pub(super) kind: EventType,
    /// CamelCase, as in the condition.
    pub(super) reason: Arc<str>,
    /// A sentence with what happened and what to do next.
    pub(super) note: Arc<str>,
}

/// The `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventType {
    /// Something went as it should.
    Normal,
    /// Something is wrong.
    Warning,
}

/// Writes Events, and remembers what it said.
pub(super) struct Reporter {
    client: Client,
    instance: Arc<str>,
    clock: Clock,
    said: HashMap<String, (i32, Instant)>,
}

// === impl Reporter ===

impl Reporter {
    /// `instance` names this replica.
    #[must_use]
    pub(super) fn new(client: Client, instance: &str, clock: Clock) -> Self {
        Self {
            client,
            instance: cut(instance, 128).into(),
            clock,
            said: HashMap::new(),
        }
    }

    /// Tells it. A failure is logged and nothing else: every Event also stands in a condition.
    pub(super) async fn tell(&mut self, notice: &Notice) {
        if let Err(error) = self.publish(notice).await {
            if matches!(&error, kube::Error::Api(status) if is_ending(status)) {
                return;
            }
            tracing::warn!(
                reason = &*notice.reason,
                namespace = notice.regarding.namespace,
                name = notice.regarding.name,
                %error,
                "an Event could not be written"
            );
        }
    }

    async fn publish(&mut self, notice: &Notice) -> kube::Result<()> {
        let event = self.event(notice);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let name = event.metadata.name.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        self.said.retain(|_, (_, last)| last.elapsed() < KEPT);
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => {
                self.said.insert(name, (1, Instant::now()));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                // Our own earlier Event came back; an earlier replica's is the same news.
                let Some((count, last)) = self.said.get_mut(&name) else {
                    self.said.insert(name, (1, Instant::now()));
                    return Ok(());
                };
                *count = count.saturating_add(1);
                *last = Instant::now();
                let series = serde_json::json!({
                    "series": {"count": *count, "lastObservedTime": event.event_time},
                });
                events
                    .patch(&name, &PatchParams::default(), &Patch::Merge(&series))
                    .await
                    .map(drop)
            }
            Err(error) => Err(error),
        }
    }

    fn event(&self, notice: &Notice) -> Event {
        let regarding = &notice.regarding;
        let now = i64::try_from(self.clock.now().0)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        Event {
            metadata: ObjectMeta {
                // A cluster-scoped object's Events live in `default`, where kubectl looks for them.
                namespace: Some(
                    regarding
                        .namespace
                        .clone()
                        .unwrap_or_else(|| "default".into()),
                ),
                name: Some(event_name(notice)),
                ..ObjectMeta::default()
            },
            event_time: now.map(MicroTime),
            type_: Some(notice.kind.as_str().into()),
            reason: Some(cut(&notice.reason, 128).into()),
            action: Some(ACTION.into()),
            note: Some(cut(&notice.note, NOTE_LIMIT).into()),
            regarding: Some(regarding.clone()),
            reporting_controller: Some(REPORTING_CONTROLLER.into()),
            reporting_instance: Some(self.instance.to_string()),
            ..Event::default()
        }
    }
}

// === impl EventType ===

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// `OBJECT.HASH`, the hash over everything the Event says.
fn event_name(notice: &Notice) -> String {
    let regarding = &notice.regarding;
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [
        regarding.kind.as_deref(),
        regarding.uid.as_deref(),
        regarding.resource_version.as_deref(),
        Some(&*notice.reason),
        Some(&*notice.note),
    ] {
        hash.update(part.unwrap_or_default().as_bytes());
        hash.update(&[0]);
    }
    let digest = hash.finish();
    let hex: String = digest
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let object = regarding.name.as_deref().unwrap_or("object");
    let object = cut(object, 200).trim_end_matches(['.', '-']);
    format!("{object}.{hex}")
}

/// The longest beginning of `text` with at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(note: &str) -> Notice {
        Notice {
            regarding: ObjectReference {
                kind: Some("Ingress".into()),
                namespace: Some("team".into()),
                name: Some(format!("{}-x", "a".repeat(199))),
                uid: Some("1-2-3".into()),
                ..ObjectReference::default()
            },
            kind: EventType::Warning,
            reason: "AnnotationConflict".into(),
            note: note.into(),
        }
    }

    #[test]
    fn the_name_says_what_the_event_says_and_is_a_dns_name() {
        let name = event_name(&notice("a"));
        assert_eq!(name, event_name(&notice("a")));
        assert_ne!(name, event_name(&notice("b")));
        assert!(crate::policy::Host::parse(&name.replace("a".repeat(199).as_str(), "a")).is_some());
        assert!(name.len() < 253);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("aéb", 3), "aé");
        assert_eq!(cut("a", 9), "a");
    }
}
