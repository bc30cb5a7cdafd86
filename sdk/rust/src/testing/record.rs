//! Records to try a plugin with, and batches of them.

use crate::batch::{FIXED_BYTES, NO_KEY};
use crate::needs::{Needs, ValueNeed};

/// A record to try a plugin with. A new one has the subject `test`, an empty value, no key and no headers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TestRecord {
    key: Option<Vec<u8>>,
    subject: String,
    headers: Vec<(String, Vec<u8>)>,
    value: Vec<u8>,
}

impl Default for TestRecord {
    fn default() -> Self {
        Self {
            key: None,
            subject: "test".to_owned(),
            headers: Vec::new(),
            value: Vec::new(),
        }
    }
}

impl TestRecord {
    /// A record with the subject `test` and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this key.
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    /// With this subject.
    pub fn subject(self, subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            ..self
        }
    }

    /// With one header more.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this value.
    pub fn value(self, value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: value.into(),
            ..self
        }
    }

    /// With this value, which becomes a JSON text.
    #[expect(clippy::needless_pass_by_value, reason = "for json!(…)")]
    pub fn json(self, value: serde_json::Value) -> Self {
        self.value(value.to_string())
    }

    /// Appends it to a batch, as much of it as is needed.
    fn pack(&self, needs: &Needs, batch: &mut Vec<u8>) {
        let key = self.key.as_deref().map(|key| if needs.key { key } else { &[] });
        let subject = if needs.subject {
            self.subject.as_bytes()
        } else {
            &[]
        };
        let headers = if needs.headers {
            self.packed_headers()
        } else {
            Vec::new()
        };
        let value = match needs.value {
            ValueNeed::None => &[],
            ValueNeed::Prefix(bytes) => &self.value[..self.value.len().min(bytes as usize)],
            ValueNeed::Whole => &self.value[..],
        };
        let key_bytes = key.unwrap_or_default();
        let length = FIXED_BYTES + key_bytes.len() + subject.len() + headers.len() + value.len();
        batch.extend(word(length));
        batch.extend(key.map_or(NO_KEY.to_le_bytes(), |key| word(key.len())));
        for length in [subject.len(), headers.len(), value.len(), self.value.len()] {
            batch.extend(word(length));
        }
        for part in [key_bytes, subject, &headers, value] {
            batch.extend_from_slice(part);
        }
    }

    fn packed_headers(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        for (name, value) in &self.headers {
            packed.extend(word(name.len()));
            packed.extend(word(value.len()));
            packed.extend_from_slice(name.as_bytes());
            packed.extend_from_slice(value);
        }
        packed
    }
}

/// A batch as a host gives it to a plugin with these needs.
pub fn pack(records: &[TestRecord], needs: &Needs) -> Vec<u8> {
    let mut batch = Vec::new();
    batch.extend(word(records.len()));
    batch.extend(word(FIXED_BYTES));
    for record in records {
        record.pack(needs, &mut batch);
    }
    batch
}

/// Tests have no lengths that do not fit.
fn word(length: usize) -> [u8; 4] {
    (length as u32).to_le_bytes()
}
