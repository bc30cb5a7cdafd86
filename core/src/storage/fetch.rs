//! The handle of bytes that are on their way to a reader.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Damage, ReadError};

type Outcome = Result<(), FetchFailure>;

/// Resolves once what a read was in want of is at hand, or cannot be had now. The read is repeated then: it finds what was
/// fetched, or that something else is to be fetched, too.
///
/// It can be awaited by any runtime, or waited for by a thread, each as often as wanted; clones stand for the same fetch.
/// Dropping it changes nothing.
#[derive(Clone)]
#[must_use = "a read that is repeated at once finds what it found before"]
pub struct Fetch {
    cell: Arc<Cell>,
}

/// The other end of a [`Fetch`]. Dropped without an outcome it fails its handle.
pub struct FetchSetter {
    cell: Arc<Cell>,
}

/// Why there is nothing to read although a fetch is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// Where the bytes are did not answer in time, or refused to; reading again later can work.
    #[error("{reason}")]
    Unreachable {
        /// Who did not answer, and what was heard last.
        reason: String,
    },
    /// What came is not what was stored.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl From<FetchFailure> for ReadError {
    fn from(failure: FetchFailure) -> Self {
        match failure {
            FetchFailure::Unreachable { reason } => Self::Unreachable { reason },
            FetchFailure::Damaged(damage) => Self::Damaged(damage),
        }
    }
}

/// Repeats a read until nothing has to be fetched for it. Blocks the thread while something is, which takes no longer than a
/// log's deadline for each fetch.
///
/// # Errors
///
/// Those of the read but [`ReadError::Fetching`].
pub fn read_waiting<T>(mut read: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    loop {
        match read() {
            Err(ReadError::Fetching(fetch)) => fetch.wait()?,
            other => return other,
        }
    }
}

#[derive(Default)]
struct Cell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    wakers: Vec<Waker>,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetch {
    /// A handle and its setter.
    pub fn pending() -> (FetchSetter, Self) {
        let cell = Arc::new(Cell::default());
        (
            FetchSetter {
                cell: Arc::clone(&cell),
            },
            Self { cell },
        )
    }

    /// The outcome, if there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        self.cell.lock().outcome.clone()
    }

    /// Blocks the thread until there is an outcome.
    ///
    /// # Errors
    ///
    /// The bytes cannot be had now.
    pub fn wait(&self) -> Outcome {
        let mut state = self.cell.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state = self
                .cell
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Fetch {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.cell.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        let waker = context.waker();
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

impl FetchSetter {
    /// Resolves the handle.
    pub fn set(self, outcome: Outcome) {
        self.resolve(outcome);
    }

    fn resolve(&self, outcome: Outcome) {
        let mut state = self.cell.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some(outcome);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.cell.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for FetchSetter {
    fn drop(&mut self) {
        let reason = "the fetch was given up before it was over".to_owned();
        self.resolve(Err(FetchFailure::Unreachable { reason }));
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("outcome", &self.outcome()).finish()
    }
}

impl fmt::Debug for FetchSetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchSetter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_setter_that_is_dropped_fails_its_handle() {
        let (setter, fetch) = Fetch::pending();
        assert!(fetch.outcome().is_none());
        drop(setter);
        assert!(matches!(fetch.wait(), Err(FetchFailure::Unreachable { .. })));
    }

    #[test]
    fn all_who_wait_are_woken_once_and_threads_go_on() {
        let (setter, fetch) = Fetch::pending();
        let counters = [Arc::new(Counter::default()), Arc::new(Counter::default())];
        for counter in counters.iter().chain(&counters) {
            let waker = Waker::from(Arc::clone(counter));
            let poll = Pin::new(&mut fetch.clone()).poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending());
        }
        let waiting = fetch.clone();
        let thread = std::thread::spawn(move || waiting.wait());
        setter.set(Ok(()));
        assert_eq!(thread.join().unwrap(), Ok(()));
        let woken = counters.map(|counter| counter.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 1]);
        let mut again = fetch;
        let poll = Pin::new(&mut again).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, Poll::Ready(Ok(())));
    }

    #[test]
    fn a_read_is_repeated_until_nothing_is_to_be_fetched() {
        let mut steps = 0;
        let read = read_waiting(|| {
            steps += 1;
            if steps == 3 {
                return Ok(steps);
            }
            let (setter, fetch) = Fetch::pending();
            setter.set(Ok(()));
            Err(ReadError::Fetching(fetch))
        });
        assert_eq!(read.unwrap(), 3);
        let read = read_waiting(|| -> Result<(), ReadError> {
            let (_, fetch) = Fetch::pending();
            Err(ReadError::Fetching(fetch))
        });
        assert!(matches!(read, Err(ReadError::Unreachable { .. })));
    }
}
