//! From text to values.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lexer::{Lexer, Word};
use super::value::{ConfError, Entry, Place, Value};

/// Deepest nesting of blocks, lists and includes.
const MAX_DEPTH: usize = 32;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads a file and everything that it includes.
///
/// # Errors
///
/// Names file, line and column of what is wrong.
pub fn parse_file(path: &Path) -> Result<Vec<Entry>, ConfError> {
    Parser {
        depth: 0,
        scopes: Vec::new(),
        including: Vec::new(),
    }
    .file(path)
}

/// Reads a text. `include` is relative to the directory of `file`, which names the text in messages.
///
/// # Errors
///
/// As [`parse_file`].
pub fn parse_text(text: &str, file: &Path) -> Result<Vec<Entry>, ConfError> {
    Parser {
        depth: 0,
        scopes: Vec::new(),
        including: Vec::new(),
    }
    .text(text, Arc::new(file.to_owned()))
}

struct Parser {
    depth: usize,
    /// Entries of the enclosing blocks, for variables.
    scopes: Vec<Vec<Entry>>,
    including: Vec<PathBuf>,
}

impl Parser {
    fn file(&mut self, path: &Path) -> Result<Vec<Entry>, ConfError> {
        let place = Place {
            file: Arc::new(path.to_owned()),
            line: 0,
            column: 0,
        };
        let failed = |problem: String| ConfError {
            place: place.clone(),
            problem,
        };
        if self.including.iter().any(|open| open == path) || self.including.len() >= MAX_DEPTH {
            return Err(failed("the file includes itself".to_owned()));
        }
        let length = std::fs::metadata(path)
            .map_err(|error| failed(format!("cannot be read: {error}")))?
            .len();
        if length > MAX_FILE_BYTES {
            return Err(failed(format!(
                "the file has {length} bytes, over {MAX_FILE_BYTES}"
            )));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        self.including.push(path.to_owned());
        let entries = self.text(&text, Arc::new(path.to_owned()));
        self.including.pop();
        entries
    }

    fn text(&mut self, text: &str, file: Arc<PathBuf>) -> Result<Vec<Entry>, ConfError> {
        let mut lexer = Lexer::new(text, file);
        lexer.skip_between()?;
        // A whole file may stand in braces, as JSON does.
        let braced = lexer.peek() == Some('{');
        if braced {
            lexer.next();
        }
        let entries = self.entries(&mut lexer, braced)?;
        lexer.skip_between()?;
        match lexer.peek() {
            None => Ok(entries),
            Some(c) => Err(lexer.error(format!("{c:?} does not belong here"))),
        }
    }

    /// Entries up to the closing brace, or to the end of the text.
    fn entries(&mut self, lexer: &mut Lexer<'_>, braced: bool) -> Result<Vec<Entry>, ConfError> {
        self.enter(lexer)?;
        self.scopes.push(Vec::new());
        let result = self.entries_of_scope(lexer, braced);
        let entries = self.scopes.pop().unwrap_or_default();
        self.depth -= 1;
        result.map(|()| entries)
    }

    fn entries_of_scope(&mut self, lexer: &mut Lexer<'_>, braced: bool) -> Result<(), ConfError> {
        loop {
            lexer.skip_between()?;
            match lexer.peek() {
                None if braced => return Err(lexer.error("a block is not closed by }")),
                None => return Ok(()),
                Some('}') if braced => {
                    lexer.next();
                    return Ok(());
                }
                Some(_) => {}
            }
            let place = lexer.place();
            let key = lexer.key()?;
            let entries = if key == "include" {
                self.include(lexer)?
            } else {
                lexer.skip_to_value();
                vec![Entry {
                    value: self.value(lexer)?,
                    key,
                    place,
                    is_variable: false,
                }]
            };
            if let Some(scope) = self.scopes.last_mut() {
                scope.extend(entries);
            }
        }
    }

    fn include(&mut self, lexer: &mut Lexer<'_>) -> Result<Vec<Entry>, ConfError> {
        let place = lexer.place();
        lexer.skip_to_value();
        let Word { text, .. } = lexer.word()?;
        let directory = place.file.parent().map(Path::to_owned).unwrap_or_default();
        self.file(&directory.join(text))
    }

    fn value(&mut self, lexer: &mut Lexer<'_>) -> Result<Value, ConfError> {
        match lexer.peek() {
            Some('{') => {
                lexer.next();
                Ok(Value::Map(self.entries(lexer, true)?))
            }
            Some('[') => {
                lexer.next();
                self.array(lexer)
            }
            _ => {
                let place = lexer.place();
                let word = lexer.word()?;
                self.scalar(word, &place)
            }
        }
    }

    fn array(&mut self, lexer: &mut Lexer<'_>) -> Result<Value, ConfError> {
        self.enter(lexer)?;
        let mut values = Vec::new();
        loop {
            lexer.skip_between()?;
            match lexer.peek() {
                None => return Err(lexer.error("a list is not closed by ]")),
                Some(']') => {
                    lexer.next();
                    self.depth -= 1;
                    return Ok(Value::Array(values));
                }
                Some(_) => values.push(self.value(lexer)?),
            }
        }
    }

    fn enter(&mut self, lexer: &Lexer<'_>) -> Result<(), ConfError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(lexer.error(format!("blocks are nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }

    fn scalar(&mut self, word: Word, place: &Place) -> Result<Value, ConfError> {
        if word.quoted {
            return Ok(Value::String(word.text));
        }
        // A bcrypt hash looks like a variable but is none.
        let is_hash = ["$2a$", "$2b$", "$2x$", "$2y$"]
            .iter()
            .any(|prefix| word.text.starts_with(prefix));
        match word.text.strip_prefix('$').filter(|_| !is_hash) {
            Some(name) => self.variable(name, place),
            None => Ok(plain(&word.text)),
        }
    }

    /// A variable: the nearest entry of that name in the enclosing blocks, else the environment.
    fn variable(&mut self, name: &str, place: &Place) -> Result<Value, ConfError> {
        let mut scopes = self.scopes.iter_mut().rev();
        let found = scopes.find_map(|scope| scope.iter_mut().rev().find(|entry| entry.key == name));
        if let Some(entry) = found {
            entry.is_variable = true;
            return Ok(entry.value.clone());
        }
        match std::env::var(name) {
            Ok(text) => Ok(plain(&text)),
            Err(_) => Err(ConfError {
                place: place.clone(),
                problem: format!("variable ${name} is neither set before in the file nor in the environment"),
            }),
        }
    }
}

/// A word without quotes: a number, true or false, or text.
fn plain(text: &str) -> Value {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return Value::Boolean(true),
        "false" | "no" | "off" => return Value::Boolean(false),
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Value::Integer(number);
    }
    let looks_like_a_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    match text.parse::<f64>() {
        Ok(number) if looks_like_a_number && number.is_finite() => Value::Float(number),
        _ => Value::String(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (digits, suffix) = text.split_at(end);
    let number: i64 = digits.parse().ok()?;
    let factor: i64 = match suffix.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1000,
        "kb" | "ki" | "kib" => 1 << 10,
        "m" => 1_000_000,
        "mb" | "mi" | "mib" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" | "gi" | "gib" => 1 << 30,
        "t" => 1_000_000_000_000,
        "tb" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Vec<Entry>, ConfError> {
        parse_text(text, Path::new("test.conf"))
    }

    fn value(text: &str, key: &str) -> Value {
        let entries = parse(text).unwrap();
        entries
            .into_iter()
            .rev()
            .find(|entry| entry.key == key)
            .unwrap()
            .value
    }

    #[test]
    fn keys_and_values_are_told_apart_by_any_of_the_signs() {
        for text in [
            "a: 1",
            "a = 1",
            "a 1",
            "a:1",
            "\"a\": 1",
            "{a: 1}",
            "a: 1;",
            "# c\na: 1 // d",
        ] {
            assert_eq!(value(text, "a"), Value::Integer(1), "{text}");
        }
    }

    #[test]
    fn scalars_are_what_they_look_like() {
        let cases = [
            ("1k", Value::Integer(1000)),
            ("2KB", Value::Integer(2048)),
            ("2MiB", Value::Integer(2 << 20)),
            ("-3", Value::Integer(-3)),
            ("1.5", Value::Float(1.5)),
            ("yes", Value::Boolean(true)),
            ("OFF", Value::Boolean(false)),
            ("2s", Value::String("2s".into())),
            ("127.0.0.1:4222", Value::String("127.0.0.1:4222".into())),
            ("\"1\"", Value::String("1".into())),
            ("'a b'", Value::String("a b".into())),
            ("$2a$11$abc/def", Value::String("$2a$11$abc/def".into())),
            ("nats://a:b@c", Value::String("nats://a:b@c".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(value(&format!("x: {text}"), "x"), expected, "{text}");
        }
    }

    #[test]
    fn blocks_and_lists_nest() {
        let text = "a { b: [1, {c: d}\n 2], e { f 3 } }";
        let Value::Map(entries) = value(text, "a") else {
            panic!("a block")
        };
        assert_eq!(entries.len(), 2);
        assert!(matches!(&entries[0].value, Value::Array(values) if values.len() == 3));
    }

    #[test]
    fn variables_come_from_enclosing_blocks_and_the_environment() {
        assert_eq!(
            value("v: 7\na { b: $v }", "a"),
            value("a { b: 7 }", "a").clone_places_of("v: 7\na { b: $v }", "a")
        );
        let error = parse("a: $NO_SUCH_VARIABLE_ANYWHERE").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("test.conf:1:4: variable $NO_SUCH_VARIABLE_ANYWHERE"),
            "{error}"
        );
    }

    #[test]
    fn errors_name_their_place() {
        for (text, place) in [
            ("a: 1\nb {", "test.conf:2:4"),
            ("a: [1", "test.conf:1:6"),
            ("a: \"x", "test.conf:1:4"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.place.to_string(), place, "{error}");
        }
        assert!(parse(&"a {".repeat(100)).is_err());
    }

    #[test]
    fn includes_are_relative_and_may_not_go_round() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("main.conf");
        std::fs::write(&main, "a: 1\ninclude 'sub.conf'\n").unwrap();
        std::fs::write(directory.path().join("sub.conf"), "b: 2\n").unwrap();
        let keys: Vec<_> = parse_file(&main)
            .unwrap()
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        assert_eq!(keys, ["a", "b"]);
        std::fs::write(directory.path().join("sub.conf"), "include 'main.conf'\n").unwrap();
        assert!(
            parse_file(&main)
                .unwrap_err()
                .to_string()
                .contains("includes itself")
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn arbitrary_marks_never_panic(text in "[\\[\\]{}()\"'$:=,;#/\\\\a1 \n]{0,80}") {
            let _ = parse(&text);
        }
    }

    impl Value {
        /// The same value with the places of another reading, for comparisons.
        fn clone_places_of(&self, text: &str, key: &str) -> Value {
            let mut other = value(text, key);
            if let (Value::Map(own), Value::Map(others)) = (self, &mut other) {
                for (own, other) in own.iter().zip(others) {
                    other.value = own.value.clone();
                }
            }
            other
        }
    }
}
