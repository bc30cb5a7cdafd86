//! What came of trying a bucket out.

use super::super::BucketError;

/// Why something that was tried has not worked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The bucket does not do it, or does not let us.
    #[error("{0}")]
    Proven(String),
    /// No usable answer, however often it was tried: whether the bucket does it is not known.
    #[error("{0}")]
    Unknown(String),
}

impl From<BucketError> for Failed {
    fn from(error: BucketError) -> Self {
        match error.leaves_doubt() {
            true => Self::Unknown(error.to_string()),
            false => Self::Proven(error.to_string()),
        }
    }
}

/// One thing that the archive needs of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: &'static str,
    /// Why it does not work.
    pub result: Result<(), Failed>,
}

/// What a bucket can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All that was tried, in order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether archives can be kept in the bucket.
    pub fn is_usable(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Whether something is known that the bucket does not do.
    pub fn is_proven(&self) -> bool {
        self.failures()
            .any(|finding| matches!(finding.result, Err(Failed::Proven(_))))
    }

    /// What is missing.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.result.is_err())
    }

    /// What is missing in one line: why the first thing fails, and the names of the others, whose reasons are mostly the same. Empty
    /// when nothing is.
    pub fn summary(&self) -> String {
        let mut failures = self.failures();
        let Some(Finding {
            what,
            result: Err(why),
        }) = failures.next()
        else {
            return String::new();
        };
        let others: Vec<_> = failures.map(|finding| finding.what).collect();
        if others.is_empty() {
            return format!("{what}: {why}");
        }
        let others = others.join(", ");
        format!("{what}: {why}; as little works: {others} (`strandline archive check` says of each why)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: &[(&'static str, Option<&str>)]) -> Report {
        let finding = |&(what, why): &(&'static str, Option<&str>)| Finding {
            what,
            result: why.map_or(Ok(()), |why| Err(Failed::Proven(why.to_owned()))),
        };
        Report {
            findings: failed.iter().map(finding).collect(),
        }
    }

    #[test]
    fn a_summary_says_why_once_however_much_fails() {
        assert_eq!(report(&[("write", None)]).summary(), "");
        let one = report(&[("write", None), ("list", Some("403")), ("delete", None)]);
        assert_eq!(one.summary(), "list: 403");
        let many = report(&[
            ("write", Some("no bucket")),
            ("list", Some("no bucket")),
            ("delete", Some("no bucket")),
        ]);
        let expected =
            "write: no bucket; as little works: list, delete (`strandline archive check` says of each why)";
        assert_eq!(many.summary(), expected);
    }
}
