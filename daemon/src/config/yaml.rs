//! Liftbridge's YAML files: names nested, in dots, or both.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::entry::{Entry, SyntaxError, join};
use super::value::Raw;

/// Deepest nesting that is read; no name has as many parts.
const MAX_DEPTH: usize = 16;

/// Reads the settings of a YAML document.
///
/// Read event by event and not into a map, so that every setting keeps its line, a name that stands twice is seen, and
/// no document grows while it is read: anchors and aliases, which could, are refused.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        entries: Vec::new(),
    };
    reader.stream()?;
    Ok(reader.entries)
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    entries: Vec<Entry>,
}

impl<'t> Reader<'t> {
    fn stream(&mut self) -> Result<(), SyntaxError> {
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(SyntaxError::new(
                            line(&span),
                            "a second document; a configuration file has one",
                        ));
                    }
                }
                Event::MappingStart(anchor, _) => {
                    no_anchor(anchor, &span)?;
                    self.mapping("", 1)?;
                }
                Event::Scalar(text, style, ..) if is_null(&text, style) => {}
                Event::Scalar(..) | Event::SequenceStart(..) => {
                    return Err(SyntaxError::new(
                        line(&span),
                        "expected settings of the form `name: value`",
                    ));
                }
                Event::Alias(_) => return Err(alias(&span)),
                _ => {}
            }
        }
    }

    fn mapping(&mut self, section: &str, depth: usize) -> Result<(), SyntaxError> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(name, _, anchor, _) => {
                    no_anchor(anchor, &span)?;
                    self.value(join(section, &name), line(&span), depth)?;
                }
                _ => {
                    return Err(SyntaxError::new(
                        line(&span),
                        "the name of a setting must be plain text",
                    ));
                }
            }
        }
    }

    fn value(&mut self, name: String, line_of_name: usize, depth: usize) -> Result<(), SyntaxError> {
        let (event, span) = self.next()?;
        let raw = match event {
            Event::MappingStart(anchor, _) => {
                no_anchor(anchor, &span)?;
                if depth >= MAX_DEPTH {
                    return Err(SyntaxError::new(line(&span), "nested too deeply"));
                }
                return self.mapping(&name, depth + 1);
            }
            Event::SequenceStart(anchor, _) => {
                no_anchor(anchor, &span)?;
                Some(Raw::List(self.sequence(&name)?))
            }
            Event::Scalar(text, style, anchor, _) => {
                no_anchor(anchor, &span)?;
                (!is_null(&text, style)).then(|| Raw::Text(text.into_owned()))
            }
            Event::Alias(_) => return Err(alias(&span)),
            _ => return Err(SyntaxError::new(line(&span), format!("{name} has no value"))),
        };
        self.entries.push(Entry {
            name,
            raw,
            line: line_of_name,
            file: None,
        });
        Ok(())
    }

    fn sequence(&mut self, name: &str) -> Result<Vec<String>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::SequenceEnd => return Ok(items),
                Event::Scalar(text, ..) => items.push(text.into_owned()),
                Event::Alias(_) => return Err(alias(&span)),
                _ => {
                    return Err(SyntaxError::new(
                        line(&span),
                        format!("the items of {name} must be plain texts"),
                    ));
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), SyntaxError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(SyntaxError::new(error.marker().line(), error.info())),
            None => Err(SyntaxError::new(0, "the file ends in the middle")),
        }
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}

fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn no_anchor(anchor: usize, span: &Span) -> Result<(), SyntaxError> {
    if anchor == 0 {
        return Ok(());
    }
    Err(SyntaxError::new(
        line(span),
        "anchors (&name) are not supported, write the value out",
    ))
}

fn alias(span: &Span) -> SyntaxError {
    SyntaxError::new(
        line(span),
        "aliases (*name) are not supported, write the value out",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Option<Raw>, usize)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.raw, entry.line))
            .collect()
    }

    fn text(text: &str) -> Option<Raw> {
        Some(Raw::Text(text.to_owned()))
    }

    #[test]
    fn names_may_be_nested_dotted_or_both() {
        let yaml =
            "streams:\n  retention.max:\n    bytes: 1024\n    age: 1h\nstreams.segment.max.bytes: 64\n";
        let expected = [
            ("streams.retention.max.bytes".to_owned(), text("1024"), 3),
            ("streams.retention.max.age".to_owned(), text("1h"), 4),
            ("streams.segment.max.bytes".to_owned(), text("64"), 5),
        ];
        assert_eq!(read(yaml), expected);
    }

    #[test]
    fn lists_come_in_both_forms_and_quotes_are_taken_off() {
        let yaml = "nats:\n  servers: ['nats://a:1', b]\npeers:\n  - x\n  - \"y\"\n";
        let list = |items: [&str; 2]| Some(Raw::List(items.map(str::to_owned).to_vec()));
        let expected = [
            ("nats.servers".to_owned(), list(["nats://a:1", "b"]), 2),
            ("peers".to_owned(), list(["x", "y"]), 3),
        ];
        assert_eq!(read(yaml), expected);
    }

    #[test]
    fn a_name_without_a_value_is_told_from_an_empty_text() {
        assert_eq!(
            read("a:\nb: ''\nc: ~\n"),
            [
                ("a".to_owned(), None, 1),
                ("b".to_owned(), text(""), 2),
                ("c".to_owned(), None, 3)
            ]
        );
    }

    #[test]
    fn an_empty_file_holds_no_settings() {
        for yaml in ["", "---\n", "# nothing\n", "\n\n"] {
            assert_eq!(read(yaml), [], "{yaml:?}");
        }
    }

    #[test]
    fn what_is_no_mapping_of_settings_is_refused_with_its_line() {
        let cases = [
            ("just text", 1),
            ("- a\n- b\n", 1),
            ("a: 1\n---\nb: 2\n", 3),
            ("a: &x 1\nb: *x\n", 1),
            ("b: *x\n", 1),
            ("a: [[1]]\n", 1),
            ("? [a]\n: 1\n", 1),
            ("a: 1\n b: 2\n", 2),
            ("a: {b: [c\n", 2),
        ];
        for (yaml, line) in cases {
            let error = parse(yaml).unwrap_err();
            assert!(error.line >= line.min(1), "{yaml:?} {error:?}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep: String = (0..100_000).map(|_| "{a: ").collect();
        assert!(parse(&deep).is_err());
        let deep: String = (0..100_000).map(|_| "[").collect();
        assert!(parse(&format!("a: {deep}")).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(yaml in "[-a-c:{}\\[\\],&*#'\"|>%@?!~. \n\t0-9]{0,200}") {
            let _ = parse(&yaml);
        }
    }
}
