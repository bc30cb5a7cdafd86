//! Parts of files and records as text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use strandline_broker::maintenance::{Field, Piece, Shown};
use strandline_core::record::{BatchHeader, RecordView};

use crate::commands::record_format::{insert, readable};
use crate::time;

/// How values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Values {
    /// Not, but for their length
    None,
    /// As text; what is none is escaped, and base64 in JSON
    Text,
    /// In hexadecimal digits
    Hex,
    /// In base64
    Base64,
}

/// How everything is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) json: bool,
    pub(super) values: Values,
}

impl Form {
    /// A part with its records from an offset on, at most so many; and how many they are. An entry of an index counts as one.
    pub(super) fn text(self, shown: &Shown<'_>, from: u64, most: Option<u64>) -> (Vec<u8>, u64) {
        let mut out = Vec::new();
        self.piece(&shown.piece, &mut out);
        let Some(stored) = shown.piece.batch else {
            return (out, u64::from(shown.piece.kind == "entry"));
        };
        let plain = match &shown.plain {
            Some(Ok(plain)) => plain,
            Some(Err(problem)) => {
                let fields = vec![("problem", Field::Text(problem.clone()))];
                self.line("unreadable", None, &fields, &mut out);
                return (out, 0);
            }
            None => return (out, 0),
        };
        let header = stored.header();
        let mut count = 0;
        for record in plain.records() {
            let offset = header.base.get() + u64::from(record.offset_delta());
            if offset < from || most.is_some_and(|most| count >= most) {
                continue;
            }
            count += 1;
            if self.json {
                self.json_record(header, offset, &record, &mut out);
            } else {
                self.text_record(header, offset, &record, &mut out);
            }
        }
        (out, count)
    }

    fn piece(self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        self.line(piece.kind, piece.position, &piece.fields, out);
    }

    fn line(self, kind: &str, position: Option<u64>, fields: &[(&'static str, Field)], out: &mut Vec<u8>) {
        if self.json {
            let mut object = Map::new();
            object.insert("kind".to_owned(), json!(kind));
            if let Some(position) = position {
                object.insert("position".to_owned(), json!(position));
            }
            for (name, field) in fields {
                let value = match field {
                    Field::Number(number) => json!(number),
                    Field::Time(nanos) => json!(nanos),
                    Field::Text(text) => json!(text),
                };
                object.insert((*name).to_owned(), value);
            }
            put_json(&Value::Object(object), out);
            return;
        }
        let place = position
            .map(|position| format!(" at {position}"))
            .unwrap_or_default();
        let fields: String = fields
            .iter()
            .map(|(name, field)| match field {
                Field::Number(number) => format!(" {name}={number}"),
                Field::Time(nanos) => format!(" {name}={}", time::show(*nanos)),
                Field::Text(text) => format!(" {name}={}", readable(text.as_bytes())),
            })
            .collect();
        out.extend_from_slice(format!("{kind}{place}:{fields}\n").as_bytes());
    }

    fn text_record(self, header: &BatchHeader, offset: u64, record: &RecordView<'_>, out: &mut Vec<u8>) {
        let mut line = format!("  {offset}  {}", time::show(header.time(record).nanos()));
        line.push_str(&format!("  {}", readable(record.subject())));
        if let Some(key) = record.key() {
            line.push_str(&format!("  key={}", readable(key)));
        }
        for (name, value) in record.headers() {
            line.push_str(&format!("  {}={}", readable(name), readable(value)));
        }
        let value = record.value();
        let shown = match self.values {
            Values::None => format!("({} bytes)", value.len()),
            Values::Text => readable(value),
            Values::Hex => hex(value),
            Values::Base64 => BASE64_STANDARD.encode(value),
        };
        line.push_str(&format!("  {shown}\n"));
        out.extend_from_slice(line.as_bytes());
    }

    fn json_record(self, header: &BatchHeader, offset: u64, record: &RecordView<'_>, out: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert("kind".to_owned(), json!("record"));
        object.insert("offset".to_owned(), json!(offset));
        object.insert("timestamp".to_owned(), json!(header.time(record).nanos()));
        insert("subject", record.subject(), &mut object);
        insert("reply", record.reply(), &mut object);
        if let Some(key) = record.key() {
            insert("key", key, &mut object);
        }
        let mut headers = Map::new();
        for (name, value) in record.headers() {
            insert(&String::from_utf8_lossy(name), value, &mut headers);
        }
        object.insert("headers".to_owned(), Value::Object(headers));
        let value = record.value();
        object.insert("value_bytes".to_owned(), json!(value.len()));
        match self.values {
            Values::None => {}
            Values::Text => insert("value", value, &mut object),
            Values::Hex => drop(object.insert("value_hex".to_owned(), json!(hex(value)))),
            Values::Base64 => {
                object.insert("value_base64".to_owned(), json!(BASE64_STANDARD.encode(value)));
            }
        }
        put_json(&Value::Object(object), out);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put_json(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
    use strandline_core::{LeaderEpoch, Timestamp};

    use super::*;

    fn batch() -> Batch {
        let mut builder = BatchBuilder::new();
        for offset in 7..9 {
            let mut bytes = BytesMut::new();
            let fields = Fields {
                key: Some(b"k"),
                value: b"v\n\xff",
                subject: "orders.new",
                reply: "",
            };
            append_record(&mut bytes, &fields, [("trace", &b"9"[..])]).unwrap();
            let record = RecordIter::new(&bytes).next().unwrap();
            let time = Timestamp::from_nanos(0);
            builder.push(
                &record,
                LeaderEpoch::new(1),
                strandline_core::Offset::new(offset),
                time,
            );
        }
        builder.finish().unwrap()
    }

    fn shown(form: Form, from: u64, most: Option<u64>) -> (String, u64) {
        let batch = batch();
        let piece = Piece {
            kind: "batch",
            position: Some(24),
            fields: vec![("offset", Field::Number(7)), ("first_time", Field::Time(0))],
            batch: Some(&batch),
        };
        let plain = Some(Ok(batch.clone()));
        let (text, count) = form.text(&Shown { piece, plain }, from, most);
        (String::from_utf8(text).unwrap(), count)
    }

    #[test]
    fn a_batch_is_a_line_and_each_of_its_records_another() {
        let form = |values| Form { json: false, values };
        let (text, count) = shown(form(Values::Text), 0, None);
        assert_eq!(count, 2);
        assert_eq!(
            text.lines().next().unwrap(),
            "batch at 24: offset=7 first_time=1970-01-01T00:00:00.000000000Z"
        );
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .starts_with("  7  1970-01-01T00:00:00.000000000Z  orders.new  key=k  trace=9")
        );
        assert!(text.lines().nth(1).unwrap().ends_with("  v\\n\\xff"));
        assert!(shown(form(Values::Hex), 0, None).0.contains("  760aff\n"));
        assert!(shown(form(Values::Base64), 0, None).0.contains("  dgr/\n"));
        assert!(shown(form(Values::None), 0, None).0.contains("  (3 bytes)\n"));
    }

    #[test]
    fn records_before_the_offset_and_over_the_limit_are_left_out() {
        let form = Form {
            json: true,
            values: Values::Text,
        };
        let (text, count) = shown(form, 8, None);
        assert_eq!((text.matches("\"record\"").count(), count), (1, 1));
        let (text, count) = shown(form, 0, Some(1));
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((lines.len(), count), (2, 1));
        assert_eq!(lines[1]["offset"], 7);
        assert_eq!(lines[1]["value_base64"], "dgr/");
        assert_eq!(lines[1]["headers"]["trace"], "9");
    }
}
