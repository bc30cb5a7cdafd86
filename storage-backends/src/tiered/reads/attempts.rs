//! Trying until a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use strandline_core::storage::{Damage, FetchFailure};

/// The first pause between two attempts; each is twice as long as the one before it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing was heard, or that it cannot be done now: to be tried again.
    Silence(String),
    /// It was refused, and will be until somebody changes something.
    Refusal(String),
    /// What was asked for is not there.
    Missing(String),
    /// What came is not what was written.
    Damage(Damage),
}

impl From<Trouble> for FetchFailure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Silence(reason) | Trouble::Refusal(reason) | Trouble::Missing(reason) => {
                Self::Unreachable { reason }
            }
            Trouble::Damage(damage) => Self::Damaged(damage),
        }
    }
}

/// Until when is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    until: Instant,
    after: Duration,
}

impl Deadline {
    /// So long after now.
    pub(super) fn after(after: Duration) -> Self {
        Self {
            until: Instant::now() + after,
            after,
        }
    }

    /// Waits for so many permits to fetch.
    ///
    /// # Errors
    ///
    /// The others took too long.
    pub(super) async fn permit(
        &self,
        permits: &Arc<Semaphore>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, Trouble> {
        let permit = timeout_at(self.until, Arc::clone(permits).acquire_many_owned(count)).await;
        let busy = || Trouble::Silence(format!("other fetches took more than {:?}", self.after));
        permit.ok().and_then(Result::ok).ok_or_else(busy)
    }

    /// Repeats an attempt as long as it can help. `what` is named when it does not.
    ///
    /// # Errors
    ///
    /// The last attempt's, or that there was no answer in time.
    pub(super) async fn repeat<T, F>(&self, what: &str, mut attempt: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut heard = None;
        let mut pause = FIRST_PAUSE;
        loop {
            match timeout_at(self.until, attempt()).await {
                Ok(Err(Trouble::Silence(reason))) => heard = Some(reason),
                Ok(outcome) => return outcome,
                Err(_) => return Err(self.silence(what, heard)),
            }
            let next = Instant::now() + pause;
            if next >= self.until {
                return Err(self.silence(what, heard));
            }
            sleep_until(next).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn silence(&self, what: &str, heard: Option<String>) -> Trouble {
        let heard = heard
            .map(|heard| format!(", it said last: {heard}"))
            .unwrap_or_default();
        Trouble::Silence(format!("{what} gave nothing within {:?}{heard}", self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    fn silence() -> Trouble {
        Trouble::Silence("503 slow down".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_until_it_works() {
        let begun = Instant::now();
        let mut attempts = 0;
        let done = Deadline::after(AFTER)
            .repeat("the archive", || {
                attempts += 1;
                let outcome = if attempts < 5 {
                    Err(silence())
                } else {
                    Ok(attempts)
                };
                async move { outcome }
            })
            .await;
        assert_eq!(done, Ok(5));
        assert_eq!(begun.elapsed().as_millis() / 100, 15);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_what_was_heard_last_is_told() {
        let begun = Instant::now();
        let failed = Deadline::after(AFTER)
            .repeat("the archive", || async { Err::<(), _>(silence()) })
            .await;
        let text = "the archive gave nothing within 30s, it said last: 503 slow down";
        assert_eq!(failed, Err(Trouble::Silence(text.to_owned())));
        assert!(begun.elapsed() <= AFTER);
        let failed = Deadline::after(AFTER)
            .repeat("the archive", std::future::pending::<Result<(), _>>)
            .await;
        let text = "the archive gave nothing within 30s";
        assert_eq!(failed, Err(Trouble::Silence(text.to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_attempt_cannot_change_is_told_at_once() {
        let begun = Instant::now();
        for trouble in [
            Trouble::Refusal("denied".to_owned()),
            Trouble::Missing("no such object".to_owned()),
        ] {
            let failed = Deadline::after(AFTER)
                .repeat("the archive", || {
                    let trouble = trouble.clone();
                    async move { Err::<(), _>(trouble) }
                })
                .await;
            assert_eq!(failed, Err(trouble.clone()));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_others_ends_at_the_deadline_too() {
        let permits = Arc::new(Semaphore::new(1));
        let held = Deadline::after(AFTER).permit(&permits, 1).await.unwrap();
        assert!(Deadline::after(AFTER).permit(&permits, 1).await.is_err());
        drop(held);
        assert!(Deadline::after(AFTER).permit(&permits, 1).await.is_ok());
    }
}
