//! Where nonces come from.

use std::sync::atomic::{AtomicU64, Ordering};

use strandline_core::record::NONCE_BYTES;

/// Nonces of one process, no two of them alike.
///
/// A nonce is the number that the metadata log gave to this process and to no other (4 bytes), then a counter (8 bytes). The
/// counter begins at a random number: a process that starts from a restored copy of the metadata may get a number again.
#[derive(Debug)]
pub struct Nonces {
    process: u32,
    next: AtomicU64,
}

impl Nonces {
    /// The nonces of the process with this number; `start` is random.
    pub fn new(process: u32, start: u64) -> Self {
        Self {
            process,
            next: AtomicU64::new(start),
        }
    }

    pub(crate) fn next(&self) -> [u8; NONCE_BYTES] {
        // It comes round to its start after 2^64 batches.
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; NONCE_BYTES];
        nonce[..4].copy_from_slice(&self.process.to_le_bytes());
        nonce[4..].copy_from_slice(&count.to_le_bytes());
        nonce
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nonces_differ_within_a_process_and_between_processes() {
        let mut seen = BTreeSet::new();
        for process in 1..4 {
            let nonces = Nonces::new(process, u64::MAX - 1);
            assert!((0..5).all(|_| seen.insert(nonces.next())));
        }
    }
}
