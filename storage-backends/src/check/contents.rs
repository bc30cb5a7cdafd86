//! What is in a batch whose checksum is right.

use strandline_core::record::{Batch, BatchHeader};
use strandline_core::{LeaderEpoch, Timestamp};

use super::Inspector;

/// Follows the batches of a log from the first to the last, and says which of them breaks a promise.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    last: Option<(Timestamp, LeaderEpoch)>,
    /// Batches that could not be looked into.
    pub(crate) locked: u64,
}

impl Contents {
    /// Looks at the next batch.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn check(&mut self, batch: &Batch, inspector: &mut dyn Inspector) -> Result<(), String> {
        let header = batch.header();
        let before = self.last.replace((header.last_time, header.epoch));
        if let Some((time, epoch)) = before {
            if header.epoch < epoch {
                return Err(format!("epoch {} follows epoch {epoch} in the log", header.epoch));
            }
            if header.first_time < time {
                return Err("the time of its first record is before that of the record before it".to_owned());
            }
        }
        if !header.is_packed() {
            return check_records(batch, header);
        }
        match inspector.unpack(batch)? {
            Some(plain) => check_records(&plain, header),
            None => {
                self.locked += 1;
                Ok(())
            }
        }
    }
}

/// Checks the records against the header that is stored; of a batch that was unpacked that is the packed one's.
fn check_records(plain: &Batch, stored: &BatchHeader) -> Result<(), String> {
    plain.check_records().map_err(|error| error.to_string())?;
    let times = || plain.records().map(|record| stored.time(&record));
    if !times().is_sorted() {
        return Err("the times of its records go back".to_owned());
    }
    if times().last() != Some(stored.last_time) {
        return Err("its last record has another time than its header".to_owned());
    }
    Ok(())
}
