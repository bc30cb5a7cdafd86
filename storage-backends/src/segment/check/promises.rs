//! What the state of a log promises about its segments.

use strandline_core::Offset;
use strandline_core::record::BatchHeader;

use super::super::files::{SegmentId, read_whole};
use super::super::index::{self, Index};
use super::super::state::{Content, STATE_FILE, SealedEntry, State};
use super::{Check, Finding, REBUILT, RESTORE, RESTORE_ONLY, Survey};
use crate::epochs::Epochs;

const REBUILD_INDEX: &str = "build it anew with `strandline storage repair --action rebuild-index`; until then look-ups may miss records";

impl Check<'_> {
    /// Checks that the state does not contradict itself.
    pub(super) fn check_state(&mut self, state: &State) {
        let path = self.directory.join(STATE_FILE);
        let contents = || {
            state
                .sealed
                .iter()
                .map(|sealed| &sealed.content)
                .chain([&state.content])
        };
        let problems = [
            (!state.epochs.are_in_order(), "its epochs are out of order"),
            (
                contents().any(|content| content.range.end < content.range.start),
                "a segment ends before it begins",
            ),
            (
                contents()
                    .next()
                    .is_some_and(|first| first.range.end < state.start),
                "the log starts behind its first segment",
            ),
        ];
        for (_, problem) in problems.iter().filter(|(is_wrong, _)| *is_wrong) {
            self.inspector
                .found(Finding::damage(&path, *problem, RESTORE_ONLY));
        }
    }

    /// Checks that a segment reaches to the next one. Compaction keeps that so: the range of a segment does not shrink when
    /// records leave it.
    pub(super) fn check_border(&mut self, sealed: &SealedEntry, next: Offset) {
        let end = sealed.content.range.end;
        if end != next {
            let path = self.directory.join(sealed.id.data_file());
            let problem = format!("the segment ends at offset {end} but the next one begins at {next}");
            self.inspector.found(Finding::damage(path, problem, RESTORE));
        }
    }

    pub(super) fn check_sealed(&mut self, sealed: &SealedEntry, epochs: &Epochs) {
        let (id, promised) = (sealed.id, &sealed.content);
        let Some(mut file) = self.open(id) else { return };
        let length = file.end;
        if length < promised.file_bytes {
            self.found_short(id, length, promised.file_bytes);
        }
        if length > promised.file_bytes {
            let problem = format!(
                "{} bytes behind the end of the segment belong to nothing",
                length - promised.file_bytes
            );
            let finding = Finding::harmless(&file.path, problem, "nothing: they are never read");
            self.inspector.found(finding.at(promised.file_bytes));
        }
        file.end = length.min(promised.file_bytes);
        let guide = self.stored_index(id, Some(promised.file_bytes));
        let survey = self.survey(&file, id, (guide.as_ref(), None), epochs);
        if survey.broken.is_empty() && length >= promised.file_bytes {
            self.compare(id, &survey.found.content, promised);
            self.check_index(id, &survey, promised.file_bytes);
        }
        self.totals.range.end = promised.range.end;
    }

    pub(super) fn check_active(&mut self, state: &State) {
        let (id, durable) = (state.active, state.content.file_bytes);
        self.totals.range.end = state.content.range.end;
        let Some(mut file) = self.open(id) else { return };
        if let Some(cut) = state.cut_at.filter(|&cut| cut < file.end) {
            let problem = "the log was being cut here when the broker ended";
            let finding = Finding::harmless(
                &file.path,
                problem,
                "nothing: the next start of the broker cuts it",
            );
            self.inspector.found(finding.at(cut));
            file.end = cut;
        }
        if file.end < durable {
            self.found_short(id, file.end, durable);
        }
        let guide = self.stored_index(id, Some(durable));
        let survey = self.survey(&file, id, (guide.as_ref(), Some(durable)), &state.epochs);
        if survey.broken.is_empty() && file.end >= durable {
            // Behind what was durable there may be more, of which the state knows nothing.
            if file.end == durable {
                self.compare(id, &survey.found.content, &state.content);
            }
            self.check_index(id, &survey, durable);
        }
        self.totals.range.end = survey.found.content.range.end.max(state.content.range.end);
    }

    fn found_short(&mut self, id: SegmentId, length: u64, promised: u64) {
        let path = self.directory.join(id.data_file());
        let problem = format!("the file ends here but {promised} bytes were durable");
        self.inspector
            .found(Finding::damage(path, problem, RESTORE).at(length));
    }

    /// Compares what is in a segment with what the state says is in it.
    fn compare(&mut self, id: SegmentId, found: &Content, promised: &Content) {
        let times =
            |content: &Content| (content.records > 0).then_some((content.first_time, content.last_time));
        let within = found.records == 0
            || (found.range.start >= promised.range.start && found.range.end <= promised.range.end);
        let problem = if found.records != promised.records {
            format!(
                "holds {} records, the state says {}",
                found.records, promised.records
            )
        } else if found.bytes != promised.bytes {
            format!(
                "holds {} bytes of batches, the state says {}",
                found.bytes, promised.bytes
            )
        } else if times(found) != times(promised) {
            "the times of its first and last record are not those that the state says".to_owned()
        } else if !within {
            format!(
                "holds the offsets {}, the state says {}",
                found.range, promised.range
            )
        } else if id.generation == 0 && found.records > 0 && found.range.end != promised.range.end {
            format!(
                "ends at offset {}, the state says {}",
                found.range.end, promised.range.end
            )
        } else {
            return;
        };
        let path = self.directory.join(id.data_file());
        self.inspector.found(Finding::damage(path, problem, RESTORE));
    }

    /// Compares the index file of a segment with the segment.
    fn check_index(&mut self, id: SegmentId, survey: &Survey, covered: u64) {
        let path = self.directory.join(id.index_file());
        let bytes = match read_whole(self.disk, &path, index::MAX_FILE_BYTES) {
            Ok(Some(bytes)) => bytes,
            // A segment without a batch needs none.
            Ok(None) if survey.found.content.records == 0 => return,
            Ok(None) => {
                self.inspector
                    .found(Finding::harmless(path, "the file is missing", REBUILT));
                return;
            }
            Err(error) => {
                self.inspector.found(Finding::harmless(
                    path,
                    format!("cannot be read: {error}"),
                    REBUILT,
                ));
                return;
            }
        };
        self.inspector.read(bytes.len() as u64);
        match Index::read(&bytes) {
            Err(problem) => self.inspector.found(Finding::harmless(path, problem, REBUILT)),
            Ok((covers, _)) if covers != covered => {
                let problem = format!("it covers {covers} bytes of a segment of {covered}");
                self.inspector.found(Finding::harmless(path, problem, REBUILT));
            }
            Ok((_, index)) => {
                if let Some(position) = index.parts_from(&survey.found.index, covered) {
                    let problem =
                        format!("it is whole, and wrong about what begins at byte {position} of the segment");
                    self.inspector
                        .found(Finding::damage(path, problem, REBUILD_INDEX));
                }
            }
        }
    }
}

/// Checks that a batch has the epoch that the state says begins at its place or before it, if it knows any.
pub(super) fn check_epoch(header: &BatchHeader, epochs: &Epochs) -> Result<(), String> {
    match (epochs.at(header.base), epochs.iter().next()) {
        (Some(known), _) if known != header.epoch => {
            Err(format!("its epoch is {}, the state says {known}", header.epoch))
        }
        (None, Some(first)) => Err(format!("the state knows no epoch before offset {}", first.start)),
        _ => Ok(()),
    }
}
