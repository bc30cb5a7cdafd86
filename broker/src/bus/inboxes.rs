//! Ack inboxes of this process, and who listens on them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::partition::Origin;

/// Gives each session and each waiting call an ack inbox of its own.
///
/// Messages that went over an external NATS come back with the inbox in their envelope; the answer then goes straight to
/// the listener, without another way over the wire.
#[derive(Debug)]
pub(crate) struct AckInboxes {
    prefix: String,
    next: AtomicU64,
    listeners: Mutex<HashMap<u64, Origin>>,
}

/// An inbox; dropping it ends the listening.
#[derive(Debug)]
pub(crate) struct AckInbox {
    subject: String,
    id: u64,
    inboxes: Arc<AckInboxes>,
}

impl AckInboxes {
    /// Inboxes below `<namespace>.ack.<nonce>`; the nonce tells this process from others.
    pub(crate) fn new(namespace: &str, nonce: &str) -> Arc<Self> {
        let prefix = format!("{namespace}.ack.{nonce}.");
        Arc::new(Self {
            prefix,
            next: AtomicU64::new(0),
            listeners: Mutex::default(),
        })
    }

    /// An inbox that nobody had before.
    pub(crate) fn open(self: &Arc<Self>) -> AckInbox {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        AckInbox {
            subject: format!("{}{id}", self.prefix),
            id,
            inboxes: Arc::clone(self),
        }
    }

    /// Who listens on an inbox, if it is one of this process.
    pub(super) fn listener(&self, inbox: &str) -> Option<Origin> {
        let id = inbox.strip_prefix(&self.prefix)?.parse().ok()?;
        self.listeners.lock().get(&id).cloned()
    }
}

impl AckInbox {
    /// The inbox as a NATS subject.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Sends answers there from now on.
    pub(crate) fn listen(&self, origin: Origin) {
        self.inboxes.listeners.lock().insert(self.id, origin);
    }
}

impl Drop for AckInbox {
    fn drop(&mut self) {
        self.inboxes.listeners.lock().remove(&self.id);
    }
}
