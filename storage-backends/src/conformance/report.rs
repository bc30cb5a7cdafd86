//! What came of the cases.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Part;

/// A case in which the contract was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The part of the suite that the case is of.
    pub part: Part,
    /// The case: a sentence of the contract.
    pub case: String,
    /// What was seen instead, and how to see it again.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}: {}\n    {}",
            self.part,
            self.case,
            self.reason.replace('\n', "\n    ")
        )
    }
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Names of the cases that were run.
    pub cases: Vec<String>,
    /// Those that failed.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether no case failed.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes in what came of other cases.
    pub(super) fn add(&mut self, other: Self) {
        self.cases.extend(other.cases);
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} cases failed", self.failures.len(), self.cases.len())?;
        self.failures
            .iter()
            .try_for_each(|failure| writeln!(f, "- {failure}"))
    }
}

/// Runs the cases of one part.
#[derive(Debug)]
pub(super) struct Cases {
    part: Part,
    report: Report,
}

impl Cases {
    pub(super) fn new(part: Part) -> Self {
        let report = Report::default();
        Self { part, report }
    }

    /// Runs a case that fails by a panic.
    pub(super) fn case(&mut self, name: &str, run: impl FnOnce()) {
        self.checked(name, || {
            run();
            Ok(())
        });
    }

    /// Runs a case that fails with its reason, or by a panic.
    pub(super) fn checked(&mut self, name: &str, run: impl FnOnce() -> Result<(), String>) {
        tracing::debug!(case = name, "conformance");
        self.report.cases.push(name.to_owned());
        let outcome =
            catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(said_by(panic.as_ref())));
        if let Err(reason) = outcome {
            self.report.failures.push(Failure {
                part: self.part,
                case: name.to_owned(),
                reason,
            });
        }
    }

    pub(super) fn done(self) -> Report {
        self.report
    }
}

/// The text of a panic.
pub(super) fn said_by(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
        .to_owned()
}
