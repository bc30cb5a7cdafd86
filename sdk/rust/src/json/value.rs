//! A value of a JSON text.

use std::borrow::Cow;
use std::str;

use super::path::{Path, Step};
use super::scan::{Quoted, Scanner};
use super::text;

/// A value of a JSON text, of which only the start is known until something is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Value<'v> {
    /// From its first byte to the end of the text.
    bytes: &'v [u8],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<'v> Value<'v> {
    /// The value that a text is.
    #[inline]
    pub fn new(text: &'v [u8]) -> Self {
        let mut scanner = Scanner::new(text);
        scanner.space();
        Self {
            bytes: scanner.rest(),
        }
    }

    /// What it is, by how it begins.
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        match self.bytes.first()? {
            b'{' => Some(Kind::Object),
            b'[' => Some(Kind::Array),
            b'"' => Some(Kind::String),
            b'-' | b'0'..=b'9' => Some(Kind::Number),
            b't' | b'f' => Some(Kind::Bool),
            b'n' => Some(Kind::Null),
            _ => None,
        }
    }

    /// The value at that path below it.
    #[inline]
    pub fn find(&self, path: &Path) -> Option<Self> {
        path.steps().iter().try_fold(*self, |value, step| match step {
            Step::Field(name) => value.field(name),
            Step::Index(index) => value.index(*index),
        })
    }

    /// A field of an object.
    pub fn field(&self, name: &str) -> Option<Self> {
        let mut scanner = Scanner::new(self.bytes);
        scanner.eat(b'{')?;
        loop {
            scanner.space();
            let found = scanner.string()?;
            scanner.space();
            scanner.eat(b':')?;
            scanner.space();
            if text::equals(&found, name) {
                return Some(Self {
                    bytes: scanner.rest(),
                });
            }
            scanner.value()?;
            scanner.space();
            scanner.eat(b',')?;
        }
    }

    /// An element of an array, counted from 0.
    pub fn index(&self, index: usize) -> Option<Self> {
        let mut scanner = Scanner::new(self.bytes);
        scanner.eat(b'[')?;
        scanner.space();
        for _ in 0..index {
            scanner.value()?;
            scanner.space();
            scanner.eat(b',')?;
            scanner.space();
        }
        let there = scanner.peek()? != b']';
        there.then_some(Self {
            bytes: scanner.rest(),
        })
    }

    /// Its bytes as they stand in the text.
    #[inline]
    pub fn raw(&self) -> Option<&'v [u8]> {
        let mut scanner = Scanner::new(self.bytes);
        scanner.value()?;
        self.bytes.get(..self.bytes.len() - scanner.rest().len())
    }

    /// The text of a string that has no escapes in it. [`Self::text`] gives that of any.
    #[inline]
    pub fn as_str(&self) -> Option<&'v str> {
        match self.text()? {
            Cow::Borrowed(text) => Some(text),
            Cow::Owned(_) => None,
        }
    }

    /// The text of a string; allocates where it has escapes.
    #[inline]
    pub fn text(&self) -> Option<Cow<'v, str>> {
        text::decode(&self.string()?)
    }

    /// A truth value.
    #[inline]
    pub fn as_bool(&self) -> Option<bool> {
        match self.raw()? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Whether it is `null`.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.raw() == Some(b"null")
    }

    /// A whole number.
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// A whole number that is not negative.
    #[inline]
    pub fn as_u64(&self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// Any number, as near as a `f64` can be.
    #[inline]
    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok()
    }

    /// A number as it stands in the text.
    #[inline]
    pub fn number(&self) -> Option<&'v str> {
        if self.kind()? != Kind::Number {
            return None;
        }
        let number = self.raw()?;
        let plain = number
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        if plain { str::from_utf8(number).ok() } else { None }
    }

    #[inline]
    fn string(&self) -> Option<Quoted<'v>> {
        Scanner::new(self.bytes).string()
    }
}

/// Whether it is a string of that text. Allocates nothing.
impl PartialEq<str> for Value<'_> {
    #[inline]
    fn eq(&self, text: &str) -> bool {
        self.string().is_some_and(|string| text::equals(&string, text))
    }
}

/// Whether it is a string of that text. Allocates nothing.
impl PartialEq<&str> for Value<'_> {
    #[inline]
    fn eq(&self, text: &&str) -> bool {
        *self == **text
    }
}
