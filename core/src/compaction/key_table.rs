//! The newest offset of many keys in a fixed amount of memory.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::Offset;

/// A slot: the two halves of a key's hash, then its newest offset plus one. 0 there = free.
type Slot = [u64; 3];

/// Newest offsets by the hash of their keys: open addressing in one allocation that never grows.
///
/// A key is known by 128 bits of SipHash-1-3 under a secret that each pass draws anew, so that nobody can choose keys that
/// meet. Of n keys in the table some two share a hash with a probability of n² / 2^129: for a billion keys about 1.5e-21,
/// far below that of a bit that flips unnoticed by a checksum.
#[derive(Debug)]
pub struct KeyTable {
    slots: Vec<Slot>,
    keys: usize,
    /// Most keys: probes stay short up to here.
    max_keys: usize,
    secret: [u8; 16],
}

impl KeyTable {
    /// Bytes that one key takes, the free slots that it needs beside it included.
    pub const KEY_BYTES: u64 = 32;

    /// A table for up to so many keys that takes at most so many bytes; room for one key is always there.
    pub fn new(memory_bytes: u64, keys: u64, secret: [u8; 16]) -> Self {
        let max_keys = keys.min(memory_bytes / Self::KEY_BYTES).max(1);
        let max_keys = usize::try_from(max_keys).unwrap_or(usize::MAX / 64);
        Self {
            slots: vec![[0; 3]; max_keys + (max_keys / 3).max(1)],
            keys: 0,
            max_keys,
            secret,
        }
    }

    /// Keys in the table.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Takes note of a key at an offset; a later one replaces an earlier one. False when there is no room for a new key.
    pub fn note(&mut self, key: &[u8], offset: Offset) -> bool {
        let (high, low) = self.hash(key);
        let place = self.place(high, low);
        let Some(slot) = self.slots.get_mut(place) else {
            return false;
        };
        if slot[2] == 0 {
            if self.keys == self.max_keys {
                return false;
            }
            self.keys += 1;
        }
        *slot = [high, low, offset.get().saturating_add(1).max(slot[2])];
        true
    }

    /// The newest offset of a key.
    pub fn newest(&self, key: &[u8]) -> Option<Offset> {
        let (high, low) = self.hash(key);
        let slot = self.slots.get(self.place(high, low))?;
        slot[2].checked_sub(1).map(Offset::new)
    }

    /// Where this hash is, or would go.
    fn place(&self, high: u64, low: u64) -> usize {
        let count = self.slots.len();
        // The first half of the hash, scaled to the number of slots.
        let mut place = ((u128::from(high) * count as u128) >> 64) as usize;
        while let Some(slot) = self.slots.get(place) {
            if slot[2] == 0 || (slot[0] == high && slot[1] == low) {
                break;
            }
            place = if place + 1 == count { 0 } else { place + 1 };
        }
        place
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(key);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_table_takes_known_keys_and_no_new_ones() {
        let mut table = KeyTable::new(KeyTable::KEY_BYTES * 2, 1000, [7; 16]);
        assert!(table.note(b"a", Offset::new(0)) && table.note(b"", Offset::new(1)));
        assert!(!table.note(b"c", Offset::new(2)));
        assert!(table.note(b"a", Offset::new(3)));
        assert_eq!(table.newest(b"a"), Some(Offset::new(3)));
        assert_eq!(table.newest(b""), Some(Offset::new(1)));
        assert_eq!((table.newest(b"c"), table.keys()), (None, 2));
    }

    #[test]
    fn no_memory_is_room_for_one_key() {
        let mut table = KeyTable::new(0, 0, [0; 16]);
        assert!(table.note(&vec![1; 1 << 20], Offset::ZERO));
        assert!(!table.note(b"b", Offset::new(1)));
    }

    #[test]
    fn the_memory_stays_within_its_bound() {
        for bytes in [100, 10_000, 1 << 20] {
            let table = KeyTable::new(bytes, u64::MAX, [0; 16]);
            assert!(
                size_of_val(table.slots.as_slice()) as u64 <= bytes.max(64),
                "{bytes}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_table_answers_as_a_map_does(
            notes in prop::collection::vec((prop::collection::vec(0_u8..4, 0..4), 0_u64..1000), 0..300),
            room in 1_u64..100,
        ) {
            let mut table = KeyTable::new(room * KeyTable::KEY_BYTES, 1000, [3; 16]);
            let mut map: HashMap<Vec<u8>, u64> = HashMap::new();
            for (key, offset) in notes {
                let is_room = map.len() < room as usize || map.contains_key(&key);
                prop_assert_eq!(table.note(&key, Offset::new(offset)), is_room);
                if is_room {
                    let newest = map.entry(key).or_insert(offset);
                    *newest = offset.max(*newest);
                }
            }
            for (key, newest) in &map {
                prop_assert_eq!(table.newest(key), Some(Offset::new(*newest)));
            }
            prop_assert_eq!(table.newest(b"never noted"), None);
        }
    }
}
