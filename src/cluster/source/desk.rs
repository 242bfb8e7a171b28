//! What only a controller has: the Lease's word, the writer, the Secrets it asks about, and a way to tell owners.

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::super::{
    apply::{OTHERS_TURN, Writer, Written},
    events::{EventType, Notice, Reporter},
    secrets::SecretsInUse,
};
use crate::{
    resolve::{Problem, World},
    resource::{GROUP, ObjectRef, Reason, VERSION},
};

pub(super) struct Desk {
    leads: watch::Receiver<bool>,
    pub(super) writer: Writer,
    pub(super) secrets: SecretsInUse,
    notices: mpsc::Sender<Notice>,
    /// Problems that solve themselves if another installation serves the class; until when they wait for that.
    held: Vec<(Instant, Problem)>,
}

/// What the writer or the Lease has to say.
pub(super) enum News {
    Written(Box<Written>),
    /// The Lease came, or went.
    Hands,
}

/// A new leader has the problems of the whole cluster to tell.
const EVENTS_IN_WAITING: usize = 16 * 1024;

/// The next news; never any where there is no desk.
pub(super) async fn news(desk: Option<&mut Desk>) -> News {
    let Some(desk) = desk else {
        return std::future::pending().await;
    };
    tokio::select! {
        written = desk.writer.ended() => News::Written(Box::new(written)),
        Ok(()) = desk.leads.changed() => News::Hands,
    }
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(
        mut leads: watch::Receiver<bool>,
        writer: Writer,
        secrets: SecretsInUse,
        reporter: Reporter,
        stop: &CancellationToken,
    ) -> Self {
        // Whoever leads already must be noticed too.
        leads.mark_changed();
        let (notices, told) = mpsc::channel(EVENTS_IN_WAITING);
        tokio::spawn(stop.clone().run_until_cancelled_owned(tell(reporter, told)));
        Self {
            leads,
            writer,
            secrets,
            notices,
            held: Vec::new(),
        }
    }

    /// Whether to wait before this is told: another installation may serve that class.
    pub(super) fn hold(&mut self, problem: &Problem) -> bool {
        if problem.reason != Reason::UnsupportedIngressClass {
            return false;
        }
        let is_held = self.held.iter().any(|(_, held)| held == problem);
        if !is_held && let Some(due) = Instant::now().checked_add(OTHERS_TURN) {
            self.held.push((due, problem.clone()));
        }
        true
    }

    /// The problems that have waited long enough.
    pub(super) fn held_until(&mut self, now: Instant) -> Vec<Problem> {
        let due = self.held.extract_if(.., |(due, _)| *due <= now);
        due.map(|(_, problem)| problem).collect()
    }

    /// When the first of them has.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.iter().map(|(due, _)| *due).min()
    }

    pub(super) fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Whether this replica leads from now on.
    pub(super) fn change_hands(&mut self) -> bool {
        self.writer.stand_down();
        self.held.clear();
        *self.leads.borrow_and_update()
    }

    /// Tells the owner of an object what is wrong with it.
    pub(super) fn tell(&self, problem: &Problem, world: &World) {
        let reason = problem.reason.as_str();
        self.notify(
            &problem.object,
            world,
            EventType::Warning,
            reason,
            &problem.message,
        );
    }

    pub(super) fn notify(
        &self,
        object: &ObjectRef,
        world: &World,
        kind: EventType,
        reason: &str,
        note: &str,
    ) {
        let Some(regarding) = reference(object, world) else {
            return;
        };
        let notice = Notice {
            regarding,
            kind,
            reason: reason.into(),
            note: note.into(),
        };
        if self.notices.try_send(notice).is_err() {
            tracing::warn!(%object, reason, "too many Events at once; this one is dropped");
        }
    }
}

async fn tell(mut reporter: Reporter, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        reporter.tell(&notice).await;
    }
}

/// The object with its uid; `None` if it is gone, and with it whoever would read the Event.
fn reference(object: &ObjectRef, world: &World) -> Option<ObjectReference> {
    let ours = || format!("{GROUP}/{VERSION}");
    let (api_version, uid) = match object {
        ObjectRef::Ingress(key) => ("networking.k8s.io/v1".to_owned(), &world.ingress(key)?.uid),
        ObjectRef::ProtectedService(key) => (ours(), &world.service(key)?.uid),
        ObjectRef::IdentityProvider(name) => (ours(), &world.provider(name)?.uid),
    };
    Some(ObjectReference {
        api_version: Some(api_version),
        kind: Some(object.kind().to_owned()),
        namespace: object.namespace().map(ToOwned::to_owned),
        name: Some(object.name().to_owned()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    })
}
