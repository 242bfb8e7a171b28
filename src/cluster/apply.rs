//! The leader's hand: plans in, writes out, and what the API server said back into the World.
//!
//! A plan is what is to be written now; what is as it should be has none. So a plan that vanishes is dropped,
//! a plan that fails comes back later, and drift needs no code of its own: the watch shows it, and a new plan
//! follows.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::networking::v1::Ingress;
use tokio::{task::JoinSet, time::Instant};

use super::{
    fights::Fights,
    metrics::{Kind, Metrics, Outcome},
    objects,
    queue::{Attempt, Pauses, Queue},
    status::{Statuses, is_not_for_us},
    write::{Hold, NotWritten, Pen},
};
use crate::{
    clock::Clock,
    dataplane::ingress_nginx::Values,
    published::Installation,
    resolve::{
        AnnotationAction, Asker, Change, DerivedAction, EndpointAction, Plan, Refusal, RefusalKind,
        Unit, World, Write,
    },
    resource::{Key, ProtectedService, endpoint_ingress_name},
};

/// Writes at once. The API server's priority and fairness would queue more of them anyway.
const AT_ONCE: usize = 16;

/// How long another installation has to say that a class is its own, before this one says that it serves no such class.
pub(super) const OTHERS_TURN: Duration = Duration::from_secs(5);

/// What a plan is about; plans about the same thing replace each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// An endpoint Ingress.
    Endpoint(Arc<str>),
    /// The annotations of an Ingress.
    Annotations(Key),
    /// A ProtectedService made from annotations.
    Derived(Key),
    /// The status of a ProtectedService.
    ServiceStatus(Key),
    /// The status of an IdentityProvider.
    ProviderStatus(Arc<str>),
}

/// What came of a write.
#[derive(Debug)]
pub(super) struct Written {
    target: Target,
    plan: Plan,
    result: Result<(), NotWritten>,
}

/// What a write means to the rest.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// For the World.
    pub change: Option<Change>,
    /// The Ingress whose annotations were written (true) or taken away (false) now.
    pub protected: Option<(Key, bool)>,
}

/// Carries out plans while this replica leads.
pub(super) struct Writer {
    installation: Arc<Installation>,
    pen: Pen,
    metrics: Metrics,
    clock: Clock,
    queue: Queue<Target, Plan>,
    under_way: JoinSet<Written>,
    wanted: HashMap<Unit, Vec<Target>>,
    /// The values that stand on Ingresses by our hand, to tell drift from a first write.
    standing: HashMap<Key, Values>,
    fights: Fights,
}

// === impl Target ===

impl Target {
    /// What a plan is about.
    #[must_use]
    pub(super) fn of(plan: &Plan) -> Self {
        match plan {
            Plan::Annotations { ingress, .. } => Self::Annotations(ingress.clone()),
            Plan::Derived { key, .. } => Self::Derived(key.clone()),
            Plan::Endpoint { name, .. } => Self::Endpoint(Arc::clone(name)),
            Plan::ServiceStatus { key, .. } => Self::ServiceStatus(key.clone()),
            Plan::ProviderStatus { name, .. } => Self::ProviderStatus(Arc::clone(name)),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Endpoint(_) => Kind::EndpointIngress,
            Self::Annotations(_) => Kind::Ingress,
            Self::Derived(_) => Kind::ProtectedService,
            Self::ServiceStatus(_) => Kind::ProtectedServiceStatus,
            Self::ProviderStatus(_) => Kind::IdentityProviderStatus,
        }
    }

