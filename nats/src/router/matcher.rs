//! All subscriptions, with a cache of recent answers.

use std::sync::Arc;

use hashbrown::HashMap;

use super::route::{QueueGroup, Route};
use super::subscription::Subscription;
use super::trie::Trie;
use crate::subject;

/// Subjects whose route is remembered.
const CACHE_LIMIT: usize = 1024;
/// How many of them stay when the limit is crossed.
const CACHE_KEPT: usize = 256;

/// Finds the subscriptions for a subject. Filters without wildcards, most of them, are one hash look-up.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    literals: HashMap<Box<[u8]>, Vec<Arc<Subscription>>>,
    wildcards: Trie<Arc<Subscription>>,
    cache: HashMap<Box<[u8]>, Arc<Route>>,
    count: usize,
}

impl Matcher {
    pub(super) fn insert(&mut self, subscription: Arc<Subscription>) {
        let filter = subscription.filter.clone();
        if subject::has_wildcard(&filter) {
            self.wildcards.insert(&filter, subscription);
        } else {
            self.literals
                .entry_ref(filter.as_ref())
                .or_default()
                .push(subscription);
        }
        self.count += 1;
        self.forget_routes_of(&filter);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, subscription: &Arc<Subscription>) -> bool {
        let filter = &subscription.filter;
        let removed = if subject::has_wildcard(filter) {
            self.wildcards
                .remove(filter, |other| Arc::ptr_eq(other, subscription))
                .is_some()
        } else {
            self.remove_literal(subscription)
        };
        if removed {
            self.count = self.count.saturating_sub(1);
            self.forget_routes_of(filter);
        }
        removed
    }

    fn remove_literal(&mut self, subscription: &Arc<Subscription>) -> bool {
        let Some(list) = self.literals.get_mut(&subscription.filter) else {
            return false;
        };
        let Some(position) = list.iter().position(|other| Arc::ptr_eq(other, subscription)) else {
            return false;
        };
        list.swap_remove(position);
        if list.is_empty() {
            self.literals.remove(&subscription.filter);
        }
        true
    }

    /// Only the answers that this filter changes: a requester that subscribes a new inbox for each request must not empty
    /// everybody's cache.
    fn forget_routes_of(&mut self, filter: &[u8]) {
        if subject::has_wildcard(filter) {
            self.cache.retain(|subject, _| !subject::matches(filter, subject));
        } else {
            self.cache.remove(filter);
        }
    }

    pub(super) fn cached(&self, subject: &[u8]) -> Option<Arc<Route>> {
        self.cache.get(subject).cloned()
    }

    pub(super) fn remember(&mut self, subject: &[u8], route: &Arc<Route>) {
        if self.cache.len() >= CACHE_LIMIT {
            let mut kept = 0;
            self.cache.retain(|_, _| {
                kept += 1;
                kept <= CACHE_KEPT
            });
        }
        self.cache.insert(subject.into(), Arc::clone(route));
    }

    /// Looks everywhere. A subject with an empty token matches nothing.
    pub(super) fn find(&self, subject: &[u8]) -> Route {
        let (mut plain, mut groups) = (Vec::new(), Vec::new());
        if !subject::is_well_formed(subject) {
            return Route::new(plain, groups);
        }
        let mut add = |subscription: &Arc<Subscription>| match &subscription.queue {
            None => plain.push(Arc::clone(subscription)),
            Some(name) => add_to_group(&mut groups, name, subscription),
        };
        self.literals
            .get(subject)
            .into_iter()
            .flatten()
            .for_each(&mut add);
        self.wildcards.visit(subject, &mut add);
        Route::new(plain, groups)
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

fn add_to_group(groups: &mut Vec<QueueGroup>, name: &[u8], subscription: &Arc<Subscription>) {
    match groups.iter_mut().find(|group| *group.name == *name) {
        Some(group) => group.members.push(Arc::clone(subscription)),
        None => groups.push(QueueGroup {
            name: name.into(),
            members: vec![Arc::clone(subscription)],
        }),
    }
}
