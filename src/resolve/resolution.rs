//! The world and all that follows from it, kept up to date one change at a time.

use std::{collections::BTreeMap, sync::Arc};

use super::{Change, Plan, Problem, Settings, Unit, UnitResult, World, resolve};
use crate::published::Table;

/// A world, what is served of it, and what is to be written and told.
#[derive(Debug)]
pub struct Resolution {
    pub(super) world: World,
    pub(super) results: BTreeMap<Unit, UnitResult>,
    table: Table,
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
            let result = resolve(&self.world, &unit);
            let before = self.results.remove(&unit).unwrap_or_default();
            if before.published != result.published {
                for change in &result.published {
                    self.table.change(change);
                }
                settled.table_changed = true;
            }
            let news = result
                .problems
                .iter()
                .filter(|p| !before.problems.contains(p));
            settled.problems.extend(news.cloned());
            if !result.plans.is_empty() || !before.plans.is_empty() {
                settled.plans.push((unit.clone(), result.plans.clone()));
            }
            // A unit of which nothing is left is forgotten, once the Table has forgotten it.
            if !result.is_void() {
                self.results.insert(unit, result);
            }
        }
        settled
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

    /// What came of one unit.
    #[must_use]
    pub fn result(&self, unit: &Unit) -> Option<&UnitResult> {
        self.results.get(unit)
    }
}
