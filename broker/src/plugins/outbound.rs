//! The filters of a subscription.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use strandline_core::record::RecordView;

use super::ask::{Asker, Outcome};
use super::chains::{Link, StreamPlugins};
use super::shadow::Shadows;

/// The filters that the records of a subscription pass: those of the stream, then its own.
#[derive(Debug)]
pub(crate) struct Outbound {
    plugins: Arc<StreamPlugins>,
    own: Vec<Link>,
    asker: Mutex<Asker>,
}

/// What of some records is delivered.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Numbers of the records that are, in order.
    pub(crate) numbers: Vec<usize>,
    /// The record at which the subscription ends because a filter failed on it, and why.
    pub(crate) failure: Option<(usize, String)>,
}

/// A filter does not work, so nothing is delivered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct NotReady {
    reason: Arc<str>,
    /// Whether it may work soon.
    pub(crate) is_loading: bool,
}

impl Outbound {
    pub(super) fn new(plugins: Arc<StreamPlugins>, own: Vec<Link>, shadows: Shadows) -> Self {
        Self {
            plugins,
            own,
            asker: Mutex::new(Asker::new(shadows)),
        }
    }

    /// Whether there is a filter to ask now.
    pub(crate) fn is_active(&self) -> bool {
        !self.own.is_empty() || !matches!(self.plugins.chains().read.ready(), Ok([]))
    }

    /// Tells of every change of the stream's filters.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.plugins.changes()
    }

    /// Asks the filters about these records. Blocks, for as long as the budgets of the filters at the most.
    ///
    /// # Errors
    ///
    /// A filter of the stream does not work.
    pub(crate) fn pass(&self, records: &[RecordView<'_>]) -> Result<Passed, NotReady> {
        let chains = self.plugins.chains();
        let of_stream = chains.read.ready().map_err(|problem| NotReady {
            reason: Arc::clone(&problem.reason),
            is_loading: problem.is_loading,
        })?;
        let mut passed = Passed {
            numbers: (0..records.len()).collect(),
            failure: None,
        };
        let mut asker = self.asker.lock();
        for link in of_stream.iter().chain(&self.own) {
            let failure = &mut passed.failure;
            asker.filter(link, records, &mut passed.numbers, |number, outcome| {
                let Outcome::Fail { version, reason } = outcome else {
                    return;
                };
                if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                    let plugin = &link.entry.module;
                    let reason = format!("plugin {plugin}@{version} failed on the record: {reason}");
                    *failure = Some((number, reason));
                }
            });
            // What comes behind the record is not delivered, whatever the others say.
            if let Some((first, _)) = passed.failure {
                passed.numbers.retain(|&number| number < first);
            }
        }
        Ok(passed)
    }
}
