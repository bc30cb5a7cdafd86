//! NATS as the broker sees it: an embedded server in this process, or an external one.
//!
//! Both sides of the trait behave the same and pass the same tests. What differs is how far a publish travels: with the
//! embedded bus a publish of this process reaches partitions by a function call; with an external
//! one everything goes over the wire and comes back ([`Reach::Wire`]).

mod embedded;
mod external;
mod inboxes;
mod ingest;
mod silent;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::partition::PartitionHandle;

pub(crate) use embedded::EmbeddedBus;
pub(crate) use external::{ConnectError, ExternalBus};
pub(crate) use inboxes::{AckInbox, AckInboxes};
pub(crate) use silent::SilentBus;

/// A boxed future, for the few calls of the bus that wait.
pub(crate) type BusFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The bus.
pub(crate) trait Bus: fmt::Debug + Send + Sync {
    /// Delivers messages on a partition's subject to the partition from now on, as a member of its load-balance group if
    /// it has one. When this returns, every message published later is delivered.
    ///
    /// Cancel safety: a cancelled call leaves no subscription behind.
    fn subscribe(
        &self,
        partition: Arc<PartitionHandle>,
    ) -> BusFuture<'_, Result<Box<dyn Subscription>, BusError>>;

    /// A publisher for one session or task.
    fn publisher(&self) -> Box<dyn BusPublisher>;

    /// A publisher of acks for one appender.
    fn ack_publisher(&self) -> Box<dyn AckPublisher>;

    /// Whether messages come and go now.
    fn is_connected(&self) -> bool;

    /// What was counted.
    fn numbers(&self) -> BusNumbers;

    /// Ends deliveries; what was delivered before stays delivered.
    fn shutdown(&self) -> BusFuture<'_, ()>;
}

/// What a bus counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BusNumbers {
    /// The server in this process.
    Embedded(strandline_nats::Stats),
    /// The connection to a server elsewhere.
    External(ExternalNumbers),
    /// Nothing: there is no bus.
    Silent,
}

/// What is counted about a connection to a NATS elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExternalNumbers {
    pub(crate) connected: bool,
    pub(crate) connections_lost: u64,
    pub(crate) slow_consumer_events: u64,
    pub(crate) acks_dropped: u64,
    /// Acks that wait for the connection, and most of them.
    pub(crate) acks_waiting: usize,
    pub(crate) max_acks_waiting: usize,
}

/// A subscription; dropping it ends the deliveries.
pub(crate) trait Subscription: fmt::Debug + Send + Sync {}

/// Publishes messages for one session or task.
pub(crate) trait BusPublisher: Send {
    /// The partitions of this process that every message on this literal subject reaches for now, if nobody else does and no
    /// queue group has to choose: such messages need no publishing.
    fn fixed_partitions(&mut self, subject: &str, out: &mut Vec<Arc<PartitionHandle>>) -> bool;

    /// Queues a message for everybody who gets it, but for partitions of this process that are reached without the bus: those
    /// are added to `out`.
    fn publish(&mut self, subject: &str, payload: &[u8], out: &mut Vec<Arc<PartitionHandle>>) -> Reach;

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// The bus is not connected or cannot take the messages; nothing is known about their delivery.
    fn flush(&mut self) -> BusFuture<'_, Result<(), BusError>>;
}

/// How far a published message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everybody who gets it is known.
    Known,
    /// It is on the wire, and partitions will hear it there.
    Wire,
}

/// Publishes answers; never waits.
pub(crate) trait AckPublisher: Send {
    /// Queues a message. `headers` is a whole NATS header block, or empty.
    fn publish(&mut self, subject: &str, headers: &[u8], payload: &[u8]);

    /// Sends what is queued. Answers that the bus cannot take are dropped and counted: their publishers see no answer,
    /// never a wrong one.
    fn flush(&mut self);
}

/// What can go wrong on the bus.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// The subject or queue group cannot be subscribed to.
    #[error("cannot subscribe to {subject:?}: {reason}")]
    Subscribe {
        /// The subject.
        subject: String,
        /// What the bus said.
        reason: String,
    },
    /// There is no connection now.
    #[error("not connected to nats: {reason}")]
    Disconnected {
        /// What is known about it.
        reason: String,
    },
}
