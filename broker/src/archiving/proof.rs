//! Whether the bucket keeps its word: tried once a process, before anything is archived.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use strandline_storage_backends::tiered::Bucket;
use strandline_storage_backends::tiered::check::probe;

/// How long a bucket that failed is not tried again, however many partitions ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bucket does not do what archives need, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It does not.
    #[error("the bucket cannot be used for archives: {failures}")]
    Proven {
        /// What was tried and failed.
        failures: String,
    },
    /// It gives no answers, or only such as pass.
    #[error("whether the bucket can be used for archives cannot be told now, it is tried again: {failures}")]
    Unknown {
        /// What was tried and failed.
        failures: String,
    },
}

/// What is known of a bucket.
#[derive(Debug, Default)]
pub(super) struct Proof {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
enum Known {
    #[default]
    Nothing,
    Fit,
    Unfit(Instant, Unfit),
}

impl Proof {
    /// Tries the bucket unless that is done. Others wait meanwhile.
    ///
    /// Cancel safety: the bucket is tried again by the next, and may hold an object or two of this attempt.
    ///
    /// # Errors
    ///
    /// It lacks a permission, does not answer, or does not keep its word about conditional writes.
    pub(super) async fn of(&self, bucket: &Bucket) -> Result<(), Unfit> {
        let mut known = self.known.lock().await;
        match &*known {
            Known::Fit => return Ok(()),
            Known::Unfit(when, unfit) if when.elapsed() < PATIENCE => return Err(unfit.clone()),
            Known::Nothing | Known::Unfit(..) => {}
        }
        let report = probe(bucket).await;
        if report.is_usable() {
            *known = Known::Fit;
            return Ok(());
        }
        let failures = report.summary();
        let unfit = match report.is_proven() {
            true => Unfit::Proven { failures },
            false => Unfit::Unknown { failures },
        };
        *known = Known::Unfit(Instant::now(), unfit.clone());
        Err(unfit)
    }
}
