//! Liftbridge's first format, which is that of nats-server's files.

use std::path::Path;

use strandline_nats::conf::{self, Value};

use super::entry::{Entry, SyntaxError, join};
use super::keys;
use super::value::Raw;

/// Deepest nesting that is read; no name has as many parts.
const MAX_DEPTH: usize = 16;

/// Reads the settings of a file of blocks. `path` is where the text comes from; it may include other files.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, SyntaxError> {
    let parsed = conf::parse_text(text, path).map_err(|error| SyntaxError {
        reason: error.problem,
        line: error.place.line,
        file: Some(error.place.file),
    })?;
    let mut entries = Vec::new();
    flatten("", parsed, 1, &mut entries)?;
    Ok(entries)
}

fn flatten(
    section: &str,
    block: Vec<conf::Entry>,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), SyntaxError> {
    for conf::Entry {
        key,
        value,
        place,
        is_variable,
    } in block
    {
        let name = join(section, &key);
        // Defined for other values to refer to, as `$name`.
        if is_variable && keys::find(&name).is_none() {
            continue;
        }
        let wrong = |reason: String| SyntaxError {
            reason,
            line: place.line,
            file: Some(place.file.clone()),
        };
        let raw = match value {
            Value::Map(_) if depth >= MAX_DEPTH => return Err(wrong("nested too deeply".to_owned())),
            Value::Map(block) => {
                flatten(&name, block, depth + 1, entries)?;
                continue;
            }
            Value::Array(items) => {
                let items: Option<Vec<String>> = items.into_iter().map(text).collect();
                Raw::List(items.ok_or_else(|| wrong(format!("the items of {name} must be plain texts")))?)
            }
            scalar => Raw::Text(text(scalar).unwrap_or_default()),
        };
        entries.push(Entry {
            name,
            raw: Some(raw),
            line: place.line,
            file: Some(place.file),
        });
    }
    Ok(())
}

/// The text of a value that is neither list nor block.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(on) => Some(on.to_string()),
        Value::Array(_) | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Raw, usize)> {
        let entries = parse(text, Path::new("f")).unwrap().into_iter();
        entries
            .map(|entry| (entry.name, entry.raw.unwrap(), entry.line))
            .collect()
    }

    #[test]
    fn blocks_become_names_in_dots() {
        let text = "log.level: debug\nnats {\n  servers: [\"nats://a:1\", b]\n}\nlog { segment.max.bytes: 64, compact = false }\n";
        let raw = |text: &str| Raw::Text(text.to_owned());
        let expected = [
            ("log.level".to_owned(), raw("debug"), 1),
            (
                "nats.servers".to_owned(),
                Raw::List(vec!["nats://a:1".to_owned(), "b".to_owned()]),
                3,
            ),
            ("log.segment.max.bytes".to_owned(), raw("64"), 5),
            ("log.compact".to_owned(), raw("false"), 5),
        ];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, line) in [("a: 1\nb {\n", 2), ("a: 1\nb: [ {c: 1} ]\n", 2)] {
            let error = parse(text, Path::new("f")).unwrap_err();
            assert!(error.line >= line, "{text:?} {error:?}");
        }
    }
}
