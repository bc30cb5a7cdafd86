//! Who gets a message: subscriptions, the matcher and its cache.

mod matcher;
mod route;
mod subscription;
mod trie;

pub use route::Route;
pub(crate) use subscription::{Admission, Subscription, Target};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use matcher::Matcher;

/// Routes messages. Publishers keep what they learnt and ask again only when the generation has moved.
#[derive(Debug, Default)]
pub(crate) struct Router {
    matcher: RwLock<Matcher>,
    generation: AtomicU64,
}

impl Router {
    /// Moves with every change. An answer obtained after reading a generation is good for as long as it stands.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts a subscription in force: every publish handled after the return finds it.
    pub(crate) fn insert(&self, subscription: Arc<Subscription>) {
        let mut matcher = self.matcher.write();
        matcher.insert(subscription);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes one out; harmless if it is gone already.
    pub(crate) fn remove(&self, subscription: &Arc<Subscription>) {
        let mut matcher = self.matcher.write();
        if matcher.remove(subscription) {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Who gets a message on this subject now.
    pub(crate) fn route(&self, subject: &[u8]) -> Arc<Route> {
        let (route, generation) = {
            let matcher = self.matcher.read();
            if let Some(route) = matcher.cached(subject) {
                return route;
            }
            (Arc::new(matcher.find(subject)), self.generation())
        };
        let mut matcher = self.matcher.write();
        if self.generation() == generation {
            matcher.remember(subject, &route);
        }
        route
    }

    /// Subscriptions in force.
    pub(crate) fn count(&self) -> usize {
        self.matcher.read().count()
    }
}

#[cfg(test)]
mod tests;
