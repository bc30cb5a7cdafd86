//! What a plugin can be asked about a batch, and where the answers go.

use std::ops::Range;

use crate::failure::Failure;
use crate::judgement::Judgement;
use crate::keys::Keys;
use crate::packer::PackedBatch;

/// One of the two questions that a plugin can be asked about a batch.
pub(crate) trait Kind {
    /// The function.
    const NAME: &'static str;

    /// The bytes of these records.
    fn part(&mut self, records: &Range<usize>) -> &[u8];

    /// Keeps an answer, if it is one.
    fn take(&mut self, records: &Range<usize>, answer: Vec<u8>) -> Result<(), Failure>;

    /// These records have no answer.
    fn fail(&mut self, records: Range<usize>, failure: &Failure);
}

/// Asks a filter.
pub(crate) struct Judging<'a> {
    pub(crate) batch: PackedBatch<'a>,
    pub(crate) out: &'a mut Judgement,
}

impl Kind for Judging<'_> {
    const NAME: &'static str = "judge";

    fn part(&mut self, records: &Range<usize>) -> &[u8] {
        self.batch.part(records, &mut self.out.scratch)
    }

    fn take(&mut self, records: &Range<usize>, answer: Vec<u8>) -> Result<(), Failure> {
        self.out.take(records, answer)
    }

    fn fail(&mut self, records: Range<usize>, failure: &Failure) {
        self.out.failures.push(records, failure);
    }
}

/// Asks an extractor.
pub(crate) struct Extracting<'a> {
    pub(crate) batch: PackedBatch<'a>,
    pub(crate) out: &'a mut Keys,
}

impl Kind for Extracting<'_> {
    const NAME: &'static str = "extract";

    fn part(&mut self, records: &Range<usize>) -> &[u8] {
        self.batch.part(records, &mut self.out.scratch)
    }

    fn take(&mut self, records: &Range<usize>, answer: Vec<u8>) -> Result<(), Failure> {
        let scratch = std::mem::take(&mut self.out.scratch);
        let is_all = records.len() == self.batch.len();
        let part = if is_all { self.batch.bytes() } else { &scratch };
        let taken = self.out.take(records, self.batch.start(records), part, &answer);
        self.out.scratch = scratch;
        taken
    }

    fn fail(&mut self, records: Range<usize>, failure: &Failure) {
        self.out.fail(records, failure);
    }
}
