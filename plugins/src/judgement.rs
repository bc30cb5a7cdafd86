//! What a filter says about the records of a batch.

use std::ops::Range;
use std::sync::LazyLock;

use crate::failure::{Cause, Failure};

static SAID: LazyLock<Failure> = LazyLock::new(|| Failure::new(Cause::Said, "the plugin fails this record"));

/// What a filter says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes no further.
    Drop,
    /// It goes on.
    Pass,
    /// It goes to the dead letters.
    DeadLetter,
    /// There is no answer; the error policy says what becomes of it.
    Fail,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Drop, Self::Pass, Self::DeadLetter, Self::Fail];

    fn of(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::Fail)
    }
}

/// Why records have no answer: runs of them with the reason of each, in order.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(Range<usize>, Failure)>);

impl Failures {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, records: Range<usize>, failure: &Failure) {
        match self.0.last_mut() {
            Some((last, same)) if last.end == records.start && same == failure => last.end = records.end,
            _ => self.0.push((records, failure.clone())),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Failure> {
        let after = self.0.partition_point(|(records, _)| records.end <= index);
        self.0
            .get(after)
            .filter(|(records, _)| records.contains(&index))
            .map(|(_, failure)| failure)
    }

    /// The reason of a record that the plugin itself has failed.
    pub(crate) fn said() -> &'static Failure {
        &SAID
    }
}

/// What a filter says about the records of a batch, in their order. Can be used again and again.
#[derive(Debug, Default)]
pub struct Judgement {
    bytes: Vec<u8>,
    pub(crate) failures: Failures,
    /// Room for parts of a batch.
    pub(crate) scratch: Vec<u8>,
}

impl Judgement {
    /// One about no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there was no record.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The verdict about a record; `Fail` past the last one.
    pub fn verdict(&self, index: usize) -> Verdict {
        self.bytes
            .get(index)
            .map_or(Verdict::Fail, |byte| Verdict::of(*byte))
    }

    /// All verdicts in order.
    pub fn verdicts(&self) -> impl ExactSizeIterator<Item = Verdict> + '_ {
        self.bytes.iter().map(|byte| Verdict::of(*byte))
    }

    /// Whether every record passes.
    pub fn all_pass(&self) -> bool {
        self.count(Verdict::Pass) == self.len()
    }

    /// How many records have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.bytes.iter().filter(|byte| **byte == verdict as u8).count()
    }

    /// Why there is no answer for a record; none where there is one.
    pub fn failure(&self, index: usize) -> Option<&Failure> {
        (self.verdict(index) == Verdict::Fail && index < self.len())
            .then(|| self.failures.get(index).unwrap_or(Failures::said()))
    }

    /// Forgets everything; so many records have no answer yet.
    pub(crate) fn begin(&mut self, records: usize) {
        self.bytes.clear();
        self.bytes.resize(records, Verdict::Fail as u8);
        self.failures.clear();
    }

    /// Takes the answer for these records, if it is one.
    pub(crate) fn take(&mut self, records: &Range<usize>, answer: Vec<u8>) -> Result<(), Failure> {
        if answer.len() != records.len() {
            let text = format!(
                "judge returned {} verdicts for {} records",
                answer.len(),
                records.len()
            );
            return Err(Failure::new(Cause::Malformed, text));
        }
        if let Some(byte) = answer
            .iter()
            .find(|byte| usize::from(**byte) >= Verdict::ALL.len())
        {
            return Err(Failure::new(
                Cause::Malformed,
                format!("judge returned {byte}, which is no verdict"),
            ));
        }
        if answer.len() == self.bytes.len() {
            self.bytes = answer;
        } else if let Some(place) = self.bytes.get_mut(records.clone()) {
            place.copy_from_slice(&answer);
        }
        Ok(())
    }
}
