//! What a plugin says of a record.

use std::fmt;

use serde_json::{Map, Value};
use strandline_plugins::Verdict;

use crate::commands::record_format::{insert, readable};

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Pass,
    Drop,
    DeadLetter,
    /// A key extractor has found this key.
    Key(Vec<u8>),
    /// A key extractor has found none.
    NoKey,
    /// The error policy of an attachment would decide.
    Fail,
}

/// What a plugin says of a record, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Whether the call failed, so that the plugin itself has said nothing.
    pub(super) crashed: bool,
    /// Empty where there is nothing to say.
    pub(super) reason: String,
    /// The calls that led to a failure, one a line, innermost first.
    pub(super) detail: String,
}

impl Outcome {
    /// Verdicts by their names in files of cases.
    const VERDICTS: [(&str, Self); 4] = [
        ("pass", Self::Pass),
        ("drop", Self::Drop),
        ("dead-letter", Self::DeadLetter),
        ("fail", Self::Fail),
    ];

    /// The outcome of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn of_verdict(name: &str) -> Result<Self, String> {
        let found = Self::VERDICTS.into_iter().find(|(known, _)| *known == name);
        found
            .map(|(_, outcome)| outcome)
            .ok_or_else(|| format!("the verdict {name:?} is none of pass, drop, dead-letter and fail"))
    }

    /// What it is counted as: keys are not told apart.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::DeadLetter => "dead-letter",
            Self::Key(_) => "key",
            Self::NoKey => "no key",
            Self::Fail => "fail",
        }
    }

    /// Whether the record goes on as an author would want: nobody asks why.
    pub(super) fn is_ordinary(&self) -> bool {
        matches!(self, Self::Pass | Self::Key(_))
    }

    /// As a case expects it.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut members = Map::new();
        match self {
            Self::Key(key) => insert("key", key, &mut members),
            Self::NoKey => {
                members.insert("key".to_owned(), Value::Null);
            }
            verdict => {
                members.insert("verdict".to_owned(), verdict.kind().into());
            }
        }
        members
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Drop => Self::Drop,
            Verdict::DeadLetter => Self::DeadLetter,
            Verdict::Fail => Self::Fail,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {}", readable(key)),
            other => f.write_str(other.kind()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        match self.reason.as_str() {
            "" => Ok(()),
            reason => write!(f, ": {}", readable(reason.as_bytes())),
        }
    }
}
