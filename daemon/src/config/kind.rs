//! What a setting may hold, and how its text is read.

use std::time::Duration;

use strandline_broker::settings::Address;

use super::duration;
use super::value::{Raw, Value};

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A part of a NATS subject: no blanks, dots or wildcards.
    Token,
    /// A file or directory.
    Path,
    /// On or off.
    Bool,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A size in bytes.
    Bytes {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A time span in Go's notation; zero is allowed, and otherwise it is at least this long.
    Duration {
        /// The least above zero.
        min: Duration,
        /// Whether zero is allowed.
        zero: bool,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Host and port, or a port.
    Address,
    /// A list of texts.
    List,
}

impl Kind {
    /// Any size that fits Liftbridge's type.
    pub(crate) const BYTES: Self = Self::Bytes {
        min: 0,
        max: i64::MAX,
    };
    /// Any number from zero.
    pub(crate) const COUNT: Self = Self::Integer {
        min: 0,
        max: i64::MAX,
    };
    /// Any time span.
    pub(crate) const DURATION: Self = Self::Duration {
        min: Duration::ZERO,
        zero: true,
    };

    /// Reads a value; the error says what is wrong with it.
    pub(crate) fn read(self, raw: &Raw) -> Result<Value, String> {
        match (self, raw) {
            (Self::List, Raw::List(items)) => list(items.iter().map(String::as_str)),
            (Self::List, Raw::Text(text)) => list([text.as_str()].into_iter()),
            (_, Raw::List(_)) => Err(format!("takes no list but {}", self.describe())),
            (_, Raw::Text(text)) => self.read_text(text),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        match self {
            Self::Text if trimmed.is_empty() => Err("must not be empty".to_owned()),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Path if trimmed.is_empty() => Err("must not be empty".to_owned()),
            Self::Path => Ok(Value::Text(text.to_owned())),
            Self::Token => token(trimmed),
            Self::Bool => boolean(trimmed),
            Self::Integer { min, max } => integer(trimmed, min, max),
            Self::Bytes { min, max } => bytes(trimmed, min, max),
            Self::Duration { min, zero } => time_span(trimmed, min, zero),
            Self::Choice(words) => choice(trimmed, words),
            Self::Address => address(trimmed),
            Self::List => list([text].into_iter()),
        }
    }

    /// The kind in words, for messages and the reference page.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Token => "text without blanks, dots, `*` and `>`".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("number from {min}"),
            Self::Integer { min, max } => format!("number, {min} to {max}"),
            Self::Bytes {
                min: 0,
                max: i64::MAX,
            } => "bytes".to_owned(),
            Self::Bytes { min, max: i64::MAX } => format!("bytes, at least {min}"),
            Self::Bytes { min, max } => format!("bytes, {min} to {max}"),
            Self::Duration { min, zero } => {
                let or_zero = if zero { "" } else { " above zero" };
                if min.is_zero() {
                    format!("duration{or_zero}")
                } else {
                    format!("duration{or_zero}, at least {}", duration::show(min))
                }
            }
            Self::Choice(words) => words.join(", "),
            Self::Address => "host:port, :port or port".to_owned(),
            Self::List => "list".to_owned(),
        }
    }
}

fn token(text: &str) -> Result<Value, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>');
    if text.is_empty() || text.len() > 255 || text.contains(bad) {
        return Err("must be 1 to 255 bytes without blanks, dots, * and >".to_owned());
    }
    Ok(Value::Text(text.to_owned()))
}

fn boolean(text: &str) -> Result<Value, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(Value::Bool(true)),
        "false" | "no" | "off" | "0" => Ok(Value::Bool(false)),
        _ => Err(format!("must be true or false, not {text:?}")),
    }
}

fn integer(text: &str, min: i64, max: i64) -> Result<Value, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| format!("must be a whole number, not {text:?}"))?;
    in_range(number, min, max)
}

fn in_range(number: i64, min: i64, max: i64) -> Result<Value, String> {
    if number < min {
        return Err(format!("must be at least {min}, not {number}"));
    }
    if number > max {
        return Err(format!("must be at most {max}, not {number}"));
    }
    Ok(Value::Integer(number))
}

