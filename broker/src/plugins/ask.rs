//! Asking the plugins of a chain about records.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use strandline_plugins::{Failure, Found, Judgement, Keys, Packer, Verdict};

use strandline_core::StreamName;
use strandline_core::plugin::{ErrorPolicy, Side};
use strandline_core::record::RecordView;

use super::chains::{Judge, Link};
use super::reasons::{Judged, Reasons};
use super::shadow::{Answers, Shadows};

/// Why a record is a dead letter by a filter's own verdict and the filter says no more.
const SENT: &str = "the plugin sent it there";
/// What is wrong with such a verdict where there are no dead letters.
const NO_LETTERS: &str =
    "the plugin sent it to the dead letters, and the attachment names no stream for them";

/// Buffers for questions to plugins; one for each thread that asks.
pub(super) struct Asker {
    shadows: Shadows,
    packer: Packer,
    judgement: Judgement,
    keys: Keys,
}

/// What becomes of a record that does not simply go on.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    /// It is left out.
    Drop,
    /// It goes to the dead letters.
    Letter {
        /// Their stream.
        to: &'a StreamName,
        /// Version of the plugin that was asked.
        version: u32,
        /// In words for a person.
        reason: Cow<'a, str>,
    },
    /// The plugin failed on it, and whoever waits for it is to know.
    Fail {
        /// Version of the plugin that was asked.
        version: u32,
        /// In words for a person.
        reason: Cow<'a, str>,
    },
}

/// What an answer means.
enum Meaning<'a> {
    Pass,
    Other(Outcome<'a>),
}

impl Asker {
    pub(super) fn new(shadows: Shadows) -> Self {
        Self {
            shadows,
            packer: Packer::default(),
            judgement: Judgement::default(),
            keys: Keys::default(),
        }
    }

    /// Asks a filter about the records with these numbers. Those that pass stay in `numbers`; what becomes of each of the others
    /// is told.
    pub(super) fn filter(
        &mut self,
        link: &Link,
        records: &[RecordView<'_>],
        numbers: &mut Vec<usize>,
        mut other: impl FnMut(usize, Outcome<'_>),
    ) {
        let (mut asked, mut kept) = (0, 0);
        while asked < numbers.len() {
            let judge = link.for_batch();
            let begun = asked;
            asked += self.pack(&judge, records, &numbers[begun..]);
            let since = Instant::now();
            judge.live.judge(self.packer.batch(), &mut self.judgement);
            if let Some(canary) = judge.shadow {
                let answers = || Answers::Verdicts(self.judgement.verdicts().collect());
                self.shadows
                    .compare(canary, records, &numbers[begun..asked], answers);
            }
            if self.judgement.all_pass() {
                numbers.copy_within(begun..asked, kept);
                kept += asked - begun;
                continue;
            }
            let judged = Judged {
                live: judge.live,
                records,
                numbers: &numbers[begun..asked],
                judgement: &self.judgement,
                since,
            };
            let reasons = Reasons::ask(judged, link.entry.debug, &mut self.packer);
            for place in begun..asked {
                let number = numbers[place];
                match self.meaning(link, &judge, &reasons, place - begun) {
                    Meaning::Pass => {
                        numbers[kept] = number;
                        kept += 1;
                    }
                    Meaning::Other(outcome) => other(number, outcome),
                }
            }
        }
        numbers.truncate(kept);
    }

    /// Asks a key extractor about the records with these numbers, which have no keys. Those stay in `numbers` that go on without
    /// one; `found` is told the keys of the others, and what becomes of those that are left out.
    pub(super) fn keys(
        &mut self,
        link: &Link,
        records: &[RecordView<'_>],
        numbers: &mut Vec<usize>,
        mut found: impl FnMut(usize, Result<&[u8], Outcome<'_>>),
    ) {
        let (mut asked, mut kept) = (0, 0);
        while asked < numbers.len() {
            let judge = link.for_batch();
            let begun = asked;
            asked += self.pack(&judge, records, &numbers[begun..]);
            let batch = self.packer.batch();
            judge.live.extract(batch, &mut self.keys);
            if let Some(canary) = judge.shadow {
                let answers = || Answers::keys(&self.keys, batch);
                self.shadows
                    .compare(canary, records, &numbers[begun..asked], answers);
            }
            for place in begun..asked {
                let number = numbers[place];
                let outcome = match self.keys.get(batch, place - begun) {
                    Found::Key(key) => {
                        found(number, Ok(key));
                        continue;
                    }
                    Found::NoKey => None,
                    Found::Failed => match failed(link, &judge, self.keys.failure(place - begun)) {
                        Meaning::Pass => None,
                        Meaning::Other(outcome) => Some(outcome),
                    },
                };
                match outcome {
                    Some(outcome) => found(number, Err(outcome)),
                    None => {
                        numbers[kept] = number;
                        kept += 1;
                    }
                }
            }
        }
        numbers.truncate(kept);
    }

    /// Packs the first of these records for who is to judge them, as many as are asked about at once.
    fn pack(&mut self, judge: &Judge<'_>, records: &[RecordView<'_>], numbers: &[usize]) -> usize {
        self.packer
            .begin(judge.live.needs(), judge.live.records_at_once());
        let is_taken = |number: &&usize| self.packer.push(&records[**number]);
        numbers.iter().take_while(is_taken).count()
    }

    fn meaning<'a>(
        &'a self,
        link: &'a Link,
        judge: &Judge<'_>,
        reasons: &'a Reasons,
        place: usize,
    ) -> Meaning<'a> {
        match self.judgement.verdict(place) {
            Verdict::Pass => Meaning::Pass,
            Verdict::Drop => Meaning::Other(Outcome::Drop),
            Verdict::DeadLetter => match &link.entry.on_error.dead_letters {
                Some(to) => Meaning::Other(Outcome::Letter {
                    to,
                    version: judge.version,
                    reason: Cow::Borrowed(reasons.of(place).unwrap_or(SENT)),
                }),
                // Every subscriber would make its own.
                None if link.entry.side == Side::Read => Meaning::Other(Outcome::Drop),
                None => by_policy(link, judge, Cow::Borrowed(NO_LETTERS)),
            },
            Verdict::Fail => failed(link, judge, self.judgement.failure(place)),
        }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

fn failed<'a>(link: &'a Link, judge: &Judge<'_>, failure: Option<&Failure>) -> Meaning<'a> {
    let reason = failure.map_or(Cow::Borrowed("the plugin gave no answer"), |failure| {
        Cow::Owned(failure.to_string())
    });
    by_policy(link, judge, reason)
}

fn by_policy<'a>(link: &'a Link, judge: &Judge<'_>, reason: Cow<'a, str>) -> Meaning<'a> {
    let (handling, version) = (&link.entry.on_error, judge.version);
    match (handling.policy, &handling.dead_letters) {
        (ErrorPolicy::Pass, _) => Meaning::Pass,
        (ErrorPolicy::Drop, _) => Meaning::Other(Outcome::Drop),
        (ErrorPolicy::DeadLetter, Some(to)) => Meaning::Other(Outcome::Letter { to, version, reason }),
        (ErrorPolicy::DeadLetter | ErrorPolicy::Fail, _) => Meaning::Other(Outcome::Fail { version, reason }),
    }
}
