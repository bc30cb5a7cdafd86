//! Fetches that are under way: one for all who want the same.

use std::collections::HashMap;
use std::sync::Arc;

use strandline_core::storage::Fetch;

use super::memory::BlockId;

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    /// A block.
    Block(BlockId),
    /// A manifest, a page of one or the footer of a segment, by its key.
    Document(Arc<str>),
}

/// The fetches.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_goal: HashMap<Goal, Fetch>,
}

impl Flights {
    /// The fetch of something, if it is under way.
    pub(super) fn of(&self, goal: &Goal) -> Option<&Fetch> {
        self.by_goal.get(goal)
    }

    /// Whether a block is on its way.
    pub(super) fn has_block(&self, id: &BlockId) -> bool {
        self.by_goal.contains_key(&Goal::Block(id.clone()))
    }

    /// Takes note of one fetch of all these.
    pub(super) fn start(&mut self, goals: &[Goal], fetch: &Fetch) {
        for goal in goals {
            self.by_goal.insert(goal.clone(), fetch.clone());
        }
    }

    /// The fetch of all these is over.
    pub(super) fn end(&mut self, goals: &[Goal]) {
        for goal in goals {
            self.by_goal.remove(goal);
        }
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_goal.is_empty()
    }
}