/// A number of bytes; binary units may be given to save counting zeros.
fn bytes(text: &str, min: i64, max: i64) -> Result<Value, String> {
    const UNITS: [(&str, i64); 4] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    let invalid = || format!("must be a number of bytes such as 1048576 or 1MiB, not {text:?}");
    let number: i64 = number.trim().parse().map_err(|_| invalid())?;
    in_range(number.checked_mul(factor).ok_or_else(invalid)?, min, max)
}

fn time_span(text: &str, min: Duration, zero: bool) -> Result<Value, String> {
    let span = duration::parse(text).map_err(|error| format!("has no valid value: {error}: {text:?}"))?;
    if span.is_zero() && !zero {
        return Err("must be above zero".to_owned());
    }
    if !span.is_zero() && span < min {
        let or_zero = if zero { " or 0" } else { "" };
        return Err(format!(
            "must be at least {}{or_zero}, not {text}",
            duration::show(min)
        ));
    }
    Ok(Value::Duration(span))
}

fn choice(text: &str, words: &'static [&'static str]) -> Result<Value, String> {
    match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
        Some(word) => Ok(Value::Text((*word).to_owned())),
        None => Err(format!("must be one of {}, not {text:?}", words.join(", "))),
    }
}

fn address(text: &str) -> Result<Value, String> {
    if let Ok(port) = text.parse() {
        return Ok(Value::Address(Address { host: None, port }));
    }
    text.parse()
        .map(Value::Address)
        .map_err(|error: strandline_broker::settings::InvalidAddress| format!("has no valid value: {error}"))
}

/// Items may themselves be lists with commas, as in flags and environment variables.
fn list<'t>(items: impl Iterator<Item = &'t str>) -> Result<Value, String> {
    let items: Vec<String> = items
        .flat_map(|item| item.split(','))
        .map(|item| item.trim().to_owned())
        .collect();
    if items.iter().any(String::is_empty) {
        return Err("an item of the list is empty".to_owned());
    }
    Ok(Value::List(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<String, String> {
        kind.read(&Raw::Text(text.to_owned()))
            .map(|value| value.to_string())
    }

    #[test]
    fn texts_are_read_by_kind() {
        let cases = [
            (Kind::Bool, "Yes", "true"),
            (Kind::Bool, "off", "false"),
            (Kind::COUNT, "17", "17"),
            (Kind::Integer { min: -1, max: 5 }, "-1", "-1"),
            (Kind::BYTES, "2MiB", "2097152"),
            (Kind::BYTES, "4096", "4096"),
            (Kind::DURATION, "90s", "1m30s"),
            (Kind::Choice(&["debug", "info"]), "INFO", "info"),
            (Kind::Address, "9292", ":9292"),
            (Kind::Address, "[::1]:9292", "[::1]:9292"),
            (Kind::List, "a, b,c", "[a, b, c]"),
        ];
        for (kind, text, shown) in cases {
            assert_eq!(read(kind, text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn values_that_do_not_fit_their_kind_are_refused() {
        let second = Kind::Duration {
            min: Duration::from_secs(1),
            zero: true,
        };
        let cases = [
            (Kind::Bool, "maybe"),
            (Kind::COUNT, "-1"),
            (Kind::COUNT, "1.5"),
            (Kind::Integer { min: 0, max: 9 }, "10"),
            (Kind::BYTES, "9223372036854775807KiB"),
            (Kind::BYTES, "12 potatoes"),
            (second, "10ms"),
            (
                Kind::Duration {
                    min: Duration::ZERO,
                    zero: false,
                },
                "0",
            ),
            (Kind::Choice(&["debug", "info"]), "loud"),
            (Kind::Address, "192.168.0.1:4222x"),
            (Kind::Address, "70000"),
            (Kind::Token, "a.b"),
            (Kind::Token, "a b"),
            (Kind::Text, ""),
            (Kind::Path, " "),
            (Kind::List, "a,,b"),
        ];
        for (kind, text) in cases {
            assert!(read(kind, text).is_err(), "{kind:?} {text}");
        }
        assert_eq!(read(second, "0").as_deref(), Ok("0s"));
    }

    #[test]
    fn only_lists_take_lists() {
        let raw = Raw::List(vec!["a,b".to_owned(), "c".to_owned()]);
        assert_eq!(
            Kind::List.read(&raw).map(|value| value.to_string()).as_deref(),
            Ok("[a, b, c]")
        );
        assert!(Kind::Text.read(&raw).is_err());
    }
}
