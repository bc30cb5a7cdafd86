//! What can be wrong with a configuration. All that is wrong is told at once.

use std::fmt;

use super::value::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// There is no such setting.
    #[error("{origin}: unknown setting {name}{}", did_you_mean(*.nearest))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// What it is called.
        name: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value does not fit its setting.
    #[error("{origin}: {key} {reason}")]
    Invalid {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
    /// A setting stands twice in one place.
    #[error("{second}: {key} is set already, at {first}; remove one of the two")]
    Twice {
        /// The setting.
        key: &'static str,
        /// Where it stands first.
        first: Origin,
        /// Where it stands again.
        second: Origin,
    },
    /// Two settings contradict each other.
    #[error("{key} ({origin}) and {other_key} ({other_origin}) contradict each other: {reason}")]
    Contradiction {
        /// One setting.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
        /// The other.
        other_key: &'static str,
        /// Where that stands.
        other_origin: Origin,
        /// Why both cannot be, and what to do.
        reason: String,
    },
    /// A setting asks for another one that is not there.
    #[error("{origin}: {key} needs {missing}: {reason}")]
    Incomplete {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What is not there.
        missing: &'static str,
        /// What to do.
        reason: &'static str,
    },
    /// A setting asks for what this version does not do.
    #[error("{origin}: {key} = {value} is refused: {reason}")]
    NotBuilt {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: String,
        /// What it holds.
        value: String,
        /// What is missing, and what to do.
        reason: &'static str,
    },
    /// A file is unreadable or does not hold what it should.
    #[error("{origin}: {reason}")]
    File {
        /// The file, or the setting that names it.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
    /// There is no place for the data directory.
    #[error("no default data directory: neither XDG_DATA_HOME nor HOME is set; choose one with --data-dir")]
    NoDataDirectory,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default()
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// `Ok` if nothing is wrong.
    pub(crate) fn none_or(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}
