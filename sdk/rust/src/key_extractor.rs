//! A key extractor over packed batches.

use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::key::Key;
use crate::log::{self, Level};
use crate::needs::Needs;
use crate::record::Record;
use crate::settings;

/// Two words that stand for no key.
pub(crate) const NO_KEY: [u32; 2] = [u32::MAX, u32::MAX];
/// Two words that leave the record to the error policy.
pub(crate) const FAIL: [u32; 2] = [u32::MAX, 0];

/// Says of each record which bytes are its key. The attribute [`key_extractor`](macro@crate::key_extractor) implements
/// it for a type with the name of the function that it stands on.
pub trait KeyExtractor {
    /// The settings of an attachment, as the operator writes them in JSON.
    type Settings: DeserializeOwned;

    /// What is read of a record.
    fn needs(settings: &Self::Settings) -> Needs;

    /// The key of a record that came without one; it depends on nothing but the record and the settings. An error lets
    /// the error policy of the attachment decide, and says why in the log.
    ///
    /// # Errors
    ///
    /// The key cannot be told.
    fn key<'r>(record: &Record<'r>, settings: &'r Self::Settings) -> Result<Option<Key<'r>>, String>;
}

/// A key extractor with its settings: one instance of the plugin.
pub(crate) struct Instance<K: KeyExtractor> {
    settings: K::Settings,
    needs: Needs,
}

impl<K: KeyExtractor> Instance<K> {
    /// Reads the settings; the error is a sentence for the operator.
    pub(crate) fn new(settings: &[u8]) -> Result<Self, String> {
        let settings = settings::read(settings)?;
        let needs = K::needs(&settings);
        Ok(Self { settings, needs })
    }

    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Replaces `answer` by the spans and literals of the batch. A malformed batch gets none, which the host takes for
    /// a failure.
    pub(crate) fn extract(&self, batch: &[u8], answer: &mut Answer) {
        answer.clear();
        let extracted = Batch::parse(batch, &self.needs).and_then(|parsed| {
            answer.spans.reserve(parsed.len() * size_of_val(&FAIL));
            parsed.for_each(|record| match K::key(record, &self.settings) {
                Ok(Some(key)) => answer.push(batch, key.as_bytes()),
                Ok(None) => answer.push_words(NO_KEY),
                Err(error) => {
                    log::write(Level::Warn, format_args!("no key can be told: {error}"));
                    answer.push_words(FAIL);
                }
            })
        });
        if extracted.is_err() {
            answer.clear();
            log::write(Level::Error, format_args!("the host gave a malformed batch"));
        }
        answer.spans.append(&mut answer.literals);
    }
}

/// Spans, and literals behind them.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    spans: Vec<u8>,
    /// Keys that do not stand in the batch, until they are appended to the spans.
    literals: Vec<u8>,
}

impl Answer {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self {
            spans: Vec::new(),
            literals: Vec::new(),
        }
    }

    /// What the host gets.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.spans
    }

    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.literals.clear();
    }

    /// A key that lies within the batch is told by its place, any other is copied.
    fn push(&mut self, batch: &[u8], key: &[u8]) {
        let offset = key.as_ptr().addr().wrapping_sub(batch.as_ptr().addr());
        let within = offset < batch.len() && key.len() <= batch.len() - offset;
        let start = if within {
            offset
        } else {
            batch.len() + self.literals.len()
        };
        if !within {
            self.literals.extend_from_slice(key);
        }
        // Batches are limited to some megabytes, so positions in them and behind them fit.
        self.push_words([start as u32, (start + key.len()) as u32]);
    }

    fn push_words(&mut self, [start, end]: [u32; 2]) {
        self.spans.extend_from_slice(&start.to_le_bytes());
        self.spans.extend_from_slice(&end.to_le_bytes());
    }
}
