//! A file of cases: records, and what a plugin is expected to say of each.
//!
//! ```json
//! {
//!   "settings": {"field": "level", "is": "error"},
//!   "cases": [
//!     {
//!       "name": "another level is dropped",
//!       "record": {"key": "k", "subject": "logs.eu", "headers": {"Region": "eu"}, "value": {"level": "info"}},
//!       "expect": {"verdict": "drop", "reason": "its level is not error"}
//!     }
//!   ]
//! }
//! ```

use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::answer::Outcome;
use super::record::{OwnRecord, WrittenRecord, bytes};
use crate::exit::Failure;

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// All cases of a file.
#[derive(Debug, Default)]
pub(super) struct Cases {
    /// The settings where a case has none of its own.
    pub(super) settings: String,
    pub(super) cases: Vec<Case>,
}

/// A record, or settings alone, and what is expected.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) settings: String,
    pub(super) record: OwnRecord,
    pub(super) expected: Expected,
}

/// What a plugin is expected to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Anything but a failure of its own making.
    Answer,
    /// This, for a reason that contains this text.
    Outcome(Outcome, String),
    /// That the settings do not fit, in words that contain this text.
    Refused(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    settings: Option<Box<RawValue>>,
    cases: Vec<WrittenCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    name: Option<String>,
    settings: Option<Box<RawValue>>,
    record: Option<WrittenRecord>,
    #[serde(default)]
    expect: WrittenExpectation,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenExpectation {
    verdict: Option<String>,
    reason: Option<String>,
    /// `null` is no key.
    #[serde(deserialize_with = "there")]
    key: Option<Option<String>>,
    key_base64: Option<String>,
    refused: Option<String>,
}

/// A member that is there, `null` or not.
fn there<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Cases {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or says what makes no sense; names the place.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("cannot read {}: {error}", path.display()));
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_BYTES {
            return Err(Failure::new(format!(
                "{} has {bytes} bytes, more than the {MAX_BYTES} that cases may have: take fewer records",
                path.display()
            )));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: WrittenFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.cases.is_empty() {
            return Err("there is no case in it".to_owned());
        }
        let settings = text_of(file.settings, "{}");
        let cases = file.cases.into_iter().zip(1..).map(|(case, number)| {
            let name = case.name.clone().unwrap_or_else(|| format!("case {number}"));
            case.read(name.clone(), &settings)
                .map_err(|error| format!("case {number} ({name}) {error}"))
        });
        Ok(Self {
            cases: cases.collect::<Result<_, _>>()?,
            settings,
        })
    }
}

impl WrittenCase {
    fn read(self, name: String, settings: &str) -> Result<Case, String> {
        let expected = self.expect.read()?;
        let is_about_settings = matches!(expected, Expected::Refused(_));
        if is_about_settings == self.record.is_some() {
            return Err(if is_about_settings {
                "expects that the settings are refused, so it has no record".to_owned()
            } else {
                "has no record".to_owned()
            });
        }
        Ok(Case {
            name,
            settings: text_of(self.settings, settings),
            record: self.record.unwrap_or_default().read()?,
            expected,
        })
    }
}

impl WrittenExpectation {
    fn read(self) -> Result<Expected, String> {
        let reason = self.reason.unwrap_or_default();
        let key = match (self.key, self.key_base64) {
            (Some(None), None) => Some(Outcome::NoKey),
            (key, base64) => bytes("key", key.flatten(), base64)?.map(Outcome::Key),
        };
        match (self.verdict, key, self.refused) {
            (None, None, None) if reason.is_empty() => Ok(Expected::Answer),
            (Some(verdict), None, None) => Ok(Expected::Outcome(Outcome::of_verdict(&verdict)?, reason)),
            (None, Some(key), None) if reason.is_empty() => Ok(Expected::Outcome(key, reason)),
            (None, None, Some(refusal)) if reason.is_empty() => Ok(Expected::Refused(refusal)),
            _ => Err("expects one of verdict, key and refused; a reason goes with a verdict".to_owned()),
        }
    }
}

fn text_of(settings: Option<Box<RawValue>>, otherwise: &str) -> String {
    settings.map_or_else(|| otherwise.to_owned(), |settings| settings.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_have_their_own_settings_or_the_files() {
        let text = r#"{"settings": {"a": 1}, "cases": [
            {"record": {"value": "v"}, "expect": {"verdict": "drop", "reason": "why"}},
            {"name": "two", "settings": {"a": 2}, "record": {}, "expect": {"key": null}},
            {"record": {}, "expect": {"key_base64": "/w=="}},
            {"record": {}},
            {"settings": {}, "expect": {"refused": "a is missing"}}
        ]}"#;
        let read = Cases::parse(text).unwrap();
        let names: Vec<_> = read.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["case 1", "two", "case 3", "case 4", "case 5"]);
        let settings: Vec<_> = read.cases.iter().map(|case| case.settings.as_str()).collect();
        assert_eq!(
            settings,
            [r#"{"a": 1}"#, r#"{"a": 2}"#, r#"{"a": 1}"#, r#"{"a": 1}"#, "{}"]
        );
        let expected: Vec<_> = read.cases.into_iter().map(|case| case.expected).collect();
        assert_eq!(
            expected,
            [
                Expected::Outcome(Outcome::Drop, "why".to_owned()),
                Expected::Outcome(Outcome::NoKey, String::new()),
                Expected::Outcome(Outcome::Key(b"\xff".to_vec()), String::new()),
                Expected::Answer,
                Expected::Refused("a is missing".to_owned()),
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        for (text, says) in [
            ("{}", "missing field `cases`"),
            (r#"{"cases": []}"#, "no case"),
            (
                r#"{"cases": [{"record": {}, "expekt": {}}]}"#,
                "unknown field `expekt`",
            ),
            (
                r#"{"cases": [{"expect": {"verdict": "pass"}}]}"#,
                "case 1 (case 1) has no record",
            ),
            (
                r#"{"cases": [{"name": "n", "record": {}, "expect": {"verdict": "maybe"}}]}"#,
                "case 1 (n) the verdict \"maybe\" is none of",
            ),
            (
                r#"{"cases": [{"record": {}, "expect": {"verdict": "pass", "key": "k"}}]}"#,
                "one of verdict, key",
            ),
            (
                r#"{"cases": [{"record": {}, "expect": {"reason": "r"}}]}"#,
                "a reason goes with a verdict",
            ),
            (
                r#"{"cases": [{"record": {}, "expect": {"refused": "r"}}]}"#,
                "so it has no record",
            ),
        ] {
            let error = Cases::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
