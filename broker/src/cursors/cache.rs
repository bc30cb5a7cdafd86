//! The cursors of one partition that are kept in memory.

use std::collections::HashMap;

use strandline_core::Offset;

/// A cursor as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Offset of the record: of two for one key the larger counts.
    pub(super) record: Offset,
    /// The position.
    pub(super) position: i64,
}

/// What the cache says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This is its position, or there is none.
    Known(Option<i64>),
    /// Only the log can tell.
    Unknown,
}

/// Two generations of cursors: what is used moves to the younger one, and when that is full it becomes the older one and
/// what was the older one is forgotten. As long as nothing was forgotten since the whole log was read, a cursor that is not
/// here does not exist.
#[derive(Debug)]
pub(super) struct CursorCache {
    young: HashMap<Vec<u8>, Stored>,
    old: HashMap<Vec<u8>, Stored>,
    /// Cursors of one generation.
    capacity: usize,
    /// How often cursors were forgotten.
    losses: u64,
    complete: bool,
}

impl CursorCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            capacity: capacity.max(1),
            losses: 0,
            complete: false,
        }
    }

    pub(super) fn find(&mut self, key: &[u8]) -> Found {
        if let Some(stored) = self.young.get(key) {
            return Found::Known(Some(stored.position));
        }
        match self.old.remove_entry(key) {
            Some((key, stored)) => {
                self.insert(key, stored);
                Found::Known(Some(stored.position))
            }
            None if self.complete => Found::Known(None),
            None => Found::Unknown,
        }
    }

    /// Takes note of a record. An older one than is known changes nothing.
    pub(super) fn note(&mut self, key: &[u8], stored: Stored) {
        let known = self.young.get_mut(key).or_else(|| self.old.get_mut(key));
        match known {
            Some(known) if known.record >= stored.record => {}
            Some(known) => *known = stored,
            None => self.insert(key.to_vec(), stored),
        }
    }

    /// How often cursors were forgotten so far; to be handed to `note_complete`.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    /// Takes note that everything was read that the log holds. That says something only if nothing was forgotten since.
    pub(super) fn note_complete(&mut self, losses_before: u64) {
        self.complete = self.losses == losses_before;
    }

    fn insert(&mut self, key: Vec<u8>, stored: Stored) {
        if self.young.len() >= self.capacity {
            let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            if !forgotten.is_empty() {
                self.losses += 1;
                self.complete = false;
            }
        }
        self.young.insert(key, stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(record: u64, position: i64) -> Stored {
        Stored {
            record: Offset::new(record),
            position,
        }
    }

    #[test]
    fn the_newest_record_of_a_key_counts_in_whatever_order_they_come() {
        let mut cache = CursorCache::new(10);
        cache.note(b"a", stored(5, 50));
        cache.note(b"a", stored(3, 30));
        assert_eq!(cache.find(b"a"), Found::Known(Some(50)));
        cache.note(b"a", stored(6, -1));
        assert_eq!(cache.find(b"a"), Found::Known(Some(-1)));
    }

    #[test]
    fn what_is_not_known_does_not_exist_only_after_everything_was_read() {
        let mut cache = CursorCache::new(10);
        assert_eq!(cache.find(b"a"), Found::Unknown);
        let losses = cache.losses();
        cache.note(b"b", stored(0, 1));
        cache.note_complete(losses);
        assert_eq!(cache.find(b"a"), Found::Known(None));
        cache.note(b"a", stored(1, 1));
        assert_eq!(cache.find(b"a"), Found::Known(Some(1)));
    }

    #[test]
    fn the_number_of_cursors_is_bounded_and_those_in_use_stay() {
        let mut cache = CursorCache::new(10);
        cache.note_complete(0);
        for number in 0..1000_u64 {
            cache.note(&number.to_be_bytes(), stored(number, 0));
            assert!(cache.young.len() + cache.old.len() <= 20);
            assert_eq!(cache.find(&0_u64.to_be_bytes()), Found::Known(Some(0)));
        }
        assert_eq!(cache.find(&1_u64.to_be_bytes()), Found::Unknown);
        assert_eq!(cache.find(&999_u64.to_be_bytes()), Found::Known(Some(0)));
    }

    #[test]
    fn a_reading_during_which_something_was_forgotten_is_not_complete() {
        let mut cache = CursorCache::new(1);
        let losses = cache.losses();
        for key in [b"a", b"b", b"c"] {
            cache.note(key, stored(0, 0));
        }
        cache.note_complete(losses);
        assert_eq!(cache.find(b"x"), Found::Unknown);
    }
}
