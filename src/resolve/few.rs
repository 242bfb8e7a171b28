//! A set of few members, such as the Ingresses of a host: a sorted list. For one member a tree would take a node with
//! room for eleven.

use std::ops::Deref;

/// A set of few members, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Few<T>(Vec<T>);

// === impl Few ===

impl<T: Ord> Few<T> {
    pub(super) fn insert(&mut self, member: T) {
        if let Err(place) = self.0.binary_search(&member) {
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(place, member);
        }
    }

    pub(super) fn remove(&mut self, member: &T) {
        if let Ok(place) = self.0.binary_search(member) {
            self.0.remove(place);
        }
    }
}

impl<T> Few<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Ord> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut list: Vec<T> = members.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        list.shrink_to_fit();
        Self(list)
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'f, T> IntoIterator for &'f Few<T> {
    type Item = &'f T;
    type IntoIter = std::slice::Iter<'f, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_each_member_once_and_in_order() {
        let mut few: Few<u8> = [3, 1, 3].into_iter().collect();
        few.insert(2);
        few.insert(2);
        assert_eq!(*few, [1, 2, 3]);
        few.remove(&1);
        few.remove(&9);
        assert_eq!(few.into_vec(), [2, 3]);
    }
}
