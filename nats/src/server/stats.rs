//! What the server counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A look at the server's counters. Taken one by one, so they may be a few messages apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Clients connected now.
    pub connections: u64,
    /// Clients that ever connected.
    pub total_connections: u64,
    /// Subscriptions in force, local ones included.
    pub subscriptions: u64,
    /// Messages received from clients.
    pub received_messages: u64,
    /// Header and payload bytes received from clients.
    pub received_bytes: u64,
    /// Messages delivered to clients and local sinks.
    pub delivered_messages: u64,
    /// Header and payload bytes delivered.
    pub delivered_bytes: u64,
    /// Clients cut off because they read too slowly.
    pub slow_consumers: u64,
    /// Clients whose credentials were refused.
    pub refused_credentials: u64,
    /// Clients turned away because of the connection limit.
    pub turned_away: u64,
    /// Most clients at a time; none = no limit.
    pub max_connections: Option<u64>,
    /// Bytes that wait for all clients.
    pub pending_bytes: u64,
    /// Bytes that wait for the client for which most wait.
    pub largest_pending_bytes: u64,
    /// Bytes at which a client is cut off.
    pub max_pending_bytes: u64,
    /// Bytes set aside for messages whose end has not arrived.
    pub unfinished_bytes: u64,
    /// Most bytes set aside for them.
    pub max_unfinished_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) total_connections: AtomicU64,
    received_messages: AtomicU64,
    received_bytes: AtomicU64,
    delivered_messages: AtomicU64,
    delivered_bytes: AtomicU64,
    pub(super) slow_consumers: AtomicU64,
    pub(super) refused_credentials: AtomicU64,
    pub(super) turned_away: AtomicU64,
}

impl Counters {
    pub(crate) fn received(&self, messages: u64, bytes: u64) {
        add(&self.received_messages, messages);
        add(&self.received_bytes, bytes);
    }

    pub(crate) fn sent(&self, messages: u64, bytes: u64) {
        add(&self.delivered_messages, messages);
        add(&self.delivered_bytes, bytes);
    }

    pub(super) fn snapshot(&self, connections: usize, subscriptions: usize) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            subscriptions: u64::try_from(subscriptions).unwrap_or(u64::MAX),
            total_connections: get(&self.total_connections),
            received_messages: get(&self.received_messages),
            received_bytes: get(&self.received_bytes),
            delivered_messages: get(&self.delivered_messages),
            delivered_bytes: get(&self.delivered_bytes),
            slow_consumers: get(&self.slow_consumers),
            refused_credentials: get(&self.refused_credentials),
            turned_away: get(&self.turned_away),
            ..Stats::default()
        }
    }
}

pub(super) fn add(counter: &AtomicU64, more: u64) {
    if more > 0 {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}
