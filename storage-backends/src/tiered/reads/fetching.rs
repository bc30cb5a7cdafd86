//! The tasks that fetch: one for all who want the same, and how they end.

use std::sync::Arc;

use strandline_core::storage::{Fetch, FetchFailure, FetchSetter, ReadError};

use super::attempts::{Deadline, Trouble};
use super::flights::Goal;
use super::numbers::Count;
use super::segment::Segment;
use super::source::{self, key_of};
use super::{ArchiveReads, State};
use crate::tiered::{Entry, Page, PageRef, PartitionArchive, Place};

impl ArchiveReads {
    /// Has the manifest of an archive loaded, anew if it was; `then` is called before anybody is told that it is there.
    pub(in crate::tiered) fn load(
        self: &Arc<Self>,
        archive: &Arc<PartitionArchive>,
        then: impl FnOnce() + Send + 'static,
    ) -> ReadError {
        let head = archive.place().key(Place::HEAD);
        let (what, archive) = (key_of(archive, &head), Arc::clone(archive));
        let deadline = self.deadline();
        self.document(&what.clone(), async move {
            let load = || source::load(Arc::clone(&archive));
            deadline.repeat(&what, load).await?;
            then();
            Ok(())
        })
    }

    /// A page of a manifest.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetching`] when it is not at hand.
    pub(in crate::tiered) fn page(
        self: &Arc<Self>,
        archive: &Arc<PartitionArchive>,
        page: &PageRef,
    ) -> Result<Arc<Page>, ReadError> {
        let key = page.key(archive.place());
        let what = key_of(archive, &key);
        if let Some(page) = self.state.lock().pages.get(&what) {
            return Ok(page);
        }
        let (this, archive, page) = (Arc::clone(self), Arc::clone(archive), page.clone());
        let deadline = self.deadline();
        Err(self.document(&what.clone(), async move {
            let fetch = || source::page(Arc::clone(&archive), page.clone());
            match deadline.repeat(&what, fetch).await {
                Err(Trouble::Missing(_)) => {
                    source::explain_missing(&archive, &key, page.range, &deadline).await
                }
                Err(trouble) => Err(trouble.into()),
                Ok(page) => {
                    this.state.lock().pages.put(&what, page);
                    Ok(())
                }
            }
        }))
    }

    /// A segment, with its footer.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetching`] when the footer is not at hand.
    pub(in crate::tiered) fn segment(
        self: &Arc<Self>,
        archive: &Arc<PartitionArchive>,
        entry: &Arc<Entry>,
    ) -> Result<Segment, ReadError> {
        let key = entry.key(archive.place());
        let what = key_of(archive, &key);
        if let Some(footer) = self.state.lock().footers.get(&what) {
            return Ok(Segment::new(archive, entry, footer));
        }
        let (this, archive, entry) = (Arc::clone(self), Arc::clone(archive), Arc::clone(entry));
        let deadline = self.deadline();
        Err(self.document(&what.clone(), async move {
            let fetch = || source::footer(Arc::clone(&archive), Arc::clone(&entry));
            match deadline.repeat(&what, fetch).await {
                Err(Trouble::Missing(_)) => {
                    source::explain_missing(&archive, &key, entry.range, &deadline).await
                }
                Err(trouble) => Err(trouble.into()),
                Ok(footer) => {
                    this.state.lock().footers.put(&what, footer);
                    Ok(())
                }
            }
        }))
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.settings.deadline)
    }

    fn document(
        self: &Arc<Self>,
        key: &str,
        work: impl Future<Output = Result<(), FetchFailure>> + Send + 'static,
    ) -> ReadError {
        let goal = Goal::Document(Arc::from(key));
        let mut state = self.state.lock();
        if let Some(fetch) = state.flights.of(&goal) {
            return ReadError::Fetching(fetch.clone());
        }
        let (landing, fetch) = Landing::of(self, &mut state, goal, vec![]);
        drop(state);
        self.spawn(landing, async { work.await.map(|()| std::future::ready(())) });
        ReadError::Fetching(fetch)
    }

    /// Does the work and says how it ended; what the work leaves to be done comes after that.
    pub(super) fn spawn<L: Future<Output = ()> + Send>(
        self: &Arc<Self>,
        landing: LandingGuard,
        work: impl Future<Output = Result<L, FetchFailure>> + Send + 'static,
    ) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            let mut stopping = this.stopping.subscribe();
            let outcome = tokio::select! {
                biased;
                _ = stopping.wait_for(|&is_stopping| is_stopping) => return drop(landing),
                outcome = work => outcome,
            };
            match outcome {
                Ok(left) => {
                    landing.land(Ok(()));
                    left.await;
                }
                Err(failure) => {
                    this.note(&failure);
                    landing.land(Err(failure));
                }
            }
        });
    }

    fn note(&self, failure: &FetchFailure) {
        match failure {
            FetchFailure::Unreachable { reason } => {
                self.numbers.count(Count::Failure);
                tracing::warn!(%reason, "an archive cannot be read");
            }
            FetchFailure::Damaged(damage) => {
                self.numbers.count(Count::Damage);
                tracing::error!(%damage, "an archive is damaged; what is sound of it is served");
            }
        }
    }
}

/// The end of a fetch, however it comes, also when its task is given up: it is under way no more, then those who wait are told.
pub(super) struct Landing {
    reads: Arc<ArchiveReads>,
    goals: Vec<Goal>,
    /// For those who want what the fetch was begun for.
    wanted: FetchSetter,
    /// For those who want what comes with it.
    others: FetchSetter,
}

impl Landing {
    /// Begins a fetch of all these, which are not under way. Returns the handle of what is wanted.
    pub(super) fn of(
        reads: &Arc<ArchiveReads>,
        state: &mut State,
        wanted: Goal,
        others: Vec<Goal>,
    ) -> (LandingGuard, Fetch) {
        let ((wanted_setter, fetch), (others_setter, beside)) = (Fetch::pending(), Fetch::pending());
        state.flights.start(std::slice::from_ref(&wanted), &fetch);
        state.flights.start(&others, &beside);
        let mut goals = others;
        goals.push(wanted);
        let landing = Self {
            reads: Arc::clone(reads),
            goals,
            wanted: wanted_setter,
            others: others_setter,
        };
        (LandingGuard(Some(landing)), fetch)
    }
}

/// A landing that happens in any case.
pub(super) struct LandingGuard(Option<Landing>);

impl LandingGuard {
    fn land(mut self, outcome: Result<(), FetchFailure>) {
        let Some(landing) = self.0.take() else { return };
        landing.reads.state.lock().flights.end(&landing.goals);
        let beside = match &outcome {
            // Of what came with it something else may be true.
            Err(FetchFailure::Damaged(_)) => Ok(()),
            outcome => outcome.clone(),
        };
        landing.wanted.set(outcome);
        landing.others.set(beside);
    }
}

impl Drop for LandingGuard {
    fn drop(&mut self) {
        if let Some(landing) = self.0.take() {
            landing.reads.state.lock().flights.end(&landing.goals);
        }
    }
}