    /// How the World calls this write; statuses are nobody's business but ours.
    fn as_write(&self) -> Option<Write> {
        match self {
            Self::Endpoint(name) => Some(Write::Endpoint(Arc::clone(name))),
            Self::Annotations(key) => Some(Write::Annotations(key.clone())),
            Self::Derived(key) => Some(Write::Derived(key.clone())),
            Self::ServiceStatus(_) | Self::ProviderStatus(_) => None,
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A writer with nothing to do.
    #[must_use]
    pub(super) fn new(
        installation: Arc<Installation>,
        pen: Pen,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            installation,
            pen,
            metrics,
            clock,
            queue: Queue::new(Pauses::default()),
            under_way: JoinSet::new(),
            wanted: HashMap::new(),
            standing: HashMap::new(),
            fights: Fights::default(),
        }
    }

    /// From now on these plans, and no others, follow from this unit.
    pub(super) fn want(
        &mut self,
        unit: &Unit,
        plans: &[Plan],
        (world, statuses): (&World, &Statuses),
        now: Instant,
    ) {
        // What is made anew under its name has lost nothing.
        if let Unit::Ingress(key) = unit
            && world.ingress(key).is_none()
        {
            self.standing.remove(key);
            self.fights.forget(key);
        }
        let plans = plans.iter().filter(|plan| !statuses.already_says(plan));
        let plans: Vec<(Target, &Plan)> = plans.map(|plan| (Target::of(plan), plan)).collect();
        let before = self.wanted.remove(unit).unwrap_or_default();
        for target in &before {
            if !plans.iter().any(|(wanted, _)| wanted == target) {
                self.queue.drop_wish(target);
            }
        }
        for (target, plan) in &plans {
            self.notice_drift(plan, before.contains(target), now);
            let after = Self::before(plan, world);
            if leaves_others_time(plan, world) {
                let due = now.checked_add(OTHERS_TURN).unwrap_or(now);
                let (target, plan) = (target.clone(), (*plan).clone());
                self.queue.want_later(target, plan, after, due);
            } else {
                self.queue.want(target.clone(), (*plan).clone(), after);
            }
        }
        if !plans.is_empty() {
            let targets = plans.into_iter().map(|(target, _)| target).collect();
            self.wanted.insert(unit.clone(), targets);
        }
    }

    /// Forgets everything that is not under way: another replica leads.
    pub(super) fn stand_down(&mut self) {
        self.queue = Queue::new(Pauses::default());
        self.wanted.clear();
        self.standing.clear();
    }

    /// Starts what is due.
    pub(super) fn start(&mut self, world: &World, statuses: &Statuses) {
        let now = Instant::now();
        while self.under_way.len() < AT_ONCE
            && let Some((target, plan)) = self.queue.start(AT_ONCE, now)
        {
            let request = self.request(&plan, world, statuses);
            self.under_way.spawn(async move {
                let result = request.await;
                Written {
                    target,
                    plan,
                    result,
                }
            });
        }
    }

    /// When `start` will have something to do although nothing happened.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.next_due()
    }

