//! The one task that owns the World of a process: takes changes in, has them worked out, publishes the Table,
//! and, while this replica leads, hands plans to the writer and problems to their owners.
//!
//! Nothing follows from half a world: until every kind has been listed once, changes are only taken in.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    apply::{Answered, Writer, Written},
    events::{Notice, Reporter},
    metrics::{HostCounts, Kind, Metrics},
    projections::{Seen, StatusSeen},
    secrets,
    status::Statuses,
    vanished::vanished,
    watch::Told,
    watches,
    write::Pen,
};
use crate::{
    clock::Clock,
    published::{KeyRing, Table},
    resolve::{Change, Problem, Resolution, Settings, Unit},
    resource::{GROUP, ObjectRef, VERSION},
};

/// What a process watches the cluster for.
pub enum Role {
    /// To write, while `leads` says so.
    Controller {
        /// Whether this replica holds the Lease.
        leads: watch::Receiver<bool>,
        /// Its name, for Events.
        identity: Arc<str>,
    },
    /// To answer; it writes nothing.
    Auth {
        /// The Secret with the session keys.
        session_keys: Arc<str>,
    },
}

/// A source that runs.
pub struct Running {
    /// What is served now.
    pub table: Arc<ArcSwap<Table>>,
    /// The session keys, once there were any; the last ones if they vanish. A controller never has any.
    pub key_ring: watch::Receiver<Option<Arc<KeyRing>>>,
    /// Whether every kind has been listed and the first Table stands.
    pub ready: watch::Receiver<bool>,
    /// Ends after `stop`, once no write is under way any more; by itself only if something is broken beyond repair.
    pub task: JoinHandle<()>,
}

/// Changes that are taken in before anything is worked out, at most.
const BATCH: usize = 512;

/// A new leader has the problems of the whole cluster to tell.
const EVENTS_IN_WAITING: usize = 16 * 1024;

/// How often everything that is still to be written is looked at again, although nothing happened.
const RESYNC: Duration = Duration::from_secs(60);

/// How long a provider may wait for the news of its Secret before it is judged without.
const SECRET_PATIENCE: Duration = Duration::from_secs(2);

struct Source {
    resolution: Resolution,
    statuses: Statuses,
    metrics: Metrics,
    host_counts: HostCounts,
    table: Arc<ArcSwap<Table>>,
    /// Kinds that have not been listed yet.
    unlisted: HashSet<Kind>,
    desk: Option<Desk>,
    secrets: SecretsInUse,
}

/// What only a controller has.
struct Desk {
    leads: watch::Receiver<bool>,
    writer: Writer,
    notices: mpsc::Sender<Notice>,
}

/// Why the task goes round.
enum Turn {
    Changes,
    Due,
    Resync,
    Written(Box<Written>),
    Hands,
}

/// Which Secrets are asked about, and which have been answered for.
struct SecretsInUse {
    names: watch::Sender<BTreeSet<Arc<str>>>,
    answered: HashSet<Arc<str>>,
    waiting_since: Option<Instant>,
}

/// Starts watching. The settings must be those of the role.
#[must_use]
pub fn start(
    client: Client,
    settings: Arc<Settings>,
    role: Role,
    metrics: Metrics,
    clock: Clock,
    stop: &CancellationToken,
) -> Running {
    let table = Arc::new(ArcSwap::from_pointee(Table::default()));
    let (key_ring_sender, key_ring) = watch::channel(None);
    let (ready_sender, ready) = watch::channel(false);
    let (names, asked) = watch::channel(BTreeSet::new());
    let (changes, inbox) = mpsc::channel(BATCH);
    let stop = stop.child_token();
    let installation = Arc::clone(&settings.installation);

    let watched = watches::start(
        &client,
        &settings,
        &role,
        key_ring_sender,
        &metrics,
        &changes,
        &stop,
    );
    let desk = match role {
        Role::Auth { .. } => None,
        Role::Controller {
            mut leads,
            identity,
        } => {
            // Whoever leads already must be noticed too.
            leads.mark_changed();
            let poll = secrets::poll(
                client.clone(),
                installation.namespace.clone(),
                asked,
                changes,
            );
            tokio::spawn(stop.clone().run_until_cancelled_owned(poll));
            let (notices, told) = mpsc::channel(EVENTS_IN_WAITING);
            let reporter = Reporter::new(client.clone(), &identity, clock.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(tell(reporter, told)));
            let pen = Pen::new(client, &installation.instance);
            Some(Desk {
                leads,
                writer: Writer::new(installation, pen, metrics.clone(), clock),
                notices,
            })
        }
    };
    let source = Source {
        resolution: Resolution::new(settings),
        statuses: Statuses::default(),
        metrics,
        host_counts: HostCounts::default(),
        table: Arc::clone(&table),
        unlisted: watched,
        desk,
        secrets: SecretsInUse {
            names,
            answered: HashSet::new(),
            waiting_since: None,
        },
    };
    // A thread of its own: a change that concerns thousands of services takes longer than a check may wait. It comes to
    // its end by `stop`.
    let runtime = Handle::current();
    let task = spawn_blocking(move || runtime.block_on(source.run(inbox, ready_sender, stop)));
    Running {
        table,
        key_ring,
        ready,
        task,
    }
}

