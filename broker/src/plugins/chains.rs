//! The plugins of a stream, ready to be asked about batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use strandline_core::plugin::{Attachment, AttachmentId, CanaryMode};

/// What is attached to a stream, from now on. Shared by its partitions and readers as long as the stream is there.
#[derive(Debug)]
pub(crate) struct StreamPlugins {
    chains: ArcSwap<Chains>,
    changes: watch::Sender<u64>,
}

/// What is attached to a stream at one moment.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// Filters of what is stored.
    pub(crate) write: Chain,
    /// What gives keys to records without one.
    pub(crate) key: Chain,
    /// Filters of what every subscriber gets.
    pub(crate) read: Chain,
}

/// What is attached on one side.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(super) links: Vec<Link>,
    pub(super) problems: Vec<Problem>,
}

/// An attachment that does not work: nothing may pass the chain that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) attachment: AttachmentId,
    /// Names the attachment, and the file if it is one that is wrong.
    pub(crate) reason: Arc<str>,
    /// Whether it may work soon, so that it is worth to wait for a bounded time.
    pub(crate) is_loading: bool,
}

/// An attachment that works.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What the metadata says of it: names, error policy, dead letters.
    pub(crate) entry: Arc<Attachment>,
    pub(crate) active: Arc<strandline_plugins::Attachment>,
    pub(crate) canary: Option<LiveCanary>,
}

/// A candidate that is being tried.
#[derive(Clone, Debug)]
pub(crate) struct LiveCanary {
    pub(crate) mode: CanaryMode,
    pub(crate) version: u32,
    pub(crate) live: Arc<strandline_plugins::Attachment>,
    pub(crate) trial: Arc<Trial>,
}

/// How a trial goes.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    batches: AtomicU64,
    same: AtomicU64,
    different: AtomicU64,
}

/// Who judges a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    /// Whose verdicts count.
    pub(crate) live: &'a Arc<strandline_plugins::Attachment>,
    /// Version of the plugin that it is.
    pub(crate) version: u32,
    /// Who is asked as well, only to be compared.
    pub(crate) shadow: Option<&'a LiveCanary>,
}

impl StreamPlugins {
    pub(super) fn new(chains: Chains) -> Self {
        Self {
            chains: ArcSwap::from_pointee(chains),
            changes: watch::Sender::new(0),
        }
    }

    /// The chains as they are now. To be taken once for a batch and used for all of it: a change holds between batches.
    pub(crate) fn chains(&self) -> Guard<Arc<Chains>> {
        self.chains.load()
    }

    /// Tells of every change of the chains.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn set(&self, chains: Chains) {
        self.chains.store(Arc::new(chains));
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Chains {
    /// The chains of all sides, in the order in which a message meets them.
    pub(crate) fn all(&self) -> [&Chain; 3] {
        [&self.write, &self.key, &self.read]
    }
}

impl Chain {
    /// The attachments to ask, in order; none = records pass as if there were no plugins.
    ///
    /// # Errors
    ///
    /// One of them does not work: no record may pass.
    pub(crate) fn ready(&self) -> Result<&[Link], &Problem> {
        // What is broken for good comes first: nobody should wait for the others then.
        let broken = self.problems.iter().find(|problem| !problem.is_loading);
        match broken.or(self.problems.first()) {
            None => Ok(&self.links),
            Some(problem) => Err(problem),
        }
    }

    /// What is wrong with an attachment of this chain.
    pub(crate) fn problem_of(&self, id: AttachmentId) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.attachment == id)
    }

    /// An attachment of this chain, if it works.
    pub(crate) fn link(&self, id: AttachmentId) -> Option<&Link> {
        self.links.iter().find(|link| link.entry.id == id)
    }
}

impl Link {
    /// Who judges the next batch. A canary's percentage is spread evenly over the batches.
    pub(crate) fn for_batch(&self) -> Judge<'_> {
        let active = Judge {
            live: &self.active,
            version: self.entry.active.version,
            shadow: None,
        };
        let Some(canary) = &self.canary else {
            return active;
        };
        match canary.mode {
            CanaryMode::Shadow => Judge {
                shadow: Some(canary),
                ..active
            },
            CanaryMode::Percent(percent) if canary.trial.is_turn(percent) => Judge {
                live: &canary.live,
                version: canary.version,
                shadow: None,
            },
            CanaryMode::Percent(_) => active,
        }
    }
}

impl Trial {
    fn is_turn(&self, percent: u8) -> bool {
        let before = self.batches.fetch_add(1, Ordering::Relaxed) % 100;
        let turns = |batches: u64| batches * u64::from(percent) / 100;
        turns(before + 1) > turns(before)
    }

    /// Takes note of how many records a shadow has judged as the active version did, and otherwise.
    pub(crate) fn compared(&self, same: u64, different: u64) {
        self.same.fetch_add(same, Ordering::Relaxed);
        self.different.fetch_add(different, Ordering::Relaxed);
    }

    /// Records that were judged the same, and otherwise.
    pub(crate) fn comparison(&self) -> (u64, u64) {
        (
            self.same.load(Ordering::Relaxed),
            self.different.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_of_the_batches_is_the_candidates_evenly_spread() {
        for percent in [1, 5, 33, 50, 99] {
            let trial = Trial::default();
            let turns: Vec<_> = (0..1000).map(|_| trial.is_turn(percent)).collect();
            let count = turns.iter().filter(|turn| **turn).count();
            assert_eq!(count, usize::from(percent) * 10);
            let longest = turns.split(|turn| *turn).map(<[bool]>::len).max().unwrap();
            assert!(
                longest <= 100 / usize::from(percent),
                "{percent} %: {longest} without one"
            );
        }
    }

    #[test]
    fn a_chain_with_a_problem_lets_nothing_pass_and_tells_the_lasting_one() {
        let problem = |id, reason: &str, is_loading| Problem {
            attachment: AttachmentId::new(id),
            reason: reason.into(),
            is_loading,
        };
        assert!(Chain::default().ready().unwrap().is_empty());
        let chain = Chain {
            links: Vec::new(),
            problems: vec![problem(1, "loading", true), problem(2, "damaged", false)],
        };
        assert_eq!(&*chain.ready().unwrap_err().reason, "damaged");
        assert!(chain.problem_of(AttachmentId::new(1)).unwrap().is_loading);
    }
}