    /// The next write that ends; never, while none is under way.
    pub(super) async fn ended(&mut self) -> Written {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(written)) => return written,
                // A write neither panics nor is aborted; if one were, its plan would come again.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for the writes that are under way.
    pub(super) async fn finish(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    /// Takes the result of a write in.
    pub(super) fn answered(&mut self, written: Written) -> Answered {
        let Written {
            target,
            plan,
            result,
        } = written;
        let (outcome, attempt) = match &result {
            Ok(()) => (Outcome::Success, Attempt::Done),
            // The watch says what is there instead, and a new plan follows from that.
            Err(NotWritten::Gone) => (Outcome::Error, Attempt::Done),
            Err(NotWritten::Conflict { .. }) => (Outcome::Conflict, Attempt::Again),
            Err(NotWritten::Refused { .. }) => (Outcome::Refused, Attempt::Again),
            Err(NotWritten::Unavailable(_)) => (Outcome::Error, Attempt::Again),
        };
        self.metrics.wrote(target.kind(), outcome);
        if let Err(error) = &result {
            tracing::warn!(?target, %error, "a write did not succeed");
        } else {
            tracing::debug!(?target, "written");
        }
        let write = target.as_write();
        let mut answered = Answered {
            change: write.and_then(|write| self.change(write, &plan, result.as_ref().err())),
            protected: None,
        };
        if result.is_ok()
            && let Plan::Annotations { ingress, action } = &plan
        {
            let is_news = match action {
                AnnotationAction::Write { values, .. } => self
                    .standing
                    .insert(ingress.clone(), values.clone())
                    .is_none_or(|before| before != *values),
                AnnotationAction::Remove { .. } => {
                    self.standing.remove(ingress);
                    true
                }
            };
            let stands = matches!(action, AnnotationAction::Write { .. });
            answered.protected = is_news.then(|| (ingress.clone(), stands));
        }
        self.queue.finished(&target, plan, attempt, Instant::now());
        answered
    }

    /// What the World is told of a write, and of what others make of it.
    fn change(&self, write: Write, plan: &Plan, error: Option<&NotWritten>) -> Option<Change> {
        let is_fought_for = || match plan {
            Plan::Annotations {
                ingress,
                action: AnnotationAction::Write { .. },
            } => self.fights.is_fought_for(ingress),
            _ => false,
        };
        let refusal = match error {
            None => is_fought_for().then(|| Refusal {
                kind: RefusalKind::Undone,
                message: "".into(),
            }),
            Some(NotWritten::Gone) => return None,
            Some(error) => Some(Refusal {
                kind: match error {
                    NotWritten::Conflict { .. } => RefusalKind::Conflict,
                    NotWritten::Refused {
                        forbidden: true, ..
                    } => RefusalKind::Forbidden,
                    NotWritten::Refused { .. } => RefusalKind::Rejected,
                    NotWritten::Gone | NotWritten::Unavailable(_) => RefusalKind::Failed,
                },
                message: error.to_string().into(),
            }),
        };
        Some(Change::Refused(write, refusal))
    }

    /// That Ingresses which were fought for until a while ago are not any more.
    pub(super) fn fights_ended(&mut self, world: &World, now: Instant) -> Vec<Change> {
        let ended = self.fights.ended(now).into_iter();
        let is_undone = |write: &Write| {
            let refusal = world.refusal(write);
            refusal.is_some_and(|refusal| refusal.kind == RefusalKind::Undone)
        };
        ended
            .map(Write::Annotations)
            .filter(is_undone)
            .map(|write| Change::Refused(write, None))
            .collect()
    }

    /// Values that we wrote and that are to be written again were taken away by somebody.
    fn notice_drift(&mut self, plan: &Plan, was_wanted: bool, now: Instant) {
        if let Plan::Annotations {
            ingress,
            action:
                AnnotationAction::Write {
                    values,
                    was_for_other: false,
                    ..
                },
        } = plan
            && !was_wanted
            && self.standing.get(ingress) == Some(values)
        {
            self.metrics.annotation_drift.inc();
            self.fights.lost(ingress, now);
            tracing::warn!(%ingress, "somebody changed annotations of ours; they are put back");
        }
    }

    /// An Ingress is annotated after its hosts have their endpoint, so that nobody is sent to a 404; a status is
    /// written after what it reports on, so that it does not flicker.
    fn before(plan: &Plan, world: &World) -> Vec<Target> {
        match plan {
            Plan::Annotations { ingress, .. } => {
                let rules = world.ingress(ingress).map(|found| found.rules.as_slice());
                let hosts = rules.unwrap_or_default().iter();
                hosts
                    .filter_map(|rule| rule.host.as_ref().ok())
                    .map(|host| Target::Endpoint(endpoint_ingress_name(host).into()))
                    .collect()
            }
            Plan::ServiceStatus { key, report } => {
                let ingresses = report
                    .hosts
                    .iter()
                    .filter_map(|host| host.ingress.as_deref());
                ingresses
                    .map(|name| Target::Annotations(Key::new(&key.namespace, name)))
                    .collect()
            }
            Plan::Derived { .. } | Plan::Endpoint { .. } | Plan::ProviderStatus { .. } => {
                Vec::new()
            }
        }
    }

    fn request(
        &self,
        plan: &Plan,
        world: &World,
        statuses: &Statuses,
    ) -> BoxFuture<'static, Result<(), NotWritten>> {
        let pen = self.pen.clone();
        let gone = || std::future::ready(Err(NotWritten::Gone)).boxed();
        match plan {
            Plan::Annotations { ingress, action } => {
                let Some(uid) = world.ingress(ingress).map(|found| Arc::clone(&found.uid)) else {
                    return gone();
                };
                annotate(pen, ingress.clone(), uid, action.clone()).boxed()
            }
            Plan::Derived { key, action } => {
                let key = key.clone();
                match action {
                    DerivedAction::Apply { ingress_uid, spec } => {
                        let instance = &self.installation.instance;
                        let object = objects::derived_service(&key, ingress_uid, spec, instance);
                        let service = world.service(&key);
                        let hold = Hold::of(service.is_some_and(|it| it.derived_from.is_some()));
                        async move { pen.apply::<ProtectedService>(&key, &object, hold).await }
                            .boxed()
                    }
                    DerivedAction::Delete { uid } => {
                        let uid = Arc::clone(uid);
                        async move { pen.delete::<ProtectedService>(&key, &uid).await }.boxed()
                    }
                }
            }
            Plan::Endpoint { name, action } => {
                let key = Key {
                    namespace: Arc::clone(&self.installation.namespace),
                    name: Arc::clone(name),
                };
                match action {
                    EndpointAction::Apply(endpoint) => {
                        let object = endpoint.manifest(&self.installation, self.clock.now());
                        let hold = Hold::of(world.ingress(&key).is_some_and(|it| it.is_endpoint));
                        async move { pen.apply::<Ingress>(&key, &object, hold).await }.boxed()
                    }
                    EndpointAction::Delete => {
                        let Some(uid) = world.ingress(&key).map(|found| Arc::clone(&found.uid))
                        else {
                            return gone();
                        };
                        async move { pen.delete::<Ingress>(&key, &uid).await }.boxed()
                    }
                }
            }
            Plan::ServiceStatus { key, report } => {
                let status = statuses.of_service(key, report, &self.clock);
                let key = key.clone();
                async move { pen.apply_service_status(&key, status).await }.boxed()
            }
            Plan::ProviderStatus { name, report } => {
                let status = statuses.of_provider(name, report, &self.clock);
                let name = Arc::clone(name);
                async move { pen.apply_provider_status(&name, status).await }.boxed()
            }
        }
    }
}

