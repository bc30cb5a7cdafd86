//! Tries a plugin natively, in plain `cargo test`: records go through the packed bytes that a host gives and takes, so
//! only what the plugin needs reaches it.
//!
//! ```
//! use serde::Deserialize;
//! use strandline_plugin::testing::{self, TestRecord, json};
//! use strandline_plugin::{Record, Verdict};
//!
//! #[derive(Deserialize)]
//! struct Settings {
//!     level: String,
//! }
//!
//! #[strandline_plugin::filter(needs(value))]
//! fn only(record: &Record<'_>, settings: &Settings) -> Verdict {
//!     match record.json().field("level") {
//!         Some(level) if level == settings.level.as_str() => Verdict::pass(),
//!         _ => Verdict::drop().because(format_args!("its level is not {}", settings.level)),
//!     }
//! }
//!
//! let filter = testing::filter::<only>(json!({ "level": "error" }))?;
//! let record = TestRecord::new().value(r#"{"level": "info"}"#);
//! assert_eq!(filter.judge(&record), Verdict::drop());
//! assert_eq!(filter.reason(&record), "its level is not error");
//! # Ok::<(), String>(())
//! ```

mod record;

use std::cell::RefCell;

pub use record::{TestRecord, pack};
pub use serde_json::{Value as JsonValue, json};

use crate::filter::{self, Filter};
use crate::key_extractor::{self, Answer, FAIL, KeyExtractor, NO_KEY};
use crate::log::Level;
use crate::needs::Needs;
use crate::verdict::Verdict;

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// A filter with settings.
///
/// # Errors
///
/// The settings do not fit; the text is what an operator gets to see.
#[expect(clippy::needless_pass_by_value, reason = "for json!(…)")]
pub fn filter<F: Filter>(settings: JsonValue) -> Result<FilterTest<F>, String> {
    filter::Instance::new(settings.to_string().as_bytes()).map(FilterTest)
}

/// A key extractor with settings.
///
/// # Errors
///
/// The settings do not fit; the text is what an operator gets to see.
#[expect(clippy::needless_pass_by_value, reason = "for json!(…)")]
pub fn key_extractor<K: KeyExtractor>(settings: JsonValue) -> Result<KeyExtractorTest<K>, String> {
    key_extractor::Instance::new(settings.to_string().as_bytes()).map(KeyExtractorTest)
}

/// What this thread has logged since it was last asked.
pub fn logged() -> Vec<(Level, String)> {
    LOGGED.take()
}

pub(crate) fn log(level: Level, message: &str) {
    LOGGED.with_borrow_mut(|logged| logged.push((level, message.to_owned())));
}

/// A filter with settings, as a host has it.
pub struct FilterTest<F: Filter>(filter::Instance<F>);

impl<F: Filter> FilterTest<F> {
    /// What the plugin tells the host that it needs.
    pub fn needs(&self) -> Needs {
        *self.0.needs()
    }

    /// The verdict on a record.
    pub fn judge(&self, record: &TestRecord) -> Verdict {
        self.judge_all(std::slice::from_ref(record))[0]
    }

    /// The verdicts on a batch of records.
    ///
    /// # Panics
    ///
    /// The filter panics.
    pub fn judge_all(&self, records: &[TestRecord]) -> Vec<Verdict> {
        let verdicts = self.judge_packed(&pack(records, self.0.needs()));
        assert_eq!(verdicts.len(), records.len(), "a verdict for each record");
        let verdicts = verdicts
            .into_iter()
            .map(Verdict::from_byte)
            .collect::<Option<Vec<_>>>();
        verdicts.unwrap_or_else(|| unreachable!("verdicts are made of `Verdict`"))
    }

    /// Why the record is not passed; empty where the filter gives no reason.
    pub fn reason(&self, record: &TestRecord) -> String {
        let batch = pack(std::slice::from_ref(record), self.0.needs());
        self.explain_packed(&batch).pop().unwrap_or_default()
    }

    /// What `judge` of the contract answers.
    pub fn judge_packed(&self, batch: &[u8]) -> Vec<u8> {
        let mut verdicts = Vec::new();
        self.0.judge(batch, &mut verdicts);
        verdicts
    }

    /// What `explain` of the contract answers.
    pub fn explain_packed(&self, batch: &[u8]) -> Vec<String> {
        self.0.explain(batch)
    }
}

/// A key extractor with settings, as a host has it.
pub struct KeyExtractorTest<K: KeyExtractor>(key_extractor::Instance<K>);

/// What a key extractor says of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extracted {
    /// The key.
    Key(Vec<u8>),
    /// It stays without a key.
    NoKey,
    /// The error policy of the attachment decides.
    Fail,
}

impl<K: KeyExtractor> KeyExtractorTest<K> {
    /// What the plugin tells the host that it needs.
    pub fn needs(&self) -> Needs {
        *self.0.needs()
    }

    /// The key of a record, if it gets one.
    pub fn key(&self, record: &TestRecord) -> Option<Vec<u8>> {
        match self.extract(record) {
            Extracted::Key(key) => Some(key),
            Extracted::NoKey | Extracted::Fail => None,
        }
    }

    /// What the plugin says of a record.
    pub fn extract(&self, record: &TestRecord) -> Extracted {
        self.extract_all(std::slice::from_ref(record)).remove(0)
    }

    /// What the plugin says of a batch of records.
    ///
    /// # Panics
    ///
    /// The key extractor panics.
    pub fn extract_all(&self, records: &[TestRecord]) -> Vec<Extracted> {
        let batch = pack(records, self.0.needs());
        let answer = self.extract_packed(&batch);
        let spans_end = records.len() * 8;
        assert!(answer.len() >= spans_end, "a span for each record");
        let (spans, literals) = answer.split_at(spans_end);
        let text = [&batch, literals].concat();
        spans.chunks_exact(8).map(|span| extracted(span, &text)).collect()
    }

    /// What `extract` of the contract answers.
    pub fn extract_packed(&self, batch: &[u8]) -> Vec<u8> {
        let mut answer = Answer::new();
        self.0.extract(batch, &mut answer);
        answer.bytes().to_vec()
    }
}

/// What a span stands for in the batch and the literals behind it.
fn extracted(span: &[u8], text: &[u8]) -> Extracted {
    let words = [0, 4].map(|at| u32::from_le_bytes([span[at], span[at + 1], span[at + 2], span[at + 3]]));
    match words {
        NO_KEY => Extracted::NoKey,
        FAIL => Extracted::Fail,
        [start, end] => Extracted::Key(text[start as usize..end as usize].to_vec()),
    }
}
