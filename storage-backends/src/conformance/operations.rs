//! What is done to a store, as values that can be drawn, shrunk and printed.

use proptest::prelude::*;

/// Logs of the store that operations are done to.
pub(super) const LOGS: usize = 2;

/// One operation. Numbers are taken into the range that makes sense when it is done, so that any sequence can be done.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Appends batches in one call.
    Append { log: usize, batches: Vec<Shape> },
    /// Appends a batch that does not continue the log, which must be refused.
    AppendWrong { log: usize, is_epoch: bool },
    /// Syncs the store and waits for all handles.
    Sync { by_store: bool },
    /// Seals the active segment.
    Roll { log: usize },
    /// Seals the active segment if it is older than so many microseconds before the end.
    RollIfDue { log: usize, after: u8 },
    /// Removes sealed segments up to a place.
    Remove { log: usize, place: u16 },
    /// Compacts a run of sealed segments, keeping the records that a mask chooses.
    Replace {
        log: usize,
        first: u8,
        count: u8,
        keep: u16,
    },
    /// Cuts the log at a place.
    Truncate { log: usize, place: u16 },
    /// Empties the log and goes on at a place.
    Reset { log: usize, place: u16 },
    /// Changes the size and age at which segments are sealed.
    Settings { log: usize, size: u8, age: u8 },
    /// Reads a run.
    Read {
        log: usize,
        from: u16,
        end: u16,
        max_bytes: u16,
    },
    /// Closes the log and opens it again.
    Close { log: usize },
    /// Deletes the log and creates it anew.
    Recreate { log: usize },
    /// Ends the process, without closing anything, and starts again.
    Restart,
    /// Loses power, of which the seed says what is left, and starts again.
    PowerLoss { seed: u64 },
}

/// A batch to append.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Records.
    pub(super) records: u8,
    /// Offsets that are left out before it.
    pub(super) gap: u8,
    /// Whether a new epoch begins with it.
    pub(super) is_new_epoch: bool,
    /// Bytes by which the value of each record is longer than it need be.
    pub(super) padding: u16,
}

/// A plain batch of so many records.
pub(super) fn records(records: u8) -> Shape {
    Shape {
        records,
        gap: 0,
        is_new_epoch: false,
        padding: 0,
    }
}

/// An append of one batch of so many records to the first log.
pub(super) fn append(count: u8) -> Operation {
    Operation::Append {
        log: 0,
        batches: vec![records(count)],
    }
}

/// A sync by the caller.
pub(super) const SYNC: Operation = Operation::Sync { by_store: false };

/// Sequences of operations.
pub(super) fn sequences(most: usize) -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..=most)
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let log = || 0..LOGS;
    prop_oneof![
        10 => (log(), prop::collection::vec(shape(), 0..4)).prop_map(|(log, batches)| Op::Append { log, batches }),
        1 => (log(), any::<bool>()).prop_map(|(log, is_epoch)| Op::AppendWrong { log, is_epoch }),
        6 => any::<bool>().prop_map(|by_store| Op::Sync { by_store }),
        3 => log().prop_map(|log| Op::Roll { log }),
        1 => (log(), 0..60_u8).prop_map(|(log, after)| Op::RollIfDue { log, after }),
        2 => (log(), any::<u16>()).prop_map(|(log, place)| Op::Remove { log, place }),
        3 => (log(), any::<u8>(), any::<u8>(), any::<u16>())
            .prop_map(|(log, first, count, keep)| Op::Replace { log, first, count, keep }),
        2 => (log(), any::<u16>()).prop_map(|(log, place)| Op::Truncate { log, place }),
        1 => (log(), any::<u16>()).prop_map(|(log, place)| Op::Reset { log, place }),
        1 => (log(), 0..4_u8, 0..3_u8).prop_map(|(log, size, age)| Op::Settings { log, size, age }),
        2 => (log(), any::<u16>(), any::<u16>(), any::<u16>())
            .prop_map(|(log, from, end, max_bytes)| Op::Read { log, from, end, max_bytes }),
        1 => log().prop_map(|log| Op::Close { log }),
        1 => log().prop_map(|log| Op::Recreate { log }),
        1 => Just(Op::Restart),
        2 => any::<u64>().prop_map(|seed| Op::PowerLoss { seed }),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let gap = prop_oneof![6 => Just(0), 1 => 1..20_u8];
    let padding = prop_oneof![6 => Just(0), 1 => 0..2000_u16];
    (1..6_u8, gap, prop::bool::weighted(0.2), padding).prop_map(|(records, gap, is_new_epoch, padding)| {
        Shape {
            records,
            gap,
            is_new_epoch,
            padding,
        }
    })
}
