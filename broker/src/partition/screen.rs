//! What plugins make of records on their way into a stream.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::RecordView;

use super::chunk::Reject;

/// The plugins on the way into a stream: its filters in their order, then its key extractors. The stage asks it about many
/// records at a time.
pub(crate) trait Screen: fmt::Debug + Send + Sync {
    /// Judges these records. `out` is empty, and holds one verdict for each record afterwards. May take its time, but no more
    /// than the budget of its plugins.
    fn screen(&self, records: &[RecordView<'_>], out: &mut Screened);
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes into the stream.
    Pass,
    /// It is left out, and its publisher is told that nothing is wrong.
    Drop,
    /// It is left out and goes to the dead letters; a [`Letter`] says which and why.
    DeadLetter,
    /// It is left out, and its publisher is told why.
    Refuse(Reject),
}

/// The verdicts of one call, and what belongs to them.
#[derive(Debug, Default)]
pub(crate) struct Screened {
    /// One for each record.
    pub(crate) verdicts: Vec<Verdict>,
    /// Keys that were found for records without one, no more than one for each.
    pub(crate) keys: Vec<FoundKey>,
    /// The bytes of those keys.
    pub(crate) key_bytes: BytesMut,
    /// One for each verdict that sends a record there.
    pub(crate) letters: Vec<Letter>,
}

/// A key that an extractor found.
#[derive(Clone, Debug)]
pub(crate) struct FoundKey {
    /// Number of the record, from 0.
    pub(crate) record: usize,
    /// Where the key lies in [`Screened::key_bytes`].
    pub(crate) at: Range<usize>,
}

/// Why a record goes to the dead letters, and to which.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Number of the record, from 0.
    pub(crate) record: usize,
    /// Stream of the dead letters.
    pub(crate) to: Arc<str>,
    /// Name and version of the plugin.
    pub(crate) plugin: Arc<str>,
    /// In words for a person.
    pub(crate) reason: Arc<str>,
}

impl Screened {
    /// Forgets everything but the buffers.
    pub(crate) fn clear(&mut self) {
        self.verdicts.clear();
        self.keys.clear();
        self.key_bytes.clear();
        self.letters.clear();
    }

    /// Notes the key of a record that has none.
    pub(crate) fn found_key(&mut self, record: usize, key: &[u8]) {
        let start = self.key_bytes.len();
        self.key_bytes.extend_from_slice(key);
        let at = start..self.key_bytes.len();
        self.keys.push(FoundKey { record, at });
    }
}
