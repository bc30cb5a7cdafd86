//! What would mend a log, in words and as work to do.

use strandline_core::OffsetRange;
use strandline_core::disk::Disk;
use strandline_core::storage::StorageError;

use super::super::files::{SegmentId, read_whole};
use super::super::index::{self, Index};
use super::super::reading::SegmentFile;
use super::super::recovery::{check_reaches, scan};
use super::super::state::{Content, STATE_FILE, SealedEntry};
use super::layout::{Layout, Part};
use super::{Plan, invalid};

impl Layout {
    /// Builds the indexes anew that are not what their segments say.
    pub(super) fn plan_indexes(&self, disk: &dyn Disk) -> Result<Plan, StorageError> {
        let mut plan = Plan::nothing(&self.directory);
        if self.state.is_none() {
            return Err(invalid(
                "the state of the log is missing or damaged: rebuild it first, with --action rebuild-state",
            ));
        }
        for part in &self.parts {
            let Some(promised) = part.promised else { continue };
            if part.is_damaged() {
                let file = part.id.data_file();
                return Err(invalid(format!("{file} is damaged: no index can be built of it")));
            }
            let Some(file) = part.file.as_ref().filter(|_| promised.records > 0) else {
                continue;
            };
            let covered = SegmentFile {
                end: promised.file_bytes,
                ..file.clone()
            };
            let built = scan(&covered, Content::empty(part.id.base), Index::default(), |_| true)
                .map_err(|stop| StorageError::Damaged(stop.damage))?;
            let name = part.id.index_file();
            let path = self.directory.join(&name);
            let stored = read_whole(disk, &path, index::MAX_FILE_BYTES).ok().flatten();
            let encoded = built.index.encode(promised.file_bytes);
            if stored.as_deref() != Some(&encoded) {
                plan.steps.push(format!("write {name} anew from its segment"));
                plan.originals.push(path);
                plan.work.indexes.push((part.id, promised.file_bytes));
            }
        }
        Ok(plan)
    }

    /// Builds a state that cannot be read anew.
    pub(super) fn plan_state(self) -> Result<Plan, StorageError> {
        if self.state.is_some() {
            return Err(invalid(
                "the state of the log is whole: there is nothing to rebuild",
            ));
        }
        for (place, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(place + 1).map(|next| next.id.base);
            if let Some(broken) = part.broken.first() {
                return Err(invalid(format!(
                    "{} is damaged at byte {}: {}; --action cut or drop-damaged rebuilds the state with it",
                    part.id.data_file(),
                    broken.position,
                    broken.reason
                )));
            }
            if let (Some(file), Some(next)) = (&part.file, next) {
                check_reaches(file, part.id, part.found.range.end, next)?;
            }
        }
        let mut plan = Plan::nothing(&self.directory);
        let state = self.state_now();
        plan.steps.push(format!(
            "write the state anew from {} segments with the offsets {} to {}",
            self.parts.len(),
            state.start,
            state.content.range.end
        ));
        plan.originals.push(self.directory.join(STATE_FILE));
        plan.work.durable = Some(state.active);
        plan.work.state = Some(state);
        Ok(plan)
    }

    /// Ends the log before the first place that cannot be read.
    pub(super) fn plan_cut(self) -> Plan {
        let mut plan = Plan::nothing(&self.directory);
        let Some(place) = self.parts.iter().position(Part::is_damaged) else {
            return plan;
        };
        let Some(part) = self.parts.get(place) else {
            return plan;
        };
        let id = SegmentId {
            generation: self.generation.saturating_add(1),
            ..part.id
        };
        let mut state = self.state_now();
        let start = part.id.base.max(state.start);
        let rewrite = part.rewrite(id, part.broken.first().map(|broken| broken.position));
        let content = rewrite.content(start);
        let (end, old_end) = (content.range.end, self.end());
        state.sealed.truncate(place);
        state.epochs.note_all(&part.epochs);
        state.epochs.forget_from(end);
        (state.active, state.content, state.cut_at) = (id, content, None);
        plan.steps.push(format!(
            "write {} with the {} records of {} up to offset {end}",
            id.data_file(),
            content.records,
            part.id.data_file()
        ));
        plan.steps.push(format!(
            "end the log at offset {end}: the next record gets this offset"
        ));
        let gone = self.parts.iter().skip(place).map(|part| part.id);
        plan.remove(gone);
        plan.lost
            .extend((end < old_end).then_some(OffsetRange::new(end, old_end)));
        plan.work.rewrites.push(rewrite);
        plan.work.state = Some(state);
        plan
    }

    /// Takes out what cannot be read.
    pub(super) fn plan_drop(self) -> Plan {
        let mut plan = Plan::nothing(&self.directory);
        if !self.parts.iter().any(Part::is_damaged) {
            return plan;
        }
        let mut state = self.state_now();
        let (end, last) = (self.end(), self.parts.len() - 1);
        let damaged = self
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.is_damaged());
        let mut gone = Vec::new();
        for (place, part) in damaged {
            let id = SegmentId {
                generation: self.generation.saturating_add(1),
                ..part.id
            };
            let rewrite = part.rewrite(id, None);
            let next = self.parts.get(place + 1).map_or(end, |next| next.id.base);
            let start = part
                .promised
                .map_or(part.id.base, |promised| promised.range.start);
            let found = rewrite.content(start);
            let content = Content {
                range: OffsetRange::new(start.min(next), next),
                ..found
            };
            plan.steps.push(format!(
                "write {} with the {} records of {} that can be read",
                id.data_file(),
                content.records,
                part.id.data_file()
            ));
            plan.lost.extend(&part.lost);
            plan.work.rewrites.push(rewrite);
            gone.push(part.id);
            if place < last {
                if let Some(sealed) = state.sealed.get_mut(place) {
                    *sealed = SealedEntry { id, content };
                }
                continue;
            }
            state.epochs.note_all(&part.epochs);
            // Sealed, so that no offset is given again whatever is lost from the end.
            state.sealed.push(SealedEntry { id, content });
            let active = SegmentId {
                base: end,
                generation: self.generation.saturating_add(2),
            };
            plan.steps.push(format!("begin {} behind it", active.data_file()));
            plan.work.create = Some(active);
            (state.active, state.content, state.cut_at) = (active, Content::empty(end), None);
        }
        plan.remove(gone.into_iter());
        plan.work.durable = Some(state.active).filter(|_| self.state.is_none() && plan.work.create.is_none());
        plan.work.state = Some(state);
        plan
    }
}