/// Whether the plan is about Ingresses of a class that another installation may serve.
fn leaves_others_time(plan: &Plan, world: &World) -> bool {
    match plan {
        Plan::Derived {
            key,
            action: DerivedAction::Apply { .. },
        } => world.is_of_foreign_class(key),
        Plan::ServiceStatus { report, .. } => is_not_for_us(report),
        _ => false,
    }
}

/// What admission stamped for us belongs to no field manager, and only what we own can be taken away.
async fn annotate(
    pen: Pen,
    ingress: Key,
    uid: Arc<str>,
    action: AnnotationAction,
) -> Result<(), NotWritten> {
    match action {
        AnnotationAction::Write {
            values,
            asker,
            was_for_other,
        } => {
            let values = objects::annotations(&values);
            let other = asker.other();
            if was_for_other {
                // Both say the same for a moment, so that neither is in the other's way and nothing is ever missing.
                pen.annotate(other, &ingress, &uid, values.clone()).await?;
            }
            pen.annotate(asker, &ingress, &uid, values).await?;
            if was_for_other {
                pen.annotate(other, &ingress, &uid, [].into()).await?;
            }
            Ok(())
        }
        AnnotationAction::Remove { adopt_first } => {
            if let Some(values) = adopt_first {
                let values = objects::annotations(&values);
                pen.annotate(Asker::Ingress, &ingress, &uid, values).await?;
            }
            for asker in [Asker::Ingress, Asker::Service] {
                pen.annotate(asker, &ingress, &uid, [].into()).await?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        dataplane::DataPlane,
        resolve::{
            Classes, Controller, Ingress as Seen, KeyState, OurKeys, Place, Resolution,
            ServicePort, Settings, project_ingress,
        },
        resource::Reason,
    };

    /// A leader of an API server that accepts everything, and of one Ingress that somebody else writes too.
    struct Bench {
        resolution: Resolution,
        writer: Writer,
        bare: Seen,
        unit: Unit,
        key: Key,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let installation = Arc::<Installation>::default();
            let controller = Controller {
                check_url: "http://check".into(),
                service_name: "auth".into(),
                service_port: ServicePort::Number(80),
                classes: Classes::Named(["nginx".into()].into()),
            };
            let settings = Settings {
                installation: Arc::clone(&installation),
                place: Place::Controller(controller),
                data_planes: vec![DataPlane::IngressNginx],
            };
            let bare = json!({
                "metadata": {
                    "namespace": "docs", "name": "wiki", "uid": "1-2-3",
                    "annotations": {"vestibule.dev/protect": "true"},
                },
                "spec": {"ingressClassName": "nginx", "rules": [{"host": "wiki.corp.example"}]},
            });
            let bare: Ingress = serde_json::from_value(bare).unwrap();
            let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
            let pen = Pen::new(kube::Client::try_from(nowhere).unwrap(), "vestibule");
            let key = Key::new("docs", "wiki");
            Self {
                resolution: Resolution::new(Arc::new(settings)),
                writer: Writer::new(
                    Arc::clone(&installation),
                    pen,
                    Metrics::default(),
                    Clock::System,
                ),
                bare: project_ingress(&bare, &installation, None),
                unit: Unit::Ingress(key.clone()),
                key,
                now: Instant::now(),
            }
        }

        /// The Ingress is there with these annotations of ours, or without; what follows is wanted.
        fn is(&mut self, values: Option<&Values>) {
            let held = |value: &Arc<str>| KeyState {
                value: Some(Arc::clone(value)),
                by_ingress: true,
                ..KeyState::default()
            };
            let keys = values.map(|values| OurKeys {
                url: held(&values.url),
                signin: held(&values.signin),
                headers: held(&values.headers),
            });
            let ingress = Seen {
                keys: Arc::new(keys.unwrap_or_default()),
                ..self.bare.clone()
            };
            let change = Change::Ingress(self.key.clone(), Some(Arc::new(ingress)));
            self.resolution.apply(change);
            self.settle();
        }

        /// As the controller's loop does whenever it has something to do.
        fn settle(&mut self) {
            let world = self.resolution.world();
            for change in self.writer.fights_ended(world, self.now) {
                self.resolution.apply(change);
            }
            self.resolution.settle();
            let result = self.resolution.result(&self.unit);
            let plans = result.map(|result| result.plans()).unwrap_or_default();
            let known = (self.resolution.world(), &Statuses::default());
            self.writer.want(&self.unit, plans, known, self.now);
        }

        /// Carries out what is wanted, and sees it come back by the watch.
        fn write(&mut self) {
            let mut written = None;
            while let Some((target, plan)) = self.writer.queue.start(AT_ONCE, self.now) {
                if let Plan::Annotations {
                    action: AnnotationAction::Write { values, .. },
                    ..
                } = &plan
                {
                    written = Some(values.clone());
                }
                let result = Ok(());
                let answered = self.writer.answered(Written {
                    target,
                    plan,
                    result,
                });
                if let Some(change) = answered.change {
                    self.resolution.apply(change);
                }
            }
            let written = written.expect("annotations were to be written");
            self.is(Some(&written));
        }

        fn is_said(&self) -> bool {
            let result = self.resolution.result(&self.unit).unwrap();
            let mut problems = result.problems.iter();
            problems.any(|problem| problem.reason == Reason::AnnotationConflict)
        }

        fn pass(&mut self, minutes: u64) {
            self.now += Duration::from_secs(minutes * 60);
            self.settle();
        }
    }

    #[tokio::test]
    async fn a_fight_is_said_from_the_third_loss_on_until_fifteen_minutes_after_the_last() {
        let mut bench = Bench::new();
        bench.is(None);
        bench.write();
        for loss in 1..=5 {
            bench.pass(10);
            bench.is(None);
            bench.write();
            assert_eq!(bench.is_said(), loss >= 3, "after loss {loss}");
        }
        bench.pass(14);
        assert!(bench.is_said());
        bench.pass(1);
        assert!(!bench.is_said(), "it is over");
        // One more is a slip again.
        bench.is(None);
        bench.write();
        assert!(!bench.is_said());
    }
}
