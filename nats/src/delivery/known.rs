//! Routes that a publisher has worked out.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::router::{Route, Subscription};

/// Subjects remembered per publisher.
const MAX_KNOWN: usize = 512;

/// A subject's route with everything that depends on publisher and subscriber already decided.
#[derive(Debug)]
pub(super) struct KnownRoute {
    pub(super) subject: Box<[u8]>,
    /// The router's generation for which it was last confirmed.
    pub(super) generation: u64,
    pub(super) route: Arc<Route>,
    pub(super) plain: Vec<Stop>,
    pub(super) groups: Vec<Vec<Stop>>,
    /// The publisher's permissions allow the subject.
    pub(super) allowed: bool,
    /// No wildcards, no empty tokens.
    pub(super) literal: bool,
}

/// One subscription and the outlet that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) outlet: usize,
    pub(super) subscription: Arc<Subscription>,
}

/// The routes by subject; the last one used is found by comparing, without a hash.
#[derive(Debug, Default)]
pub(super) struct KnownRoutes {
    routes: Vec<KnownRoute>,
    by_subject: HashMap<Box<[u8]>, usize>,
    last: usize,
}

impl KnownRoutes {
    pub(super) fn position(&mut self, subject: &[u8]) -> Option<usize> {
        if self
            .routes
            .get(self.last)
            .is_some_and(|known| *known.subject == *subject)
        {
            return Some(self.last);
        }
        let position = self.by_subject.get(subject).copied()?;
        self.last = position;
        Some(position)
    }

    pub(super) fn get_mut(&mut self, position: usize) -> Option<&mut KnownRoute> {
        self.routes.get_mut(position)
    }

    /// Remembers one; returns where. The caller made room.
    pub(super) fn put(&mut self, known: KnownRoute) -> usize {
        let next = self.routes.len();
        let position = *self.by_subject.entry_ref(known.subject.as_ref()).or_insert(next);
        match self.routes.get_mut(position) {
            Some(slot) => *slot = known,
            None => self.routes.push(known),
        }
        self.last = position;
        position
    }

    pub(super) fn is_full(&self) -> bool {
        self.routes.len() >= MAX_KNOWN
    }

    pub(super) fn clear(&mut self) {
        self.routes.clear();
        self.by_subject.clear();
        self.last = 0;
    }
}
