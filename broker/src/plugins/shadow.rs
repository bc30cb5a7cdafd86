//! Candidates that are asked beside the active version, only to be compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::runtime::Handle;

use strandline_plugins::{Attachment, Found, Judgement, Keys, PackedBatch, Packer, Verdict};

use strandline_core::record::{RecordIter, RecordView};

use super::chains::LiveCanary;

/// Comparisons that go on at the same time, of all streams together. Batches that come while there are as many are not compared: a
/// shadow must cost records no time and the server no memory without a limit.
const MAX_AT_ONCE: usize = 2;

/// Has shadows judge what was judged, off the way of the records.
#[derive(Clone, Debug)]
pub(super) struct Shadows {
    runtime: Handle,
    running: Arc<AtomicUsize>,
}

/// What the active version answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Verdicts(Vec<Verdict>),
    /// None for a record on which the extractor failed.
    Keys(Vec<Option<FoundKey>>),
}

/// The key that was found, or that there is none.
pub(super) type FoundKey = Option<Vec<u8>>;

impl Answers {
    pub(super) fn keys(keys: &Keys, batch: PackedBatch<'_>) -> Self {
        let key = |number| match keys.get(batch, number) {
            Found::Failed => None,
            Found::NoKey => Some(None),
            Found::Key(key) => Some(Some(key.to_vec())),
        };
        Self::Keys((0..keys.len()).map(key).collect())
    }

    fn same_as(&self, other: &Self) -> usize {
        fn same<T: PartialEq>(a: &[T], b: &[T]) -> usize {
            a.iter().zip(b).filter(|(a, b)| a == b).count()
        }
        match (self, other) {
            (Self::Verdicts(a), Self::Verdicts(b)) => same(a, b),
            (Self::Keys(a), Self::Keys(b)) => same(a, b),
            _ => 0,
        }
    }
}

impl Shadows {
    /// Runs them on the threads of this runtime that may block.
    pub(super) fn new(runtime: Handle) -> Self {
        let running = Arc::default();
        Self { runtime, running }
    }

    /// Asks a shadow about these records, some time soon.
    pub(super) fn compare(
        &self,
        canary: &LiveCanary,
        records: &[RecordView<'_>],
        numbers: &[usize],
        answers: impl FnOnce() -> Answers,
    ) {
        if self.running.fetch_add(1, Ordering::AcqRel) >= MAX_AT_ONCE {
            self.running.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let mut copied = BytesMut::new();
        for &number in numbers {
            records[number].copy_to(&mut copied);
        }
        let (canary, answers, running) = (canary.clone(), answers(), Arc::clone(&self.running));
        self.runtime.spawn_blocking(move || {
            let records: Vec<_> = RecordIter::new(&copied).collect();
            let (same, all) = compare(&canary.live, &records, &answers);
            canary.trial.compared(same as u64, (all - same) as u64);
            running.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// How many of the answers are the same, and of how many.
fn compare(shadow: &Attachment, records: &[RecordView<'_>], answers: &Answers) -> (usize, usize) {
    let mut packer = Packer::default();
    let own = match answers {
        Answers::Verdicts(_) => {
            let mut verdicts = Vec::with_capacity(records.len());
            in_batches(shadow, records, &mut packer, |batch| {
                let mut judgement = Judgement::default();
                shadow.judge(batch, &mut judgement);
                verdicts.extend(judgement.verdicts());
            });
            Answers::Verdicts(verdicts)
        }
        Answers::Keys(_) => {
            let mut found = Vec::with_capacity(records.len());
            in_batches(shadow, records, &mut packer, |batch| {
                let mut keys = Keys::default();
                shadow.extract(batch, &mut keys);
                if let Answers::Keys(keys) = Answers::keys(&keys, batch) {
                    found.extend(keys);
                }
            });
            Answers::Keys(found)
        }
    };
    (own.same_as(answers), records.len())
}

fn in_batches(
    shadow: &Attachment,
    records: &[RecordView<'_>],
    packer: &mut Packer,
    mut each: impl FnMut(PackedBatch<'_>),
) {
    let mut rest = records;
    while !rest.is_empty() {
        packer.begin(shadow.needs(), shadow.records_at_once());
        let packed = rest.iter().take_while(|record| packer.push(record)).count();
        each(packer.batch());
        // The first record is always taken.
        rest = rest.get(packed.max(1)..).unwrap_or_default();
    }
}
