//! A filter over packed batches.

use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::log::{self, Level};
use crate::needs::Needs;
use crate::reasons;
use crate::record::Record;
use crate::settings;
use crate::verdict::Verdict;

/// Says of each record whether it passes. The attribute [`filter`](macro@crate::filter) implements it for a type with
/// the name of the function that it stands on.
pub trait Filter {
    /// The settings of an attachment, as the operator writes them in JSON.
    type Settings: DeserializeOwned;

    /// What is read of a record.
    fn needs(settings: &Self::Settings) -> Needs;

    /// The verdict on a record, which depends on nothing but the record and the settings.
    fn judge(record: &Record<'_>, settings: &Self::Settings) -> Verdict;
}

/// A filter with its settings: one instance of the plugin.
pub(crate) struct Instance<F: Filter> {
    settings: F::Settings,
    needs: Needs,
}

impl<F: Filter> Instance<F> {
    /// Reads the settings; the error is a sentence for the operator.
    pub(crate) fn new(settings: &[u8]) -> Result<Self, String> {
        let settings = settings::read(settings)?;
        let needs = F::needs(&settings);
        Ok(Self { settings, needs })
    }

    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Replaces `verdicts` by those of the batch. A malformed batch gets none, which the host takes for a failure.
    pub(crate) fn judge(&self, batch: &[u8], verdicts: &mut Vec<u8>) {
        verdicts.clear();
        let judged = Batch::parse(batch, &self.needs).and_then(|batch| {
            verdicts.reserve(batch.len());
            batch.for_each(|record| verdicts.push(F::judge(record, &self.settings).byte()))
        });
        if judged.is_err() {
            verdicts.clear();
            log::write(Level::Error, format_args!("the host gave a malformed batch"));
        }
    }

    /// Why the records of the batch are not passed.
    pub(crate) fn explain(&self, batch: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        let explained = Batch::parse(batch, &self.needs).and_then(|batch| {
            batch.for_each(|record| {
                texts.push(reasons::collect(|| {
                    let _ = F::judge(record, &self.settings);
                }));
            })
        });
        if explained.is_err() { Vec::new() } else { texts }
    }
}
