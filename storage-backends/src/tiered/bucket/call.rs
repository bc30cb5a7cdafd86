//! Making one call: its deadline, its tries, and what its failures mean.

use std::future::Future;

use tokio::time::{Instant, sleep, timeout};

use super::retry::Retry;
use super::{Bucket, BucketError, error, http};

/// Whether a call is made once only, because it is not known to have done nothing when it fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Once {
    Yes,
    No,
}

/// What a try fails with: the store's error, or what is wrong with its answer.
pub(super) enum Failure {
    Store(object_store::Error),
    Answer(BucketError),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl Bucket {
    /// Makes a call, and again as long as that can help.
    pub(super) async fn run<T, F>(
        &self,
        action: &'static str,
        key: &str,
        once: Once,
        call: impl Fn() -> F,
    ) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let begin = Instant::now();
        let tries = if once == Once::Yes { 1 } else { self.options.tries };
        let mut retry = Retry::new(tries, self.options.deadline);
        loop {
            let limit = self.options.timeout.min(self.options.deadline);
            self.counters.count(action);
            let error = match timeout(limit, http::with_status(call())).await {
                Ok((Ok(output), _)) => return Ok(output),
                Ok((Err(Failure::Answer(error)), _)) => error,
                Ok((Err(Failure::Store(error)), status)) => error::classify(&error, status, action, key),
                Err(_) => BucketError::unreachable(action, key, format!("no answer within {limit:?}")),
            };
            let error = unconditional(error, once, action);
            if !error.is_transient() {
                return Err(error);
            }
            let Some(wait) = retry.next(begin.elapsed(), chance()) else {
                return Err(error);
            };
            tracing::debug!("trying again in {wait:?}: {error}");
            sleep(wait).await;
        }
    }
}

/// A call without a condition conflicts only with others that are under way: that passes.
fn unconditional(error: BucketError, once: Once, action: &'static str) -> BucketError {
    match error {
        BucketError::Conflict { key } if once == Once::No => BucketError::unreachable(
            action,
            &key,
            "the store says that another request is in its way (409)",
        ),
        error => error,
    }
}

/// A random number, for waits. Without randomness the longest wait is right too.
fn chance() -> u32 {
    let mut bytes = [u8::MAX; 4];
    // What it leaves in the buffer on failure is as good.
    let _ = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes)
}
