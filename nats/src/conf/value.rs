//! What a configuration file says.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; empty for text that came from elsewhere.
    pub file: Arc<PathBuf>,
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, quoted or not.
    String(String),
    /// A whole number, suffix applied.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true`, `yes`, `on` and their opposites.
    Boolean(bool),
    /// `[...]`.
    Array(Vec<Value>),
    /// `{...}`, in the order of the file; of a key that comes twice the last entry counts.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as it stands.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where the key stands.
    pub place: Place,
    /// Whether a variable refers to it. Such a key may be one that means nothing by itself.
    pub is_variable: bool,
}

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub problem: String,
}

impl Value {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "text",
            Self::Integer(_) => "a number",
            Self::Float(_) => "a fraction",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "a list",
            Self::Map(_) => "a block",
        }
    }
}
