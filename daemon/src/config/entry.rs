//! What a configuration file says, before anything is checked.

use std::path::PathBuf;
use std::sync::Arc;

use super::value::Raw;

/// One setting as a file has it: the parts of its name joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name as written.
    pub(crate) name: String,
    /// The value; none for a name that is followed by nothing.
    pub(crate) raw: Option<Raw>,
    /// The line of the name, from 1; 0 when it is not known.
    pub(crate) line: usize,
    /// The file if another one was included; none = the configuration file.
    pub(crate) file: Option<Arc<PathBuf>>,
}

/// A file that cannot be read as its format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) reason: String,
    /// The line, from 1; 0 when it is not known.
    pub(crate) line: usize,
    /// The file if another one was included; none = the configuration file.
    pub(crate) file: Option<Arc<PathBuf>>,
}

impl SyntaxError {
    pub(crate) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            line,
            file: None,
        }
    }
}

/// The name of a setting inside a section.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}
