//! One client: its state that others may touch, and the task that reads from it.

mod close;
mod connect;
mod handshake;
mod intake;
mod operations;
mod outbound;
mod pings;
pub(crate) mod pool;
mod responses;
mod session;
mod source;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use close::CloseReason;
pub(crate) use connect::ConnectOptions;
pub(crate) use handshake::welcome;
pub(crate) use intake::ALLOWANCE_UNIT;
use outbound::{Outbound, Writing};
use responses::Responses;
use wire::{Progress, Wire};

use crate::auth::{Identity, Permissions};
use crate::router::Subscription;
use crate::server::Shared;

/// A client's connection as publishers and the server see it. Owned by its session; others hold it for as long as they
/// remember routes, so it keeps neither the socket nor buffers once closed.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) shared: Arc<Shared>,
    outbound: Outbound,
    with_headers: AtomicBool,
    /// Understands later INFOs.
    takes_info: AtomicBool,
    subscriptions: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
    permissions: ArcSwapOption<Permissions>,
    responses: Mutex<Responses>,
    close_reason: OnceLock<CloseReason>,
    closed: Notify,
}

impl Connection {
    pub(crate) fn new(id: u64, shared: Arc<Shared>, wire: Arc<Wire>) -> Self {
        let outbound = Outbound::new(wire, shared.limits.max_pending);
        Self {
            id,
            shared,
            outbound,
            with_headers: AtomicBool::new(false),
            takes_info: AtomicBool::new(false),
            subscriptions: Mutex::default(),
            permissions: ArcSwapOption::empty(),
            responses: Mutex::default(),
            close_reason: OnceLock::new(),
            closed: Notify::new(),
        }
    }

    /// Whether the client reads `HMSG`.
    pub(crate) fn takes_headers(&self) -> bool {
        self.with_headers.load(Ordering::Relaxed)
    }

    /// Takes over what a successful CONNECT says.
    pub(crate) fn adopt(&self, options: &ConnectOptions, identity: Option<&Identity>) {
        self.with_headers.store(options.headers, Ordering::Relaxed);
        self.takes_info.store(options.protocol >= 1, Ordering::Release);
        self.permissions
            .store(identity.and_then(|identity| identity.permissions.clone()));
    }

    pub(crate) fn takes_info(&self) -> bool {
        self.takes_info.load(Ordering::Acquire)
    }

    pub(crate) fn permissions(&self) -> Option<Arc<Permissions>> {
        self.permissions.load_full()
    }

    /// Whether the client may not be shown messages on this subject, although it has a wider subscription.
    pub(crate) fn is_delivery_denied(&self, subject: &[u8]) -> bool {
        self.permissions
            .load()
            .as_ref()
            .is_some_and(|permissions| permissions.delivery_denied(subject))
    }

    /// Remembers that the client was asked and may answer, if its permissions work that way.
    pub(crate) fn note_request(&self, reply: &[u8]) {
        let permissions = self.permissions.load();
        if let Some(rule) = permissions
            .as_ref()
            .and_then(|permissions| permissions.responses())
        {
            self.responses.lock().note(reply, rule);
        }
    }

    /// Whether the client answers something it was asked; uses up one of its answers.
    pub(crate) fn may_respond(&self, subject: &[u8]) -> bool {
        self.responses.lock().use_up(subject)
    }

    /// Queues the bytes, leaving the buffer empty. A consumer too slow for that is closed.
    pub(crate) fn push(&self, bytes: &mut Vec<u8>) {
        if self.outbound.push(bytes).is_err() {
            self.close(CloseReason::SlowConsumerPending);
        }
    }

    /// Writes what is queued as far as the socket takes it, and leaves the rest to a task that ends when all is written.
    pub(crate) fn write(self: &Arc<Self>) {
        let Some(mut writing) = self.outbound.begin() else {
            return;
        };
        match self.write_now(&mut writing) {
            Ok(Progress::Complete) => {}
            Ok(Progress::Blocked) => self.write_later(writing),
            Err(_) => self.close(CloseReason::Gone),
        }
    }

    /// Writes what the cipher has to say of its own.
    pub(crate) fn nudge(self: &Arc<Self>) {
        self.outbound.nudge();
        self.write();
    }

    /// Like [`write`](Self::write), but in a task from the start: for publishers that have more to do.
    pub(crate) fn write_elsewhere(self: &Arc<Self>) {
        if let Some(writing) = self.outbound.begin() {
            self.write_later(writing);
        }
    }

    fn write_now(&self, writing: &mut Writing) -> std::io::Result<Progress> {
        loop {
            let progress = writing.wire.write(&mut writing.outgoing)?;
            let more = self.outbound.proceed(writing);
            if progress == Progress::Blocked || !more {
                return Ok(progress);
            }
        }
    }

    fn write_later(self: &Arc<Self>, writing: Writing) {
        let connection = Arc::clone(self);
        // Ends when the socket took everything, at the write deadline, or when the connection is closed.
        self.shared.spawn(async move { connection.drain(writing).await });
    }

    async fn drain(&self, mut writing: Writing) {
        let deadline = self.shared.limits.write_deadline;
        loop {
            match self.write_now(&mut writing) {
                Ok(Progress::Complete) => return,
                Ok(Progress::Blocked) => {}
                Err(_) => return self.close(CloseReason::Gone),
            }
            let writable = async {
                tokio::select! {
                    writable = writing.wire.writable() => writable,
                    () = self.outbound.closed() => Err(std::io::ErrorKind::NotConnected.into()),
                }
            };
            match tokio::time::timeout(deadline, writable).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.close(CloseReason::Gone),
                Err(_) => return self.close(CloseReason::SlowConsumerDeadline),
            }
        }
    }

    /// Asks the session to end. The first reason counts. Nothing more is written to a consumer that is too slow.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.close_reason.set(reason).is_ok() {
            if !reason.is_polite() {
                self.outbound.close();
            }
            self.closed.notify_one();
        }
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason.get().copied()
    }

    /// Waits for [`close`](Self::close); for the session only. Cancel safe.
    pub(crate) async fn closed(&self) {
        while self.close_reason.get().is_none() {
            self.closed.notified().await;
        }
    }

    /// Pauses a publisher that feeds this connection too fast; the caller bounds the wait. Cancel safe.
    pub(crate) async fn relieved(&self) {
        self.outbound.relieved().await;
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.outbound.pending()
    }

    pub(crate) fn must_stall(&self) -> bool {
        !self.shared.limits.no_fast_producer_stall && self.outbound.must_stall()
    }

    /// The subscription has had its last message.
    pub(crate) fn end_subscription(&self, subscription: &Arc<Subscription>) {
        if subscription.close() {
            let mut subscriptions = self.subscriptions.lock();
            if subscriptions
                .get(&subscription.sid)
                .is_some_and(|known| Arc::ptr_eq(known, subscription))
            {
                subscriptions.remove(&subscription.sid);
            }
            drop(subscriptions);
            self.shared.router.remove(subscription);
        }
    }

    fn end_all_subscriptions(&self) {
        let all = std::mem::take(&mut *self.subscriptions.lock());
        for subscription in all.into_values() {
            if subscription.close() {
                self.shared.router.remove(&subscription);
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
