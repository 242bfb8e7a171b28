//! Equal values, kept once. Of thousands of services most are one of a few, and need not each have their own.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// The values in use.
#[derive(Debug)]
pub(super) struct Shared<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many are let pile up before those are forgotten that nobody uses any more.
    room: usize,
}

// === impl Shared ===

impl<T: Eq + Hash + ?Sized> Shared<T> {
    /// Puts the known value in the place of an equal one.
    pub(super) fn share(&mut self, value: &mut Arc<T>) {
        if let Some(known) = self.known.get(&*value) {
            *value = Arc::clone(known);
            return;
        }
        if self.known.len() >= self.room {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.room = self.known.len().saturating_mul(2).max(64);
        }
        self.known.insert(Arc::clone(value));
    }
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            room: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_those_that_nobody_uses_are_forgotten() {
        let mut shared = Shared::<str>::default();
        let (mut one, mut other) = (Arc::from("a"), Arc::from("a"));
        shared.share(&mut one);
        shared.share(&mut other);
        assert!(Arc::ptr_eq(&one, &other));
        for number in 0..1000 {
            shared.share(&mut number.to_string().into());
        }
        assert!(shared.known.len() <= 65, "{}", shared.known.len());
        assert!(shared.known.contains("a"));
    }
}
