//! The one task that owns the World of a process: takes changes in, has them worked out, publishes the Table,
//! and, while this replica leads, hands plans to the writer and problems to their owners.
//!
//! Nothing follows from half a world: until every kind has been listed once, changes are only taken in.

mod desk;

use std::{collections::HashSet, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use kube::Client;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::desk::{Desk, News, news};
use super::{
    apply::{Answered, Writer, Written},
    events::{EventType, Reporter},
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
    resource::ObjectRef,
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

/// How often everything that is still to be written is looked at again, although nothing happened.
const RESYNC: Duration = Duration::from_secs(60);

struct Source {
    resolution: Resolution,
    statuses: Statuses,
    metrics: Metrics,
    host_counts: HostCounts,
    table: Arc<ArcSwap<Table>>,
    /// Kinds that have not been listed yet.
    unlisted: HashSet<Kind>,
    /// A controller's.
    desk: Option<Desk>,
}

/// Why the task goes round.
enum Turn {
    Changes,
    Due,
    Resync,
    Desk(News),
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
        Role::Controller { leads, identity } => {
            let namespace = Arc::clone(&installation.namespace);
            let secrets = secrets::look_after(client.clone(), namespace, changes, &stop);
            let reporter = Reporter::new(client.clone(), &identity, clock.clone());
            let pen = Pen::new(client, &installation.instance);
            let writer = Writer::new(installation, pen, metrics.clone(), clock);
            Some(Desk::new(leads, writer, secrets, reporter, &stop))
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
                    news = news(self.desk.as_mut()) => Turn::Desk(news),
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
                Turn::Desk(News::Written(written)) => self.take_in_answer(*written),
                Turn::Desk(News::Hands) => self.change_hands(),
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
        let Some(change) = seen.change else { return };
        if let (Change::Secret(name, _), Some(desk)) = (&change, &mut self.desk) {
            desk.secrets.answered(name);
        }
        self.resolution.apply(change);
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
        let Some(desk) = &mut self.desk else {
            return true;
        };
        let in_use = self.resolution.world().secrets_in_use();
        desk.secrets.are_known(in_use.cloned().collect())
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
            if let Some(desk) = self.desk.as_mut().filter(|desk| desk.leads()) {
                let world = self.resolution.world();
                desk.writer
                    .want(unit, plans, (world, &self.statuses), Instant::now());
            }
        }
        for problem in &settled.problems {
            self.tell(problem);
        }
        self.tell_held();
    }

    /// Whatever is still to be written for a unit.
    fn want(&mut self, unit: &Unit) {
        let Some(desk) = self.desk.as_mut().filter(|desk| desk.leads()) else {
            return;
        };
        if let Some(result) = self.resolution.result(unit) {
            let world = self.resolution.world();
            desk.writer.want(
                unit,
                result.plans(),
                (world, &self.statuses),
                Instant::now(),
            );
        }
    }

    fn want_everything(&mut self) {
        let Some(desk) = self.desk.as_mut().filter(|desk| desk.leads()) else {
            return;
        };
        let world = self.resolution.world();
        for (unit, plans) in self.resolution.plans() {
            desk.writer
                .want(unit, plans, (world, &self.statuses), Instant::now());
        }
    }

    fn start_writes(&mut self) {
        if let Some(desk) = self.desk.as_mut().filter(|desk| desk.leads()) {
            desk.writer.start(self.resolution.world(), &self.statuses);
        }
    }

    /// A new leader takes up everything that is to be done and said; an old one drops it.
    fn change_hands(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        let leads = desk.change_hands();
        self.metrics.leader.set(i64::from(leads));
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
            let (ingress, world) = (ObjectRef::Ingress(ingress), self.resolution.world());
            desk.notify(&ingress, world, EventType::Normal, reason, note);
        }
    }

    /// Where nobody takes our annotations off any more. Looked for whenever there is something to do, and at each
    /// resync.
    fn take_in_peace(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        for change in desk
            .writer
            .fights_ended(self.resolution.world(), Instant::now())
        {
            self.resolution.apply(change);
        }
    }

    /// What no other installation has taken on meanwhile.
    fn tell_held(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        for problem in desk.held_until(Instant::now()) {
            if self.resolution.problems().any(|stands| *stands == problem) {
                self.tell_now(&problem);
            }
        }
    }

    /// Says it to the owner of the object, and in the log of whoever leads; in a while, if another installation may have
    /// more to say.
    fn tell(&mut self, problem: &Problem) {
        let desk = self.desk.as_mut().filter(|desk| desk.leads());
        if !desk.is_some_and(|desk| desk.hold(problem)) {
            self.tell_now(problem);
        }
    }

    fn tell_now(&self, problem: &Problem) {
        let Problem {
            object,
            reason,
            message,
            ..
        } = problem;
        match self.desk.as_ref().filter(|desk| desk.leads()) {
            Some(desk) => {
                tracing::warn!(%object, %reason, "{message}");
                desk.tell(problem, self.resolution.world());
            }
            None => tracing::debug!(%object, %reason, "{message}"),
        }
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let desk = self.desk.as_ref();
        let writes = desk.and_then(|desk| desk.writer.next_due());
        let held = desk.and_then(Desk::next_due);
        let patience = desk.and_then(|desk| desk.secrets.patience_ends());
        let idle = now.checked_add(RESYNC);
        [writes, held, patience.filter(|end| *end > now), idle]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now)
    }
}
