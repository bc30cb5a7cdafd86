//! Footers and pages in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::order::{Order, Turn};

/// Footers that are kept; that of a segment of 256 MiB has about 10 KiB.
pub(super) const MAX_FOOTERS: usize = 256;
/// Pages that are kept; one has about 64 KiB.
pub(super) const MAX_PAGES: usize = 64;

/// Small things that were fetched, by their keys: those that were used last, up to a number of them.
#[derive(Debug)]
pub(super) struct Documents<T> {
    max: usize,
    by_key: HashMap<Arc<str>, (Arc<T>, Turn)>,
    order: Order<Arc<str>>,
}

impl<T> Documents<T> {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            by_key: HashMap::new(),
            order: Order::default(),
        }
    }

    pub(super) fn get(&mut self, key: &str) -> Option<Arc<T>> {
        let (document, turn) = self.by_key.get_mut(key)?;
        *turn = self.order.renew(*turn);
        Some(Arc::clone(document))
    }

    pub(super) fn put(&mut self, key: &str, document: Arc<T>) {
        let key: Arc<str> = Arc::from(key);
        if let Some((_, turn)) = self.by_key.remove(&key) {
            self.order.remove(turn);
        }
        while self.order.len() >= self.max {
            if let Some(oldest) = self.order.pop_oldest() {
                self.by_key.remove(&oldest);
            }
        }
        let turn = self.order.add(Arc::clone(&key));
        self.by_key.insert(key, (document, turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_used_last_are_kept() {
        let mut documents = Documents::new(2);
        documents.put("a", Arc::new(1));
        documents.put("b", Arc::new(2));
        assert_eq!(documents.get("a").as_deref(), Some(&1));
        documents.put("c", Arc::new(3));
        documents.put("c", Arc::new(4));
        let found = ["a", "b", "c"].map(|key| documents.get(key).as_deref().copied());
        assert_eq!(found, [Some(1), None, Some(4)]);
    }
}
