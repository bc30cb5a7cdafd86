//! The handle of an append that is on its way to being durable.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::SyncFailure;

type Outcome = Result<(), SyncFailure>;
type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// Resolves once what was appended is durable in the sense of the log's [`Durability`](super::Durability), or never
/// will be. One handle stands for one call of append, not for one record.
///
/// It can be awaited by any runtime, waited for by a thread, or given a callback. Dropping it changes nothing.
pub struct Commit {
    cell: Arc<Cell>,
}

/// The other end of a [`Commit`], held by the store. Dropped without an outcome it fails its handle.
pub struct CommitSetter {
    cell: Arc<Cell>,
}

#[derive(Default)]
struct Cell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    callback: Option<Callback>,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commit {
    /// A handle and its setter.
    pub fn pending() -> (CommitSetter, Self) {
        let cell = Arc::new(Cell::default());
        (
            CommitSetter {
                cell: Arc::clone(&cell),
            },
            Self { cell },
        )
    }

    /// A handle that is resolved already.
    pub fn done() -> Self {
        let (setter, commit) = Self::pending();
        setter.set(Ok(()));
        commit
    }

    /// The outcome, if there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        self.cell.lock().outcome.clone()
    }

    /// Blocks the thread until there is an outcome.
    ///
    /// # Errors
    ///
    /// The sync failed.
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

    /// Calls `callback` with the outcome: at once, on this thread, if there is one, else on the thread that sets it,
    /// which the callback must not block. A callback that panics there has no effect on the store.
    pub fn on_done(self, callback: impl FnOnce(Outcome) + Send + 'static) {
        let mut state = self.cell.lock();
        match state.outcome.clone() {
            Some(outcome) => {
                drop(state);
                callback(outcome);
            }
            None => state.callback = Some(Box::new(callback)),
        }
    }
}

impl Future for Commit {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.cell.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl CommitSetter {
    /// Resolves the handle. The first outcome stays.
    pub fn set(self, outcome: Outcome) {
        self.resolve(outcome);
    }

    fn resolve(&self, outcome: Outcome) {
        let mut state = self.cell.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some(outcome.clone());
        let (waker, callback) = (state.waker.take(), state.callback.take());
        drop(state);
        self.cell.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(callback) = callback {
            // The thread resolves the handles of others, too. The panic hook has said what there is to say.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(outcome)));
        }
    }
}

impl Drop for CommitSetter {
    fn drop(&mut self) {
        let source = Arc::new(std::io::Error::other("the store stopped before the sync"));
        self.resolve(Err(SyncFailure { source }));
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("outcome", &self.outcome())
            .finish()
    }
}

impl fmt::Debug for CommitSetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitSetter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_setter_that_is_dropped_fails_its_handle() {
        let (setter, commit) = Commit::pending();
        assert!(commit.outcome().is_none());
        drop(setter);
        assert!(commit.wait().is_err());
    }

    #[test]
    fn a_callback_hears_the_outcome_whether_it_came_before_or_after() {
        let (sender, receiver) = mpsc::channel();
        let (setter, commit) = Commit::pending();
        let early = sender.clone();
        commit.on_done(move |outcome| early.send(outcome.is_ok()).unwrap());
        setter.set(Ok(()));
        Commit::done().on_done(move |outcome| sender.send(outcome.is_ok()).unwrap());
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn a_callback_that_panics_does_not_reach_the_thread_that_sets_the_outcome() {
        let (setter, commit) = Commit::pending();
        commit.on_done(|_| panic!("a bug of the caller's"));
        setter.set(Ok(()));
    }
}
