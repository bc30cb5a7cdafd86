//! A record that a plugin is asked about here.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use strandline_plugins::{Packer, Parts};

use crate::commands::record_format::insert;

/// Headers that the broker adds to what the publisher set; no plugin sees them.
const RESERVED_HEADERS: [&str; 2] = ["subject", "reply"];
/// What ends the name of a member whose bytes are no text.
const BASE64: &str = "_base64";

/// Everything of a record that a plugin can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnRecord {
    pub(super) key: Option<Bytes>,
    pub(super) subject: String,
    pub(super) headers: Vec<(String, Bytes)>,
    pub(super) value: Bytes,
}

impl OwnRecord {
    /// One that was read from a stream.
    pub(super) fn of(record: &strandline_client::Record) -> Self {
        let own = record
            .headers
            .iter()
            .filter(|(name, _)| !RESERVED_HEADERS.contains(&name.as_str()));
        let mut headers: Vec<_> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        headers.sort_unstable();
        Self {
            key: Some(record.key.clone()).filter(|key| !key.is_empty()),
            subject: record.subject.clone(),
            headers,
            value: record.value.clone(),
        }
    }

    /// Puts it into a batch, with its key unless a key is what is asked for; false when the batch is full.
    pub(super) fn pack(&self, packer: &mut Packer, with_key: bool) -> bool {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_ref()))
            .collect();
        packer.push_parts(&Parts {
            key: self.key.as_deref().filter(|_| with_key),
            subject: self.subject.as_bytes(),
            headers: &headers,
            value: &self.value,
        })
    }

    /// As a case has it, on one line; a value that is a JSON object or array stands there as it is.
    pub(super) fn written(&self) -> String {
        let mut members = self.members();
        let value = self.json_value();
        if value.is_some() {
            members.remove("value");
        }
        let mut parts: Vec<_> = members
            .iter()
            .map(|(name, member)| format!("\"{name}\": {member}"))
            .collect();
        parts.extend(value.map(|text| format!("\"value\": {text}")));
        format!("{{{}}}", parts.join(", "))
    }

    fn json_value(&self) -> Option<&str> {
        let text = str::from_utf8(&self.value).ok()?;
        let is_whole =
            text.starts_with(['{', '[']) && text.ends_with(['}', ']']) && !text.contains(['\n', '\r']);
        (is_whole && serde_json::from_str::<IgnoredAny>(text).is_ok()).then_some(text)
    }

    /// As `subscribe --format json` writes it.
    pub(super) fn json(&self) -> Value {
        self.members().into()
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("subject".to_owned(), self.subject.clone().into());
        if let Some(key) = &self.key {
            insert("key", key, &mut members);
        }
        if !self.headers.is_empty() {
            let mut headers = Map::new();
            for (name, value) in &self.headers {
                insert(name, value, &mut headers);
            }
            members.insert("headers".to_owned(), headers.into());
        }
        insert("value", &self.value, &mut members);
        members
    }
}

/// A record as it is written in a case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenRecord {
    key: Option<String>,
    key_base64: Option<String>,
    subject: String,
    headers: std::collections::BTreeMap<String, String>,
    /// A string is the text; anything else is JSON, which the value is as it stands there.
    value: Option<Box<RawValue>>,
    value_base64: Option<String>,
    // A line of `subscribe --format json` says where it came from.
    #[serde(rename = "stream")]
    _stream: Option<IgnoredAny>,
    #[serde(rename = "partition")]
    _partition: Option<IgnoredAny>,
    #[serde(rename = "offset")]
    _offset: Option<IgnoredAny>,
    #[serde(rename = "timestamp")]
    _timestamp: Option<IgnoredAny>,
    #[serde(rename = "time")]
    _time: Option<IgnoredAny>,
}