async fn tell(mut reporter: Reporter, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        reporter.tell(&notice).await;
    }
}

// === impl Source ===

impl Source {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Told<Seen>>,
        ready: watch::Sender<bool>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut resync = interval(RESYNC);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = self.next_wake();
            let next = async {
                tokio::select! {
                    _ = inbox.recv_many(&mut batch, BATCH) => Turn::Changes,
                    turn = next_turn(self.desk.as_mut()) => turn,
                    _ = resync.tick() => Turn::Resync,
                    () = sleep_until(wake) => Turn::Due,
                }
            };
            // The end is looked at first: at the end of the process clocks and channels stand still.
            let Some(turn) = stop.run_until_cancelled(next).await else {
                break;
            };
            match turn {
                Turn::Changes | Turn::Due => {}
                Turn::Resync => self.want_everything(),
                Turn::Written(written) => self.take_in_answer(*written),
                Turn::Hands => self.change_hands(),
            }
            for told in batch.drain(..) {
                self.take_in(told);
            }
            self.take_in_peace();
            if self.may_settle() {
                self.settle();
                ready.send_if_modified(|was| !std::mem::replace(was, true));
            }
            self.start_writes();
        }
        if let Some(desk) = &mut self.desk {
            desk.writer.finish().await;
        }
    }

    fn take_in(&mut self, told: Told<Seen>) {
        match told {
            Told::Listed(kind) => {
                self.unlisted.remove(&kind);
            }
            Told::ListedAgain(kind, there) => {
                for seen in vanished(self.resolution.world(), kind, &there) {
                    self.take_in_seen(seen);
                }
                self.unlisted.remove(&kind);
            }
            Told::Change(_, seen) => self.take_in_seen(seen),
        }
    }

    fn take_in_seen(&mut self, seen: Seen) {
        self.metrics.changes.inc();
        if let Some(status) = seen.status {
            self.take_in_status(status);
        }
        match seen.change {
            Some(Change::Secret(name, values)) => {
                self.secrets.answered.insert(Arc::clone(&name));
                self.resolution.apply(Change::Secret(name, values));
            }
            Some(change) => self.resolution.apply(change),
            None => {}
        }
    }

    /// A status that somebody else changed is written anew.
    fn take_in_status(&mut self, seen: StatusSeen) {
        let (is_news, unit) = match seen {
            StatusSeen::Service(key, status) => (
                self.statuses.saw_service(&key, status),
                Unit::ProtectedService(key),
            ),
            StatusSeen::Provider(name, status) => (
                self.statuses.saw_provider(&name, status),
                Unit::Provider(name),
            ),
        };
        if is_news {
            self.want(&unit);
        }
    }

    /// Whether the world is whole: every kind listed, and every Secret that a provider names asked for.
    fn may_settle(&mut self) -> bool {
        if !self.unlisted.is_empty() {
            return false;
        }
        if self.desk.is_none() {
            return true;
        }
        let in_use: BTreeSet<_> = self.resolution.world().secrets_in_use().cloned().collect();
        let whole = in_use
            .iter()
            .all(|name| self.secrets.answered.contains(name));
        self.secrets.answered.retain(|name| in_use.contains(name));
        self.secrets
            .names
            .send_if_modified(|asked| std::mem::replace(asked, in_use.clone()) != in_use);
        if whole {
            self.secrets.waiting_since = None;
            return true;
        }
        let since = *self.secrets.waiting_since.get_or_insert_with(Instant::now);
        since.elapsed() >= SECRET_PATIENCE
    }

    fn settle(&mut self) {
        let settled = self.resolution.settle();
        if settled.table_changed {
            self.table.store(Arc::new(self.resolution.table().clone()));
        }
        for (unit, plans) in &settled.plans {
            if let Unit::ProtectedService(key) = unit {
                self.host_counts.count(key, plans, &self.metrics);
            }
            if let Some(desk) = self.desk.as_mut().filter(|desk| *desk.leads.borrow()) {
                let world = self.resolution.world();
                desk.writer.want(unit, plans, world, &self.statuses);
            }
        }
        for problem in &settled.problems {
            self.tell(problem);
        }
    }

    /// Whatever is still to be written for a unit.
    fn want(&mut self, unit: &Unit) {
        let Some(desk) = self.desk.as_mut().filter(|desk| *desk.leads.borrow()) else {
            return;
        };
        if let Some(result) = self.resolution.result(unit) {
            let world = self.resolution.world();
            desk.writer
                .want(unit, result.plans(), world, &self.statuses);
        }
    }

    fn want_everything(&mut self) {
        let Some(desk) = self.desk.as_mut().filter(|desk| *desk.leads.borrow()) else {
            return;
        };
        let world = self.resolution.world();
        for (unit, plans) in self.resolution.plans() {
            desk.writer.want(unit, plans, world, &self.statuses);
        }
    }

    fn start_writes(&mut self) {
        if let Some(desk) = self.desk.as_mut().filter(|desk| *desk.leads.borrow()) {
            desk.writer.start(self.resolution.world(), &self.statuses);
        }
    }

    /// A new leader takes up everything that is to be done and said; an old one drops it.
    fn change_hands(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        let leads = *desk.leads.borrow_and_update();
        self.metrics.leader.set(i64::from(leads));
        desk.writer.stand_down();
        if leads {
            self.want_everything();
            let problems: Vec<Problem> = self.resolution.problems().cloned().collect();
            for problem in &problems {
                self.tell(problem);
            }
        }
    }

    fn take_in_answer(&mut self, written: Written) {
        let Some(desk) = &mut self.desk else { return };
        let Answered { change, protected } = desk.writer.answered(written);
        if let Some(change) = change {
            self.resolution.apply(change);
        }
        if let Some((ingress, stands)) = protected {
            let (reason, note) = if stands {
                (
                    "Protected",
                    "Vestibule protects this Ingress now: every request needs a session",
                )
            } else {
                (
                    "Unprotected",
                    "Vestibule took its annotations off this Ingress: it is open again",
                )
            };
            tracing::info!(%ingress, "{note}");
            self.notify(&ObjectRef::Ingress(ingress), false, reason, note);
        }
    }

    /// Where nobody takes our annotations off any more. Looked for whenever there is something to do, and at each
    /// resync.
    fn take_in_peace(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        for change in desk.writer.fights_ended(self.resolution.world()) {
            self.resolution.apply(change);
        }
    }

    /// Says it to the owner of the object, and in the log of whoever leads.
    fn tell(&self, problem: &Problem) {
        let Problem {
            object,
            reason,
            message,
            ..
        } = problem;
        let leads = self.desk.as_ref().is_some_and(|desk| *desk.leads.borrow());
        if !leads {
            tracing::debug!(%object, %reason, "{message}");
            return;
        }
        tracing::warn!(%object, %reason, "{message}");
        self.notify(object, true, reason.as_str(), message);
    }

    fn notify(&self, object: &ObjectRef, is_warning: bool, reason: &str, note: &str) {
        let (Some(desk), Some(regarding)) = (&self.desk, self.reference(object)) else {
            return;
        };
        let notice = Notice {
            regarding,
            is_warning,
            reason: reason.into(),
            action: "Protect",
            note: note.into(),
        };
        if desk.notices.try_send(notice).is_err() {
            tracing::warn!(%object, reason, "too many Events at once; this one is dropped");
        }
    }

    /// The object with its uid; `None` if it is gone, and with it whoever would read the Event.
    fn reference(&self, object: &ObjectRef) -> Option<ObjectReference> {
        let world = self.resolution.world();
        let (api_version, uid) = match object {
            ObjectRef::Ingress(key) => (
                "networking.k8s.io/v1".to_owned(),
                world.ingress(key)?.uid.to_string(),
            ),
            ObjectRef::ProtectedService(key) => (
                format!("{GROUP}/{VERSION}"),
                world.service(key)?.uid.to_string(),
            ),
            ObjectRef::IdentityProvider(name) => (
                format!("{GROUP}/{VERSION}"),
                world.provider(name)?.uid.to_string(),
            ),
        };
        Some(ObjectReference {
            api_version: Some(api_version),
            kind: Some(object.kind().to_owned()),
            namespace: object.namespace().map(ToOwned::to_owned),
            name: Some(object.name().to_owned()),
            uid: Some(uid),
            ..ObjectReference::default()
        })
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let writes = self.desk.as_ref().and_then(|desk| desk.writer.next_due());
        let patience = self
            .secrets
            .waiting_since
            .and_then(|since| since.checked_add(SECRET_PATIENCE))
            .filter(|end| *end > now);
        let idle = now.checked_add(RESYNC);
        [writes, patience, idle]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now)
    }
}

/// What the writer or the Lease has to say; never anything where there is neither.
async fn next_turn(desk: Option<&mut Desk>) -> Turn {
    let Some(desk) = desk else {
        return std::future::pending().await;
    };
    tokio::select! {
        written = desk.writer.ended() => Turn::Written(Box::new(written)),
        Ok(()) = desk.leads.changed() => Turn::Hands,
    }
}
