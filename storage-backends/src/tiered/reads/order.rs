//! Keys in the order in which they were used last.

use std::collections::BTreeMap;

/// When something was used last, as a place in an [`Order`].
pub(super) type Turn = u64;

/// The order. Who has a key keeps its turn beside it.
#[derive(Debug)]
pub(super) struct Order<K> {
    keys: BTreeMap<Turn, K>,
    next: Turn,
}

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<K> Order<K> {
    /// Takes a key in as the one that was used last.
    pub(super) fn add(&mut self, key: K) -> Turn {
        let turn = self.next;
        self.next += 1;
        self.keys.insert(turn, key);
        turn
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, turn: Turn) -> Option<K> {
        self.keys.remove(&turn)
    }

    /// Makes a key the one that was used last.
    pub(super) fn renew(&mut self, turn: Turn) -> Turn {
        match self.keys.remove(&turn) {
            Some(key) => self.add(key),
            None => turn,
        }
    }

    /// Takes out the key that was not used for the longest time.
    pub(super) fn pop_oldest(&mut self) -> Option<K> {
        self.keys.pop_first().map(|(_, key)| key)
    }

    /// The key that was not used for the longest time.
    pub(super) fn oldest(&self) -> Option<&K> {
        self.keys.first_key_value().map(|(_, key)| key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_renewed_goes_last() {
        let mut order = Order::default();
        let turns: Vec<_> = ["a", "b", "c"].map(|key| order.add(key)).into();
        order.renew(turns[0]);
        assert_eq!(order.remove(turns[1]), Some("b"));
        assert_eq!((order.oldest(), order.len()), (Some(&"c"), 2));
        assert_eq!([order.pop_oldest(), order.pop_oldest()], [Some("c"), Some("a")]);
        assert_eq!(order.pop_oldest(), None);
    }
}