impl WrittenRecord {
    /// The record.
    ///
    /// # Errors
    ///
    /// What is said twice, or is no base64.
    pub(super) fn read(self) -> Result<OwnRecord, String> {
        let value = match (self.value, self.value_base64) {
            (Some(_), Some(_)) => return Err("has both value and value_base64".to_owned()),
            (Some(value), None) => text_of(&value)?.into_owned().into_bytes(),
            (None, Some(encoded)) => decode("value_base64", &encoded)?,
            (None, None) => Vec::new(),
        };
        let headers = self
            .headers
            .into_iter()
            .map(|(name, value)| match name.strip_suffix(BASE64) {
                Some(bare) => Ok((bare.to_owned(), decode(&name, &value)?.into())),
                None => Ok((name, value.into())),
            });
        Ok(OwnRecord {
            key: bytes("key", self.key, self.key_base64)?.map(Into::into),
            subject: self.subject,
            headers: headers.collect::<Result<_, String>>()?,
            value: value.into(),
        })
    }
}

/// Bytes that are written as text or as base64.
///
/// # Errors
///
/// They are written both ways, or are no base64.
pub(super) fn bytes(
    name: &str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("has both {name} and {name}{BASE64}")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(encoded)) => decode(&format!("{name}{BASE64}"), &encoded).map(Some),
        (None, None) => Ok(None),
    }
}

fn text_of(value: &RawValue) -> Result<Cow<'_, str>, String> {
    if value.get().starts_with('"') {
        let text: Result<String, _> = serde_json::from_str(value.get());
        return text
            .map(Cow::Owned)
            .map_err(|error| format!("has a value that is no text: {error}"));
    }
    Ok(Cow::Borrowed(value.get()))
}

fn decode(name: &str, encoded: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD
        .decode(encoded)
        .map_err(|error| format!("{name} is no base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OwnRecord, String> {
        let written: WrittenRecord = serde_json::from_str(text).map_err(|error| error.to_string())?;
        written.read()
    }

    #[test]
    fn a_value_is_text_or_json_as_it_stands_there_or_base64() {
        let value = |text: &str| read(text).unwrap().value;
        assert_eq!(value(r#"{"value": "a\nb"}"#), &b"a\nb"[..]);
        assert_eq!(
            value(r#"{"value": {"b": 1.0,  "a": 2}}"#),
            &br#"{"b": 1.0,  "a": 2}"#[..]
        );
        assert_eq!(value(r#"{"value": 17}"#), &b"17"[..]);
        assert_eq!(value(r#"{"value_base64": "/wA="}"#), &b"\xff\x00"[..]);
        assert_eq!(value("{}"), &b""[..]);
    }

    #[test]
    fn what_is_captured_reads_as_it_was() {
        let record = OwnRecord {
            key: Some(Bytes::from_static(b"\xfe")),
            subject: "orders.eu".to_owned(),
            headers: vec![
                ("Region".to_owned(), Bytes::from_static(b"eu")),
                ("Trace".to_owned(), Bytes::from_static(b"\xff")),
            ],
            value: Bytes::from_static(b"{\"a\": 1}\n"),
        };
        assert_eq!(read(&record.json().to_string()).unwrap(), record);
        for value in [
            "{\"b\": 1.0,  \"a\": 2}",
            "{\"a\": 1}\n",
            " [1]",
            "{a}",
            "17",
            "\"a\"",
        ] {
            let record = OwnRecord {
                value: value.into(),
                ..record.clone()
            };
            assert_eq!(read(&record.written()).unwrap(), record, "{}", record.written());
        }
        let line =
            r#"{"stream":"s","partition":0,"offset":1,"timestamp":2,"time":"t","subject":"s","value":"v"}"#;
        assert_eq!(read(line).unwrap().value, &b"v"[..]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, says) in [
            (
                r#"{"value": "a", "value_base64": "YQ=="}"#,
                "both value and value_base64",
            ),
            (r#"{"key": "a", "key_base64": "YQ=="}"#, "both key and key_base64"),
            (r#"{"value_base64": "?"}"#, "value_base64 is no base64"),
            (r#"{"headers": {"A_base64": "?"}}"#, "A_base64 is no base64"),
            (r#"{"values": "a"}"#, "unknown field `values`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
