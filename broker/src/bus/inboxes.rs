//! Ack inboxes of this process, and who listens on them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::partition::{AckSink, CallAck, Origin};

/// Gives each session and each waiting call an ack inbox of its own.
///
/// Messages that went over an external NATS come back with the inbox in their envelope; the answer then goes straight to
/// the listener, without another way over the wire.
#[derive(Debug)]
pub(crate) struct AckInboxes {
    prefix: String,
    next: AtomicU64,
    listeners: Mutex<HashMap<u64, Listener>>,
}

/// Who listens. A session owns its inbox, so it is not kept alive by it.
#[derive(Debug)]
enum Listener {
    Session(Weak<dyn AckSink>),
    Call(Arc<CallAck>),
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
        match self.listeners.lock().get(&id)? {
            Listener::Session(session) => session.upgrade().map(Origin::Session),
            Listener::Call(call) => Some(Origin::Call(Arc::clone(call))),
        }
    }
}

impl AckInbox {
    /// The inbox as a NATS subject.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Sends answers to a session from now on.
    pub(crate) fn listen_for_session(&self, session: Weak<dyn AckSink>) {
        self.inboxes
            .listeners
            .lock()
            .insert(self.id, Listener::Session(session));
    }

    /// Sends the answer to a call.
    pub(crate) fn listen_for_call(&self, call: Arc<CallAck>) {
        self.inboxes
            .listeners
            .lock()
            .insert(self.id, Listener::Call(call));
    }
}

impl Drop for AckInbox {
    fn drop(&mut self) {
        self.inboxes.listeners.lock().remove(&self.id);
    }
}
