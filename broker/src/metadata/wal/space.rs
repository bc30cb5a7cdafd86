//! Room for records: reserved ahead, begun anew when a segment is full, given back when entries are purged.

use strandline_core::disk::OpenMode;

use super::active::{Active, Begin, begin_segment, round_up, write_zeroes};
use super::log::{Sealed, Wal};
use super::segment;
use super::{Use, WalError};

/// Room that is left to consensus even when the headroom is used: a few votes and entries of its own.
const MIN_HEADROOM_BYTES: u64 = 4 << 10;

impl Wal {
    /// Makes sure that records of `bytes` in all find room on the disk; begins a new segment when the active one is full.
    /// After [`WalError::Full`] the log is as it was.
    ///
    /// What is not `Essential` must leave the headroom untouched, so that a full disk can still be made less full and a
    /// broker on it can still start.
    pub(crate) fn reserve(&mut self, bytes: u64, use_of: Use) -> Result<(), WalError> {
        self.check_poison()?;
        let reserved = self.reserve_with_headroom(bytes);
        let fits = self
            .active
            .end
            .saturating_add(bytes)
            .saturating_add(MIN_HEADROOM_BYTES)
            <= self.active.reserved_end;
        match reserved {
            Err(error) if error.is_full() && use_of == Use::Essential && fits => Ok(()),
            reserved => reserved,
        }
    }

    /// Removes the segments that hold only purged entries, oldest first.
    pub(crate) fn remove_purged(&mut self) -> Result<(), WalError> {
        self.check_poison()?;
        let Some((purged, _)) = self.summary.purged else {
            return Ok(());
        };
        while let Some(oldest) = self.sealed.front() {
            if oldest.last_index.is_some_and(|last| last > purged) {
                break;
            }
            let path = segment::path_of(&self.dir, oldest.segment);
            self.disk
                .remove_file(&path)
                .map_err(WalError::io("remove", &path))?;
            self.sealed.pop_front();
            // One at a time: a crash must not leave an older segment without the one that follows it.
            let synced = self
                .disk
                .sync_dir(&self.dir)
                .map_err(WalError::io("sync", &self.dir));
            self.poison_on_error(synced)?;
        }
        Ok(())
    }

    fn reserve_with_headroom(&mut self, bytes: u64) -> Result<(), WalError> {
        if self.active.end >= self.settings.segment_bytes {
            self.roll()?;
        }
        self.reserve_in_active(bytes.saturating_add(self.settings.headroom_bytes))
    }

    fn roll(&mut self) -> Result<(), WalError> {
        let begin = Begin {
            segment: self.active.segment.saturating_add(1),
            previous_end: self.active.end,
            room: &self.settings,
        };
        let path = segment::path_of(&self.dir, begin.segment);
        let begun = begin_segment(&*self.disk, &self.dir, &self.summary, begin);
        let active = match begun {
            // The name is given last. Without it nothing has changed.
            Err(error) if error.is_full() && self.disk.open(&path, OpenMode::Read).is_err() => {
                return Err(error);
            }
            begun => self.poison_on_error(begun)?,
        };
        let before = std::mem::replace(&mut self.active, active);
        if let Err(error) = before.seal() {
            tracing::warn!(%error, "a full segment of the metadata log is not marked as such");
        }
        let Active {
            segment, last_index, ..
        } = before;
        self.sealed.push_back(Sealed { segment, last_index });
        self.committed_is_unwritten = false;
        if let Err(error) = self.remove_purged() {
            tracing::warn!(%error, "purged files of the metadata log stay for now");
        }
        self.check_poison()
    }

    fn reserve_in_active(&mut self, bytes: u64) -> Result<(), WalError> {
        let Active {
            reserved_end, end, ..
        } = self.active;
        let target = round_up(end.saturating_add(bytes), self.settings.reserve_step_bytes);
        if end.saturating_add(bytes) <= reserved_end {
            return Ok(());
        }
        let path = self.active.path.clone();
        match write_zeroes(&*self.active.file, reserved_end, target).map_err(WalError::io("write", &path)) {
            // Zeroes behind the end are what a reader takes for the end, so those that were written may stay.
            Err(error) if error.is_full() => return Err(error),
            written => self.poison_on_error(written)?,
        }
        let synced = self.active.file.sync_data();
        self.poison_after_sync(synced, &path)?;
        self.active.reserved_end = target;
        Ok(())
    }
}
