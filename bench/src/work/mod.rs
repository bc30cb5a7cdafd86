//! What is measured: one file for each kind of work.

mod fairness;
mod idle;
mod ingest;
mod publish;
mod replay;
mod restart;
mod soak;
mod streams;
mod tail;

use std::time::Duration;

use indicatif::ProgressBar;
use strandline_client::admin::Side;
use tokio_util::sync::CancellationToken;

pub use soak::Part;

use crate::error::BenchError;
use crate::figures::{Latency, Span, Spent};
use crate::filter::{Attached, Filter, TENTHS};
use crate::options::Options;
use crate::system::{Door, System};

/// A kind of work, with the numbers that the project's figures are given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// 4 publishers with 1,000 messages in flight each, over the server's API.
    Publish,
    /// One publisher with 1,000 messages in flight.
    PublishOne,
    /// 4 publishers with 1,000 messages in flight over NATS, acked on an inbox.
    NatsAcks,
    /// 1 M messages over plain NATS without acks, at full speed.
    Ingest,
    /// One subscriber reads a stream from its begin.
    Replay,
    /// 4 subscribers read a stream from its begin.
    ReplayFour,
    /// One publisher that waits for each ack.
    WindowOne,
    /// Publish to receipt at 50,000 messages a second.
    Tail,
    /// 4 publishers with 1,000 messages in flight, spread over 100 partitions.
    Spread,
    /// One publisher that waits for each ack, beside 4 publishers with 1,000 messages in flight on another stream.
    Fairness,
    /// 1,000 streams are created; then the server idles with them.
    Streams,
    /// 10 streams with 1,000 partitions each are created; then the server idles with them.
    Partitions,
    /// The server idles with nothing.
    Idle,
    /// The server is killed with data stored; until the first ack.
    Restart,
    /// 4 publishers with 1,000 messages in flight for minutes; everything is read back and compared.
    Soak,
}

/// What a work has cost.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Messages, or streams.
    pub(crate) count: u64,
    pub(crate) spent: Spent,
    pub(crate) latency: Latency,
    /// Share of a core that the idle server used.
    pub(crate) idle: Option<f64>,
    /// Time from the start of the killed server's successor to its first ack.
    pub(crate) first_ack: Option<Duration>,
    /// The same latency without others who keep the server busy.
    pub(crate) alone: Option<Latency>,
    /// How a long run went on.
    pub(crate) course: Vec<Part>,
}

impl Measured {
    fn new(count: u64, spent: Spent, latency: Latency) -> Self {
        Self {
            count,
            spent,
            latency,
            idle: None,
            first_ack: None,
            alone: None,
            course: Vec::new(),
        }
    }
}

/// A work with what it needs.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) system: &'a mut System,
    pub(crate) options: &'a Options,
    pub(crate) value: &'a [u8],
    /// Prefix of the names of streams that nobody else uses.
    pub(crate) name: String,
    /// The filter that its stream has.
    pub(crate) filter: Option<&'a Filter>,
    /// Cancelled when the user has had enough, for works that then end in order.
    pub(crate) stop: &'a CancellationToken,
    pub(crate) progress: &'a ProgressBar,
}

