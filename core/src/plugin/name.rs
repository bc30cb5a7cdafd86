//! Names of plugin modules, checked once where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a plugin module, unique in its cluster. Held to the rules of [`StreamName`](crate::StreamName); `@` is kept
/// for `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

impl ModuleName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks and wraps a name.
    ///
    /// # Errors
    ///
    /// Says which rule the name breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidModuleName> {
        let name = name.into();
        let refuse = |rule| Err(InvalidModuleName { rule });
        if name.is_empty() {
            return refuse("cannot be empty");
        }
        if name.len() > Self::MAX_BYTES {
            return refuse("has at most 255 bytes");
        }
        if name
            .chars()
            .any(|c| c.is_control() || matches!(c, '/' | '\\' | '@'))
        {
            return refuse("has no control characters and none of / \\ @");
        }
        if name == "." || name.contains("..") {
            return refuse("does not look like a path");
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::borrow::Borrow<str> for ModuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModuleName {
    type Error = InvalidModuleName;

    fn try_from(name: String) -> Result<Self, InvalidModuleName> {
        Self::new(name)
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.0
    }
}

/// A text that cannot name a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a plugin {rule}")]
pub struct InvalidModuleName {
    rule: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken_and_paths_and_versions_are_not() {
        for name in ["json-filter", "acme.orders", "ä ö"] {
            assert_eq!(ModuleName::new(name).unwrap().as_str(), name);
        }
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "a\\b", "a\nb", "a..b", "filter@3", &long] {
            assert!(ModuleName::new(name).is_err(), "{name:?}");
        }
    }
}
