//! What a key extractor finds in the records of a batch.

use std::ops::Range;

use crate::failure::{Cause, Failure};
use crate::judgement::Failures;
use crate::layout::{FAIL_SPAN, HEAD_BYTES, NO_KEY_SPAN, SPAN_BYTES};
use crate::packer::PackedBatch;

/// Most bytes of literals that are kept for a batch, whatever parts it is asked about in.
const MAX_LITERALS: usize = 16 << 20;

/// What an extractor finds in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found<'a> {
    /// The record has no key.
    NoKey,
    /// Its key.
    Key(&'a [u8]),
    /// There is no answer; the error policy says what becomes of the record.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Failed,
    NoKey,
    /// Bytes of the batch.
    Batch(u32, u32),
    /// Bytes of the literals.
    Literal(u32, u32),
}

/// What an extractor finds in the records of a batch, in their order. Can be used again and again.
#[derive(Debug, Default)]
pub struct Keys {
    slots: Vec<Slot>,
    literals: Vec<u8>,
    pub(crate) failures: Failures,
    /// Room for parts of a batch.
    pub(crate) scratch: Vec<u8>,
}

impl Keys {
    /// Those of no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there was no record.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What was found in a record of the batch that was asked about; `Failed` past the last one.
    pub fn get<'a>(&'a self, batch: PackedBatch<'a>, index: usize) -> Found<'a> {
        let bytes = |all: &'a [u8], start: u32, end: u32| {
            all.get(start as usize..end as usize)
                .map_or(Found::Failed, Found::Key)
        };
        match self.slots.get(index) {
            None | Some(Slot::Failed) => Found::Failed,
            Some(Slot::NoKey) => Found::NoKey,
            Some(Slot::Batch(start, end)) => bytes(batch.bytes(), *start, *end),
            Some(Slot::Literal(start, end)) => bytes(&self.literals, *start, *end),
        }
    }

    /// Why there is no answer for a record; none where there is one.
    pub fn failure(&self, index: usize) -> Option<&Failure> {
        (self.slots.get(index) == Some(&Slot::Failed))
            .then(|| self.failures.get(index).unwrap_or(Failures::said()))
    }

    /// Records with a key, without one, and without an answer.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let mut counts = [0; 3];
        for slot in &self.slots {
            counts[match slot {
                Slot::Batch(..) | Slot::Literal(..) => 0,
                Slot::NoKey => 1,
                Slot::Failed => 2,
            }] += 1;
        }
        counts
    }

    /// Forgets everything; so many records have no answer yet.
    pub(crate) fn begin(&mut self, records: usize) {
        self.slots.clear();
        self.slots.resize(records, Slot::Failed);
        self.literals.clear();
        self.failures.clear();
    }

    /// Takes the answer about `part`, which holds these records of a batch in which they start at `start`.
    pub(crate) fn take(
        &mut self,
        records: &Range<usize>,
        start: usize,
        part: &[u8],
        answer: &[u8],
    ) -> Result<(), Failure> {
        let Some((spans, literals)) = answer.split_at_checked(records.len() * SPAN_BYTES) else {
            let text = format!(
                "extract returned {} bytes for {} records",
                answer.len(),
                records.len()
            );
            return Err(Failure::new(Cause::Malformed, text));
        };
        let before = self.literals.len();
        if before + literals.len() > MAX_LITERALS {
            let text = format!("extract returned more than {MAX_LITERALS} bytes of literals for a batch");
            return Err(Failure::new(Cause::Malformed, text));
        }
        let mut place = Place {
            part,
            moved: start.saturating_sub(HEAD_BYTES) as u32,
            literals_at: before as u32,
            literals: &mut self.literals,
        };
        place.literals.extend_from_slice(literals);
        let end = place.literals.len() as u32;
        let (spans, _) = spans.as_chunks::<SPAN_BYTES>();
        let slots = self.slots.get_mut(records.clone()).unwrap_or_default();
        for (slot, [a, b, c, d, e, f, g, h]) in slots.iter_mut().zip(spans) {
            let span = (
                u32::from_le_bytes([*a, *b, *c, *d]),
                u32::from_le_bytes([*e, *f, *g, *h]),
            );
            match place.slot(span, end) {
                Some(found) => *slot = found,
                None => {
                    self.literals.truncate(before);
                    return Err(out_of_range(span, part.len() + literals.len()));
                }
            }
        }
        Ok(())
    }

    /// Forgets what an answer said that turned out to be none.
    pub(crate) fn fail(&mut self, records: Range<usize>, failure: &Failure) {
        if let Some(slots) = self.slots.get_mut(records.clone()) {
            slots.fill(Slot::Failed);
        }
        self.failures.push(records, failure);
    }
}

fn out_of_range((start, end): (u32, u32), bytes: usize) -> Failure {
    let text = format!(
        "extract returned the span {start}..{end}, which is not in the {bytes} bytes of batch and literals"
    );
    Failure::new(Cause::Malformed, text)
}

/// Where the spans of one answer lie.
struct Place<'a> {
    part: &'a [u8],
    /// How far records of the part lie behind where the part has them.
    moved: u32,
    literals_at: u32,
    literals: &'a mut Vec<u8>,
}

impl Place<'_> {
    fn slot(&mut self, span: (u32, u32), literals_end: u32) -> Option<Slot> {
        let (start, end) = span;
        let length = self.part.len() as u32;
        match span {
            NO_KEY_SPAN => Some(Slot::NoKey),
            FAIL_SPAN => Some(Slot::Failed),
            _ if start > end => None,
            _ if start == end => {
                let is_inside = start - length.min(start) <= literals_end - self.literals_at;
                is_inside.then_some(Slot::Literal(0, 0))
            }
            _ if start >= length => {
                let (start, end) = (start - length, end - length);
                let is_inside = end <= literals_end - self.literals_at;
                is_inside.then_some(Slot::Literal(self.literals_at + start, self.literals_at + end))
            }
            _ if end > length => None,
            // The head of a part is not that of the batch.
            _ if (start as usize) < HEAD_BYTES => {
                let at = self.literals.len() as u32;
                self.literals
                    .extend_from_slice(self.part.get(start as usize..end as usize)?);
                Some(Slot::Literal(at, at + end - start))
            }
            _ => Some(Slot::Batch(start + self.moved, end + self.moved)),
        }
    }
}
