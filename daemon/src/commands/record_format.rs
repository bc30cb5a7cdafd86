//! How records are written to the terminal or to a pipe.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::time;

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line a record for people: partition, offset, time, subject, key, headers, value.
    Text,
    /// The value alone, and a newline.
    Raw,
    /// The value in hexadecimal digits, and a newline.
    Hex,
    /// One JSON object a line.
    Json,
}

/// What is written of one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record<'a> {
    /// The stream.
    pub(crate) stream: &'a str,
    /// The partition.
    pub(crate) partition: u32,
    /// Its offset.
    pub(crate) offset: u64,
    /// Nanoseconds since 1970.
    pub(crate) timestamp: i64,
    /// The subject it was published to.
    pub(crate) subject: &'a str,
    /// Its key; none = it has none.
    pub(crate) key: Option<&'a [u8]>,
    /// Its headers.
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    /// Its value.
    pub(crate) value: &'a [u8],
}

impl Format {
    /// Writes one record.
    pub(crate) fn write(self, record: &Record<'_>, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text => text(record, output),
            Self::Raw => output
                .write_all(record.value)
                .and_then(|()| output.write_all(b"\n")),
            Self::Hex => hex(record.value, output),
            Self::Json => json_line(record, output),
        }
    }
}

fn text(record: &Record<'_>, output: &mut impl Write) -> io::Result<()> {
    write!(
        output,
        "{}/{}  {}  {}",
        record.partition,
        record.offset,
        time::show(record.timestamp),
        readable(record.subject.as_bytes())
    )?;
    if let Some(key) = record.key {
        write!(output, "  key={}", readable(key))?;
    }
    for (name, value) in &record.headers {
        write!(output, "  {}={}", name.escape_debug(), readable(value))?;
    }
    writeln!(output, "  {}", readable(record.value))
}

/// Text as it is, except for what would disturb a terminal; the rest escaped.
pub(super) fn readable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(text) => text
            .chars()
            .map(|c| {
                if c.is_control() {
                    c.escape_default().to_string()
                } else {
                    c.to_string()
                }
            })
            .collect(),
        Err(_) => value.escape_ascii().to_string(),
    }
}

fn hex(value: &[u8], output: &mut impl Write) -> io::Result<()> {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(output, "{digits}")
}

/// What is not UTF-8 goes into a member of its own, `..._base64`, so that nothing is lost and nothing is guessed.
fn json_line(record: &Record<'_>, output: &mut impl Write) -> io::Result<()> {
    let mut members = Map::new();
    members.insert("stream".to_owned(), json!(record.stream));
    members.insert("partition".to_owned(), json!(record.partition));
    members.insert("offset".to_owned(), json!(record.offset));
    members.insert("timestamp".to_owned(), json!(record.timestamp));
    members.insert("time".to_owned(), json!(time::show(record.timestamp)));
    members.insert("subject".to_owned(), json!(record.subject));
    if let Some(key) = record.key {
        insert("key", key, &mut members);
    }
    if !record.headers.is_empty() {
        let mut headers = Map::new();
        for (name, value) in &record.headers {
            insert(name, value, &mut headers);
        }
        members.insert("headers".to_owned(), Value::Object(headers));
    }
    insert("value", record.value, &mut members);
    serde_json::to_writer(&mut *output, &members)?;
    output.write_all(b"\n")
}

pub(super) fn insert(name: &str, bytes: &[u8], members: &mut Map<String, Value>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => members.insert(name.to_owned(), json!(text)),
        Err(_) => members.insert(format!("{name}_base64"), json!(BASE64_STANDARD.encode(bytes))),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(format: Format, record: &Record<'_>) -> String {
        let mut output = Vec::new();
        format.write(record, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn record<'a>() -> Record<'a> {
        Record {
            stream: "orders",
            partition: 1,
            offset: 42,
            timestamp: 0,
            subject: "orders.new",
            key: Some(b"k"),
            headers: vec![("trace", b"7")],
            value: b"hello",
        }
    }

    #[test]
    fn each_format_has_its_form() {
        let record = record();
        assert_eq!(
            written(Format::Text, &record),
            "1/42  1970-01-01T00:00:00.000000000Z  orders.new  key=k  trace=7  hello\n"
        );
        assert_eq!(written(Format::Raw, &record), "hello\n");
        assert_eq!(written(Format::Hex, &record), "68656c6c6f\n");
        let line = written(Format::Json, &record);
        let parsed: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "stream": "orders", "partition": 1, "offset": 42, "timestamp": 0,
            "time": "1970-01-01T00:00:00.000000000Z", "subject": "orders.new", "key": "k",
            "headers": {"trace": "7"}, "value": "hello",
        });
        assert_eq!(parsed, expected);
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_base64_in_json_and_escaped_for_people() {
        let record = Record {
            value: b"\xff\x00",
            key: Some(b"\xfe"),
            ..record()
        };
        let parsed: Value = serde_json::from_str(&written(Format::Json, &record)).unwrap();
        assert_eq!(
            (&parsed["value_base64"], &parsed["key_base64"]),
            (&json!("/wA="), &json!("/g=="))
        );
        assert!(parsed.get("value").is_none());
        assert!(written(Format::Text, &record).ends_with("\\xff\\x00\n"));
    }

    #[test]
    fn no_part_of_a_record_can_move_the_cursor_of_a_terminal() {
        let wild = "a\x1b[2Jb\nc";
        let record = Record {
            subject: wild,
            key: Some(wild.as_bytes()),
            headers: vec![(wild, wild.as_bytes())],
            value: wild.as_bytes(),
            ..record()
        };
        let text = written(Format::Text, &record);
        assert!(
            !text.contains('\x1b') && text.matches('\n').count() == 1,
            "{text:?}"
        );
    }

    #[test]
    fn text_of_any_language_is_shown_as_it_is() {
        let record = Record {
            key: Some("schlüssel".as_bytes()),
            headers: vec![("größe", "klein–groß".as_bytes())],
            value: "日本".as_bytes(),
            ..record()
        };
        assert!(written(Format::Text, &record).ends_with("  key=schlüssel  größe=klein–groß  日本\n"));
    }

    proptest! {
        #[test]
        fn every_record_is_one_valid_json_line(value in any::<Vec<u8>>(), key in any::<Option<Vec<u8>>>(), offset in any::<u64>()) {
            let record = Record { value: &value, key: key.as_deref(), offset, ..record() };
            let line = written(Format::Json, &record);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let parsed: Value = serde_json::from_str(&line).unwrap();
            let back = match (parsed.get("value"), parsed.get("value_base64")) {
                (Some(text), None) => text.as_str().unwrap().as_bytes().to_vec(),
                (None, Some(encoded)) => BASE64_STANDARD.decode(encoded.as_str().unwrap()).unwrap(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(back, value);
        }
    }
}
