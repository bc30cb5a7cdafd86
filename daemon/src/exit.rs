//! How the process ends.

use std::fmt;

/// What the exit code says. Documented in `docs/operations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Success = 0,
    /// The command could not be carried out.
    Failed = 1,
    // 2, the command line makes no sense, is what clap ends with.
    /// The configuration is wrong.
    Configuration = 3,
    /// The broker cannot start where it is.
    Start = 4,
    /// No broker answers.
    Unreachable = 5,
    /// A check found damage.
    Damage = 6,
    /// Stopped at once by a second interrupt.
    Interrupted = 130,
    /// Stopped at once by a second request to terminate.
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, as the user is told.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong and what to do; may have several lines.
    pub(crate) message: String,
}

impl Failure {
    /// A command that could not be carried out.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.into(),
        }
    }

    /// With another exit code.
    pub(crate) fn with(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with everything behind it on one line. A cause whose text stands in the error already is left out.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        #[source]
        source: Option<Box<Layer>>,
    }

    #[test]
    fn causes_are_told_once() {
        let inner = Layer {
            text: "no such file",
            source: None,
        };
        let middle = Layer {
            text: "cannot open: no such file",
            source: Some(Box::new(inner)),
        };
        let outer = Layer {
            text: "cannot start",
            source: Some(Box::new(middle)),
        };
        assert_eq!(describe(&outer), "cannot start: cannot open: no such file");
    }
}