impl Task<'_> {
    /// Number of different headers that messages have for filters.
    pub(crate) fn tenths(&self) -> u32 {
        if self.options.filters.is_empty() {
            0
        } else {
            TENTHS
        }
    }

    /// Attaches the filter of this work to its stream, if it has one.
    pub(crate) async fn attach(&self, side: Side) -> Result<Option<Attached>, BenchError> {
        match (self.filter, &*self.system) {
            (Some(filter), System::Strandline(server)) => {
                server.attach(filter, &self.name, side).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Work {
    /// All that make the table, in the order in which they are done and shown.
    pub const ALL: [Self; 14] = [
        Self::Publish,
        Self::PublishOne,
        Self::NatsAcks,
        Self::Ingest,
        Self::Replay,
        Self::ReplayFour,
        Self::WindowOne,
        Self::Tail,
        Self::Spread,
        Self::Fairness,
        Self::Streams,
        Self::Partitions,
        Self::Idle,
        Self::Restart,
    ];

    /// Those that are done only when they are named.
    pub const APART: [Self; 1] = [Self::Soak];

    /// Those that give an impression within a minute.
    pub const QUICK: [Self; 5] = [
        Self::Publish,
        Self::NatsAcks,
        Self::Replay,
        Self::WindowOne,
        Self::Tail,
    ];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::PublishOne => "publish-one",
            Self::NatsAcks => "nats-acks",
            Self::Ingest => "ingest",
            Self::Replay => "replay",
            Self::ReplayFour => "replay-four",
            Self::WindowOne => "window-one",
            Self::Tail => "tail",
            Self::Spread => "spread",
            Self::Fairness => "fairness",
            Self::Streams => "streams",
            Self::Partitions => "partitions",
            Self::Idle => "idle",
            Self::Restart => "restart",
            Self::Soak => "soak",
        }
    }

    /// What is done, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Publish => "publish, 4 x 1,000 in flight",
            Self::PublishOne => "publish, 1 x 1,000 in flight",
            Self::NatsAcks => "nats with acks, 4 x 1,000",
            Self::Ingest => "plain nats, 1 M without acks",
            Self::Replay => "replay, 1 subscriber",
            Self::ReplayFour => "replay, 4 subscribers",
            Self::WindowOne => "publish, 1 in flight",
            Self::Tail => "tail at 50,000/s",
            Self::Spread => "publish, 4 x 1,000 over 100 partitions",
            Self::Fairness => "1 in flight beside 4 x 1,000",
            Self::Streams => "1,000 streams",
            Self::Partitions => "10 streams x 1,000 partitions",
            Self::Idle => "idle",
            Self::Restart => "first ack after kill -9",
            Self::Soak => "soak, 4 x 1,000, all read back",
        }
    }

    /// Whether a server that syncs each message for itself is worth the time that this takes it.
    pub(crate) fn suits_slow_server(self) -> bool {
        !matches!(
            self,
            Self::Ingest | Self::Replay | Self::ReplayFour | Self::Restart | Self::Tail | Self::Idle
        )
    }

    /// Whether it writes so much that it matters whether the memory for it is there.
    pub(crate) fn is_heavy(self) -> bool {
        !matches!(
            self,
            Self::WindowOne | Self::Tail | Self::Streams | Self::Partitions | Self::Idle
        )
    }

    /// Whether it can be done on a stream with a filter.
    pub(crate) fn suits_filters(self) -> bool {
        matches!(
            self,
            Self::Publish
                | Self::PublishOne
                | Self::NatsAcks
                | Self::WindowOne
                | Self::Replay
                | Self::ReplayFour
        )
    }

    /// Whether servers without partitions can do it.
    pub(crate) fn suits_jetstream(self) -> bool {
        !matches!(self, Self::Spread | Self::Partitions | Self::Soak)
    }

    /// Whether it ends by itself, with what it has, when the user has had enough.
    pub(crate) fn ends_in_order(self) -> bool {
        self == Self::Soak
    }

    pub(crate) async fn run(self, task: &mut Task<'_>) -> Result<Measured, BenchError> {
        match self {
            Self::Publish => publish::windowed(task, Door::Api, 4, 1000, 1).await,
            Self::PublishOne => publish::windowed(task, Door::Api, 1, 1000, 1).await,
            Self::NatsAcks => publish::windowed(task, Door::Nats, 4, 1000, 1).await,
            Self::Ingest => ingest::run(task).await,
            Self::Replay => replay::run(task, 1).await,
            Self::ReplayFour => replay::run(task, 4).await,
            Self::WindowOne => publish::windowed(task, Door::Api, 1, 1, 1).await,
            Self::Tail => tail::run(task).await,
            Self::Spread => publish::windowed(task, Door::Api, 4, 1000, 100).await,
            Self::Fairness => fairness::run(task).await,
            Self::Streams => streams::run(task, 1000, 1).await,
            Self::Partitions => streams::run(task, 10, 1000).await,
            Self::Idle => idle::run(task, 0, Span::begin(task.system.process()).end()).await,
            Self::Restart => restart::run(task).await,
            Self::Soak => soak::run(task).await,
        }
    }
}
