//! A map of which the versions share what is the same in them.
//!
//! Its entries lie in pieces of a few, told apart by hash; a change copies one piece and the list of pieces, and
//! nothing if no other version is about. A trie copies less, and takes four times the memory.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// What is found by a name of its own.
pub(super) trait Named {
    /// The name.
    fn name(&self) -> &str;
}

/// Values by their names.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    pieces: Arc<Vec<Arc<Piece<T>>>>,
    size: usize,
    hasher: RandomState,
}

type Piece<T> = Vec<Entry<T>>;

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    value: Arc<T>,
}

/// Entries of a piece on average, at most.
const ROOM: usize = 16;

// === impl Pieces ===

impl<T: Named> Pieces<T> {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<T>> {
        let hash = self.hasher.hash_one(name);
        let piece = self.pieces.get(place(hash, self.pieces.len())?)?;
        let entry = piece.iter().find(|entry| entry.is(hash, name));
        entry.map(|entry| &entry.value)
    }

    pub(super) fn insert(&mut self, value: Arc<T>) {
        if self.size >= self.pieces.len().saturating_mul(ROOM) {
            self.spread();
        }
        let hash = self.hasher.hash_one(value.name());
        let Some(piece) = self.piece(hash) else {
            return;
        };
        let there = piece.iter_mut().find(|entry| entry.is(hash, value.name()));
        match there {
            Some(entry) => entry.value = value,
            None => {
                piece.push(Entry { hash, value });
                self.size = self.size.saturating_add(1);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        let hash = self.hasher.hash_one(name);
        if let Some(piece) = self.piece(hash) {
            piece.retain(|entry| !entry.is(hash, name));
            self.size = self.size.saturating_sub(1);
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        let entries = self.pieces.iter().flat_map(|piece| piece.iter());
        entries.map(|entry| &entry.value)
    }

    /// The piece in which an entry belongs, this version's own.
    fn piece(&mut self, hash: u64) -> Option<&mut Piece<T>> {
        let place = place(hash, self.pieces.len())?;
        Arc::make_mut(&mut self.pieces)
            .get_mut(place)
            .map(Arc::make_mut)
    }

    /// Makes twice as many pieces.
    fn spread(&mut self) {
        let count = self.pieces.len().saturating_mul(2).max(1);
        let mut pieces: Vec<Piece<T>> = std::iter::repeat_with(Vec::new).take(count).collect();
        for entry in self.pieces.iter().flat_map(|piece| piece.iter()) {
            if let Some(piece) = place(entry.hash, count).and_then(|place| pieces.get_mut(place)) {
                piece.push(entry.clone());
            }
        }
        self.pieces = Arc::new(pieces.into_iter().map(Arc::new).collect());
    }
}

impl<T> Clone for Pieces<T> {
    fn clone(&self) -> Self {
        Self {
            pieces: Arc::clone(&self.pieces),
            size: self.size,
            hasher: self.hasher.clone(),
        }
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self {
            pieces: Arc::default(),
            size: 0,
            hasher: RandomState::new(),
        }
    }
}

// === impl Entry ===

impl<T: Named> Entry<T> {
    fn is(&self, hash: u64, name: &str) -> bool {
        self.hash == hash && self.value.name() == name
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash,
            value: Arc::clone(&self.value),
        }
    }
}

/// Where a hash belongs among so many pieces; nowhere if there are none.
fn place(hash: u64, pieces: usize) -> Option<usize> {
    let place = hash.checked_rem(u64::try_from(pieces).ok()?)?;
    usize::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Value(String, u8);

    impl Named for Value {
        fn name(&self) -> &str {
            &self.0
        }
    }

    fn all(pieces: &Pieces<Value>) -> BTreeMap<String, u8> {
        let values = pieces.values();
        values.map(|value| (value.0.clone(), value.1)).collect()
    }

    proptest! {
        #[test]
        fn every_version_holds_what_it_held(
            changes in proptest::collection::vec((0_u16..200, proptest::option::of(0_u8..4)), 0..600)
        ) {
            let mut now = Pieces::default();
            let mut model = BTreeMap::new();
            let mut versions = Vec::new();
            for (at, (name, value)) in changes.into_iter().enumerate() {
                let name = format!("n{name}");
                match value {
                    Some(value) => {
                        now.insert(Arc::new(Value(name.clone(), value)));
                        model.insert(name.clone(), value);
                    }
                    None => {
                        now.remove(&name);
                        model.remove(&name);
                    }
                }
                prop_assert_eq!(now.get(&name).map(|it| it.1), model.get(&name).copied());
                if at % 50 == 0 {
                    versions.push((now.clone(), model.clone()));
                }
            }
            versions.push((now, model));
            for (pieces, model) in &versions {
                prop_assert_eq!(&all(pieces), model);
                prop_assert_eq!(pieces.size, model.len());
            }
        }
    }

    #[test]
    fn pieces_stay_small() {
        let mut pieces = Pieces::default();
        for name in 0..10_000 {
            pieces.insert(Arc::new(Value(name.to_string(), 0)));
        }
        let largest = pieces.pieces.iter().map(|piece| piece.len()).max();
        assert!(largest < Some(64), "{largest:?}");
    }
}
