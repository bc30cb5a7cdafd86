//! Why a filter does not let records pass, in its own words.

use std::fmt::Write;
use std::time::Instant;

use strandline_core::record::RecordView;
use strandline_plugins::{Attachment, Judgement, Packer, Verdict};

/// Drops of a batch whose reasons an attachment in debug mode writes to its log.
const TOLD_DROPS: usize = 32;
/// Bytes of a key that such a line shows.
const SHOWN_KEY_BYTES: usize = 64;

/// A batch that a filter has judged.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) live: &'a Attachment,
    pub(super) records: &'a [RecordView<'a>],
    /// Numbers of its records, by their place in the batch.
    pub(super) numbers: &'a [usize],
    pub(super) judgement: &'a Judgement,
    /// When it was asked: its budget is for the reasons too.
    pub(super) since: Instant,
}

/// Reasons by the place of their record in the batch, in order.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<(usize, String)>);

impl Reasons {
    /// Asks for those of dead letters, which keep them; in debug mode for those of the first drops too. Those of an attachment in
    /// debug mode are written to its log.
    pub(super) fn ask(judged: Judged<'_>, is_debug: bool, packer: &mut Packer) -> Self {
        let mut drops = if is_debug { TOLD_DROPS } else { 0 };
        let is_wanted = |place: &usize| match judged.judgement.verdict(*place) {
            Verdict::DeadLetter => true,
            Verdict::Drop if drops > 0 => {
                drops -= 1;
                true
            }
            _ => false,
        };
        let mut places: Vec<_> = (0..judged.numbers.len()).filter(is_wanted).collect();
        packer.begin(judged.live.needs(), places.len());
        let is_packed = |place: &&usize| packer.push(&judged.records[judged.numbers[**place]]);
        let packed = places.iter().take_while(is_packed).count();
        places.truncate(packed);
        let texts = judged.live.explain_since(packer.batch(), judged.since);
        let told = places.into_iter().zip(texts).filter(|(_, text)| !text.is_empty());
        let reasons = Self(told.collect());
        if is_debug {
            reasons.write_down(judged);
        }
        reasons
    }

    /// That of the record in this place of the batch, if it has one.
    pub(super) fn of(&self, place: usize) -> Option<&str> {
        let found = self.0.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        self.0.get(found).map(|(_, text)| text.as_str())
    }

    fn write_down(&self, judged: Judged<'_>) {
        for (place, text) in &self.0 {
            let record = &judged.records[judged.numbers[*place]];
            let what = match judged.judgement.verdict(*place) {
                Verdict::DeadLetter => "dead letter",
                _ => "drop",
            };
            let mut line = format!("{what} of subject {}", String::from_utf8_lossy(record.subject()));
            if let Some(key) = record.key() {
                let shown = &key[..key.len().min(SHOWN_KEY_BYTES)];
                // Writing to a text does not fail.
                let _ = write!(line, ", key {}", String::from_utf8_lossy(shown));
            }
            judged.live.remark(&format!("{line}: {text}"));
        }
    }
}
