//! The filters with wildcards, as a tree of tokens.
//!
//! Nodes live in one vector and refer to each other by index: neither matching nor dropping recurses, so a filter of a
//! thousand tokens costs memory in its length and no stack.

use hashbrown::HashMap;

use crate::subject;

type NodeId = usize;

const ROOT: NodeId = 0;

/// Values by filter; several per filter.
#[derive(Debug)]
pub(super) struct Trie<V> {
    nodes: Vec<Node<V>>,
    free: Vec<NodeId>,
}

#[derive(Debug)]
struct Node<V> {
    literal: HashMap<Box<[u8]>, NodeId>,
    star: Option<NodeId>,
    tail: Option<NodeId>,
    values: Vec<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self {
            literal: HashMap::new(),
            star: None,
            tail: None,
            values: Vec::new(),
        }
    }
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.star.is_none() && self.tail.is_none() && self.values.is_empty()
    }

    fn child(&self, token: &[u8]) -> Option<NodeId> {
        match token {
            b"*" => self.star,
            b">" => self.tail,
            _ => self.literal.get(token).copied(),
        }
    }

    fn set_child(&mut self, token: &[u8], child: Option<NodeId>) {
        match (token, child) {
            (b"*", child) => self.star = child,
            (b">", child) => self.tail = child,
            (_, Some(child)) => drop(self.literal.insert(token.into(), child)),
            (_, None) => drop(self.literal.remove(token)),
        }
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
        }
    }
}

impl<V> Trie<V> {
    /// Adds a value under a valid filter.
    pub(super) fn insert(&mut self, filter: &[u8], value: V) {
        let mut at = ROOT;
        for token in subject::tokens(filter) {
            let known = self.nodes.get(at).and_then(|node| node.child(token));
            at = match known {
                Some(child) => child,
                None => self.add_child(at, token),
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.values.push(value);
        }
    }

    fn add_child(&mut self, parent: NodeId, token: &[u8]) -> NodeId {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        if let Some(node) = self.nodes.get_mut(parent) {
            node.set_child(token, Some(child));
        }
        child
    }

    /// Removes the first value under the filter that `is_it` points out.
    pub(super) fn remove(&mut self, filter: &[u8], is_it: impl Fn(&V) -> bool) -> Option<V> {
        let mut path = Vec::new();
        let mut at = ROOT;
        for token in subject::tokens(filter) {
            path.push((at, token));
            at = self.nodes.get(at)?.child(token)?;
        }
        let node = self.nodes.get_mut(at)?;
        let position = node.values.iter().position(is_it)?;
        let removed = node.values.swap_remove(position);
        self.prune(at, path);
        Some(removed)
    }

    fn prune(&mut self, leaf: NodeId, path: Vec<(NodeId, &[u8])>) {
        let mut at = leaf;
        for (parent, token) in path.into_iter().rev() {
            let Some(node) = self.nodes.get_mut(at).filter(|node| node.is_empty()) else {
                return;
            };
            *node = Node::default(); // Gives the memory of its maps back.
            self.free.push(at);
            if let Some(parent) = self.nodes.get_mut(parent) {
                parent.set_child(token, None);
            }
            at = parent;
        }
    }

    /// Shows every value whose filter matches the subject, which has no empty token.
    pub(super) fn visit<'a>(&'a self, subject: &[u8], mut visitor: impl FnMut(&'a V)) {
        let tokens: Vec<&[u8]> = subject::tokens(subject).collect();
        let mut pending = vec![(ROOT, 0_usize)];
        while let Some((at, depth)) = pending.pop() {
            let Some(node) = self.nodes.get(at) else { continue };
            let Some(token) = tokens.get(depth) else {
                node.values.iter().for_each(&mut visitor);
                continue;
            };
            if let Some(tail) = node.tail.and_then(|tail| self.nodes.get(tail)) {
                tail.values.iter().for_each(&mut visitor);
            }
            // `*` and `>` as published text are no keys here, they can only match a wildcard.
            let next = [node.star, node.literal.get(*token).copied()];
            pending.extend(next.into_iter().flatten().map(|child| (child, depth + 1)));
        }
    }

    #[cfg(test)]
    pub(super) fn nodes_in_use(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec!["a", "b", "c", "*", "a*"])
    }

    fn filter() -> impl Strategy<Value = String> {
        (proptest::collection::vec(token(), 1..4), any::<bool>()).prop_map(|(mut tokens, tail)| {
            if tail {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    fn found(trie: &Trie<usize>, subject: &str) -> Vec<usize> {
        let mut found = Vec::new();
        trie.visit(subject.as_bytes(), |value| found.push(*value));
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_asking_every_filter(
            filters in proptest::collection::vec((filter(), any::<bool>()), 1..30),
            subjects in proptest::collection::vec(proptest::collection::vec(token(), 1..5), 1..20),
        ) {
            let mut trie = Trie::default();
            for (number, (filter, _)) in filters.iter().enumerate() {
                trie.insert(filter.as_bytes(), number);
            }
            for (number, (filter, removed)) in filters.iter().enumerate() {
                if *removed {
                    prop_assert_eq!(trie.remove(filter.as_bytes(), |value| *value == number), Some(number));
                }
            }
            for subject in subjects {
                let subject = subject.join(".");
                let naive: Vec<usize> = filters.iter().enumerate()
                    .filter(|(_, (filter, removed))| !removed && subject::matches(filter.as_bytes(), subject.as_bytes()))
                    .map(|(number, _)| number)
                    .collect();
                prop_assert_eq!(found(&trie, &subject), naive, "{}", subject);
            }
            for (number, (filter, removed)) in filters.iter().enumerate() {
                prop_assert_eq!(trie.remove(filter.as_bytes(), |value| *value == number).is_some(), !removed);
            }
            prop_assert_eq!(trie.nodes_in_use(), 1, "nothing is left behind but the root");
        }
    }

    #[test]
    fn a_very_deep_filter_costs_no_stack() {
        let filter = vec!["*"; 200_000].join(".");
        let mut trie = Trie::default();
        trie.insert(filter.as_bytes(), 1);
        assert_eq!(found(&trie, &vec!["x"; 200_000].join(".")), [1]);
        drop(trie);
    }
}
