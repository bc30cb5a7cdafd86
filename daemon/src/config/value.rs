//! Values of settings and where they come from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use strandline_broker::settings::Address;

use super::duration;

/// A value as a file, a variable or a flag holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// One text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// A value that fits its setting's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text, a word or a path.
    Text(String),
    /// On or off.
    Bool(bool),
    /// A number, of bytes where the setting says so.
    Integer(i64),
    /// A time span.
    Duration(Duration),
    /// Host and port.
    Address(Address),
    /// Texts.
    List(Vec<String>),
}

/// As it could stand in a file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(on) => on.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Duration(span) => f.write_str(&duration::show(*span)),
            Self::Address(Address { host: None, port }) => write!(f, ":{port}"),
            Self::Address(address) => address.fmt(f),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: Arc<PathBuf>,
        /// The line, from 1; 0 when it is not known.
        line: usize,
    },
    /// This environment variable.
    Environment(String),
    /// This flag of the command line.
    Flag(String),
}

impl Origin {
    /// The higher wins.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }

    /// Whether somebody set the value.
    pub(crate) fn is_set(&self) -> bool {
        *self != Self::Default
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}
