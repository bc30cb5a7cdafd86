//! The plugins of a stream on the way in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use strandline_core::StreamName;
use strandline_core::record::RecordView;

use super::ask::{Asker, Outcome};
use super::chains::{Link, StreamPlugins};
use super::shadow::Shadows;
use crate::partition::{Letter, Reject, Screen, Screened, Verdict};

/// How long records wait for plugins that are being loaded.
const LOADING_MAX_WAIT: Duration = Duration::from_secs(2);
/// How often is looked whether they are.
const LOOK: Duration = Duration::from_millis(10);

/// The filters and key extractors of a stream, as the stage before its partitions asks them.
#[derive(Debug)]
pub(super) struct Inbound {
    stream: StreamName,
    plugins: Arc<StreamPlugins>,
    shadows: Shadows,
    /// Those that nobody uses: as many partitions as the stage has threads ask at once.
    askers: Mutex<Vec<Asker>>,
}

impl Inbound {
    pub(super) fn new(stream: StreamName, plugins: Arc<StreamPlugins>, shadows: Shadows) -> Self {
        Self {
            stream,
            plugins,
            shadows,
            askers: Mutex::default(),
        }
    }

    /// The attachments to ask, filters first; none when one of them does not work.
    fn links(&self) -> Option<(Vec<Link>, Vec<Link>)> {
        let until = Instant::now() + LOADING_MAX_WAIT;
        loop {
            let chains = self.plugins.chains();
            let problem = match (chains.write.ready(), chains.key.ready()) {
                (Ok(write), Ok(key)) => return Some((write.to_vec(), key.to_vec())),
                (Err(problem), _) | (_, Err(problem)) => problem,
            };
            if !problem.is_loading || Instant::now() >= until {
                tracing::debug!(stream = %self.stream, reason = %problem.reason, "messages refused");
                return None;
            }
            drop(chains);
            std::thread::sleep(LOOK);
        }
    }
}

impl Screen for Inbound {
    fn screen(&self, records: &[RecordView<'_>], out: &mut Screened) {
        let Some((filters, extractors)) = self.links() else {
            out.verdicts
                .resize(records.len(), Verdict::Refuse(Reject::PluginMissing));
            return;
        };
        out.verdicts.resize(records.len(), Verdict::Pass);
        let asker = self.askers.lock().pop();
        let mut asker = asker.unwrap_or_else(|| Asker::new(self.shadows.clone()));
        let mut numbers: Vec<_> = (0..records.len()).collect();
        for link in &filters {
            asker.filter(link, records, &mut numbers, |number, outcome| {
                note(out, link, number, outcome);
            });
        }
        numbers.retain(|&number| records[number].key().is_none());
        for link in &extractors {
            asker.keys(link, records, &mut numbers, |number, found| match found {
                Ok(key) => out.found_key(number, key),
                Err(outcome) => note(out, link, number, outcome),
            });
        }
        self.askers.lock().push(asker);
    }
}

fn note(out: &mut Screened, link: &Link, number: usize, outcome: Outcome<'_>) {
    let verdict = match outcome {
        Outcome::Drop => Verdict::Drop,
        Outcome::Fail { .. } => Verdict::Refuse(Reject::PluginFailed),
        Outcome::Letter { to, version, reason } => {
            out.letters.push(Letter {
                record: number,
                to: to.as_str().into(),
                plugin: format!("{}@{version}", link.entry.module).into(),
                reason: reason.into(),
            });
            Verdict::DeadLetter
        }
    };
    out.verdicts[number] = verdict;
}
