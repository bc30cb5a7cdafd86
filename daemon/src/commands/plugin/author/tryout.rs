//! A plugin that is asked about records as a broker would ask it, without effect.

use strandline_plugins::{
    AttachError, AttachOptions, Attachment, Cause, Failure, Found, Judgement, Keys, LogLine, Packer, Source,
    World,
};

use super::answer::{Answer, Outcome};
use super::component::Component;
use super::record::OwnRecord;

/// Lines of a plugin's log that are shown at once.
const LOG_LINES: usize = 200;

/// A plugin with settings.
#[derive(Debug)]
pub(super) struct Tryout {
    attachment: Attachment,
    packer: Packer,
    judgement: Judgement,
    keys: Keys,
    /// How far its log was read.
    read: u64,
}

impl Tryout {
    /// Attaches a component, with the limits of a broker that was told nothing else.
    ///
    /// # Errors
    ///
    /// It does not take the settings, or does not start.
    pub(super) fn new(component: &Component, settings: &str) -> Result<Self, AttachError> {
        let options = AttachOptions {
            settings: settings.to_owned(),
            ..AttachOptions::new(component.world())
        };
        Ok(Self {
            attachment: component.host().attach(component.module(), options)?,
            packer: Packer::new(),
            judgement: Judgement::new(),
            keys: Keys::new(),
            read: 0,
        })
    }

    pub(super) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// What it says of records, in their order; in as few batches as a broker would need. Reasons are there of failures only.
    pub(super) fn ask(&mut self, records: &[OwnRecord]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(records.len());
        while answers.len() < records.len() {
            let taken = self.pack(records.iter().skip(answers.len()));
            match self.world() {
                World::Filter => self.judge(taken, &mut answers),
                World::KeyExtractor => self.extract(taken, &mut answers),
            }
        }
        answers
    }

    /// As [`ask`](Self::ask) about one record, with the reason of whatever verdict it gets.
    pub(super) fn ask_why(&mut self, record: &OwnRecord) -> Answer {
        let answer = self.ask(std::slice::from_ref(record)).pop();
        let mut answer = answer.unwrap_or_else(|| Answer::failed(None));
        if answer.reason.is_empty() && !answer.outcome.is_ordinary() {
            answer.reason = self.reason(record);
        }
        answer
    }

    /// Why a filter does not pass a record; empty where it says nothing.
    pub(super) fn reason(&mut self, record: &OwnRecord) -> String {
        self.pack(std::iter::once(record));
        let reasons = self.attachment.explain(self.packer.batch());
        reasons.into_iter().next().unwrap_or_default()
    }

    /// What it has said since this was last asked, without what the host says about it.
    pub(super) fn said(&mut self) -> Vec<LogLine> {
        let lines = self.attachment.log().read(self.read, LOG_LINES).lines;
        self.read = lines.last().map_or(self.read, |line| line.number);
        lines
            .into_iter()
            .filter(|line| line.source != Source::Host)
            .collect()
    }

    fn world(&self) -> World {
        self.attachment.module().info().world
    }

    /// Packs as many records as fit; at least one, if there is one. Key extractors are only asked about records without a key.
    fn pack<'r>(&mut self, records: impl Iterator<Item = &'r OwnRecord>) -> usize {
        let with_key = self.world() == World::Filter;
        self.packer
            .begin(self.attachment.needs(), self.attachment.records_at_once());
        for record in records {
            if !record.pack(&mut self.packer, with_key) {
                break;
            }
        }
        self.packer.len()
    }

    fn judge(&mut self, taken: usize, answers: &mut Vec<Answer>) {
        self.attachment.judge(self.packer.batch(), &mut self.judgement);
        for place in 0..taken {
            answers.push(match self.judgement.failure(place) {
                Some(failure) => Answer::failed(Some(failure)),
                None => Answer::plain(self.judgement.verdict(place).into()),
            });
        }
    }

    fn extract(&mut self, taken: usize, answers: &mut Vec<Answer>) {
        let batch = self.packer.batch();
        self.attachment.extract(batch, &mut self.keys);
        for place in 0..taken {
            answers.push(match self.keys.get(batch, place) {
                Found::Key(key) => Answer::plain(Outcome::Key(key.to_vec())),
                Found::NoKey => Answer::plain(Outcome::NoKey),
                Found::Failed => Answer::failed(self.keys.failure(place)),
            });
        }
    }
}

impl Answer {
    fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            crashed: false,
            reason: String::new(),
            detail: String::new(),
        }
    }

    /// Of a failure that the plugin itself has chosen only it knows why.
    fn failed(failure: Option<&Failure>) -> Self {
        let told = failure.filter(|failure| failure.cause() != Cause::Said);
        Self {
            outcome: Outcome::Fail,
            crashed: told.is_some(),
            reason: told.map(ToString::to_string).unwrap_or_default(),
            detail: told
                .map(|failure| failure.detail().to_owned())
                .unwrap_or_default(),
        }
    }
}
