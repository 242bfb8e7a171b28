//! The world and all that follows from it, kept up to date one change at a time.

use std::{collections::BTreeMap, sync::Arc};

use super::{Change, Plan, Problem, Settings, Unit, UnitResult, World, resolve, shared::Shared};
use crate::{
    policy::Policy,
    published::{Access, Published, Table, UpstreamHeader},
};

/// A world, what is served of it, and what is to be written and told.
#[derive(Debug)]
pub struct Resolution {
    pub(super) world: World,
    /// Of units that have something to write or to tell. What is served stands in the Table alone.
    pub(super) results: BTreeMap<Unit, UnitResult>,
    pub(super) table: Table,
    policies: Shared<Policy>,
    headers: Shared<[UpstreamHeader]>,
}

/// What came of some changes.
#[derive(Debug, Default)]
pub struct Settled {
    /// Units that were worked out anew, with what is to be written for them now. A unit without plans is as it
    /// should be.
    pub plans: Vec<(Unit, Vec<Plan>)>,
    /// What owners were not told yet.
    pub problems: Vec<Problem>,
    /// Whether the Table is another one than before.
    pub table_changed: bool,
}

// === impl Resolution ===

impl Resolution {
    /// An empty world.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            world: World::new(settings),
            results: BTreeMap::new(),
            table: Table::default(),
            policies: Shared::default(),
            headers: Shared::default(),
        }
    }

    /// Takes a change in. Nothing follows from it until `settle`.
    pub fn apply(&mut self, change: Change) {
        self.world.apply(change);
    }

    /// Works out what the changes since the last call touched.
    pub fn settle(&mut self) -> Settled {
        let mut settled = Settled::default();
        for unit in self.world.take_touched() {
            let mut result = resolve(&self.world, &unit);
            if let Some(published) = result.published.take()
                && !self.table.says(&published)
            {
                let published = self.share(published);
                self.table.change(&published);
                settled.table_changed = true;
            }
            let before = self.results.remove(&unit).unwrap_or_default();
            let news = result
                .problems
                .iter()
                .filter(|p| !before.problems.contains(p));
            settled.problems.extend(news.cloned());
            if !result.plans.is_empty() || !before.plans.is_empty() {
                settled.plans.push((unit.clone(), result.plans.clone()));
            }
            if !result.is_quiet() {
                self.results.insert(unit, result);
            }
        }
        settled
    }

    /// The same, with what other services have as well, and the Table already.
    fn share(&mut self, mut published: Published) -> Published {
        match &mut published {
            Published::Service(service) => {
                if let Some(service) = Arc::get_mut(service) {
                    if let Access::Open(policy) = &mut service.access {
                        self.policies.share(policy);
                    }
                    self.headers.share(&mut service.upstream_headers);
                    if let Some(known) = self.table.known_id(&service.id, &service.hosts) {
                        service.id = known.clone();
                    }
                    // Often they have the same name.
                    if *service.protected_service == *service.id.as_str() {
                        service.protected_service = service.id.text();
                    }
                }
            }
            Published::Host(entry) => {
                for id in Arc::get_mut(entry)
                    .into_iter()
                    .flat_map(|it| &mut it.services)
                {
                    if let Some(known) = self.table.known_id(id, &[]) {
                        *id = known.clone();
                    }
                }
            }
            _ => {}
        }
        published
    }

    /// What the endpoint serves.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The objects.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Everything that owners should know now.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.results.values().flat_map(|result| &result.problems)
    }

    /// Everything that is still to be written, units in the order in which they should be.
    pub fn plans(&self) -> impl Iterator<Item = (&Unit, &[Plan])> {
        let plans = |(unit, result)| (unit, UnitResult::plans(result));
        self.results
            .iter()
            .map(plans)
            .filter(|(_, plans)| !plans.is_empty())
    }

    /// What is to be written and told because of one unit, if anything.
    #[must_use]
    pub fn result(&self, unit: &Unit) -> Option<&UnitResult> {
        self.results.get(unit)
    }
}
