//! A subscription of a client or of a part of this process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::connection::Connection;
use crate::local::LocalSink;

/// A registered filter and where its messages go.
pub(crate) struct Subscription {
    pub(crate) filter: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    /// The client's name for it; empty for local ones.
    pub(crate) sid: Box<[u8]>,
    pub(crate) target: Target,
    /// Messages after which it ends; zero is no limit.
    limit: AtomicU64,
    delivered: AtomicU64,
    closed: AtomicBool,
}

/// Where messages go.
#[derive(Clone)]
pub(crate) enum Target {
    Remote(Arc<Connection>),
    Local(Arc<dyn LocalSink>),
}

/// What to do with one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Deliver,
    /// Deliver, then remove the subscription: its limit is reached.
    DeliverLast,
    Refuse,
}

impl Subscription {
    pub(crate) fn new(filter: &[u8], queue: Option<&[u8]>, sid: &[u8], target: Target) -> Self {
        Self {
            filter: filter.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
            target,
            limit: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Counts one more message.
    pub(crate) fn admit(&self) -> Admission {
        if self.closed.load(Ordering::Acquire) {
            return Admission::Refuse;
        }
        let number = self.delivered.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        match self.limit.load(Ordering::Acquire) {
            0 => Admission::Deliver,
            limit if number < limit => Admission::Deliver,
            limit if number == limit => Admission::DeliverLast,
            _ => Admission::Refuse,
        }
    }

    /// Sets the number of messages, counted from the beginning, after which it ends. False: they were delivered already.
    pub(crate) fn limit_to(&self, max: u64) -> bool {
        self.limit.store(max, Ordering::Release);
        self.delivered.load(Ordering::Acquire) < max
    }

    /// From now on nothing is delivered. True for the first caller.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &String::from_utf8_lossy(&self.filter))
            .field("sid", &String::from_utf8_lossy(&self.sid))
            .finish_non_exhaustive()
    }
}
