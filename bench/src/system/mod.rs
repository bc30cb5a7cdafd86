//! The servers that are loaded.

mod child;
mod jetstream;
mod strandline;

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(crate) use child::{Child, Environment};
pub(crate) use jetstream::JetStream;
pub(crate) use strandline::{Strandline, refused};

use crate::error::BenchError;
use crate::figures::Process;
use crate::message::{Messages, Template};
use crate::options::{Options, Peer, Target};
use crate::publisher::Publisher;
use crate::subscriber::{From, Subscriber};

/// The way by which messages come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The server's own API: gRPC of Strandline, requests of JetStream.
    Api,
    /// NATS with acks on an inbox.
    Nats,
}

/// A server and what is known of it.
#[derive(Debug)]
pub(crate) enum System {
    Strandline(Strandline),
    JetStream(JetStream),
}

impl System {
    /// Starts the broker that is measured, or connects to it.
    pub(crate) async fn target(options: &Options, directory: &Path) -> Result<Self, BenchError> {
        let strandline = match &options.target {
            Target::Own { program } => Strandline::start(program, directory, options.backend).await?,
            Target::Running { grpc, nats, pid } => {
                Strandline::connect(grpc, nats.as_deref(), *pid, options.backend).await?
            }
        };
        Ok(Self::Strandline(strandline))
    }

    /// Starts a server to compare with.
    pub(crate) async fn peer(peer: &Peer, directory: &Path) -> Result<Self, BenchError> {
        let Peer::JetStream { program, sync_always } = peer;
        JetStream::start(program, *sync_always, directory)
            .await
            .map(Self::JetStream)
    }

    pub(crate) fn process(&self) -> Option<Process> {
        match self {
            Self::Strandline(server) => server.process(),
            Self::JetStream(server) => server.process(),
        }
    }

    /// Creates a stream on the subject that has its name.
    pub(crate) async fn create_stream(&mut self, name: &str, partitions: u32) -> Result<(), BenchError> {
        match self {
            Self::Strandline(server) => server.create_stream(name, partitions).await,
            Self::JetStream(_) if partitions > 1 => Err(BenchError::NotPossible {
                work: "a stream of several partitions",
                reason: "JetStream has none".to_owned(),
            }),
            Self::JetStream(server) => server.create_stream(name).await,
        }
    }

    /// Creates a stream that keeps about so many bytes.
    pub(crate) async fn create_bounded_stream(&mut self, name: &str, bytes: u64) -> Result<(), BenchError> {
        match self {
            Self::Strandline(server) => server.create_bounded_stream(name, bytes).await,
            Self::JetStream(_) => Err(BenchError::NotPossible {
                work: "a soak",
                reason: "only Strandline is soaked".to_owned(),
            }),
        }
    }

    /// Where a server that was started keeps its data.
    pub(crate) fn files(&self) -> Option<PathBuf> {
        match self {
            Self::Strandline(server) => server.files(),
            Self::JetStream(_) => None,
        }
    }

    /// Creates streams, several at a time; says how long all took.
    pub(crate) async fn create_streams(
        &mut self,
        names: &[String],
    ) -> Result<std::time::Duration, BenchError> {
        let start = Instant::now();
        match self {
            Self::Strandline(server) => server.create_streams(names).await?,
            Self::JetStream(server) => server.create_streams(names).await?,
        }
        Ok(start.elapsed())
    }

    /// Messages that the stream holds.
    pub(crate) async fn stored(&mut self, name: &str, partitions: u32) -> Result<u64, BenchError> {
        match self {
            Self::Strandline(server) => server.stored(name, partitions).await,
            Self::JetStream(server) => server.stored(name).await,
        }
    }

    /// A publisher with acks, and its messages for the partitions in turn.
    pub(crate) async fn publisher(
        &self,
        door: Door,
        messages: Messages<'_>,
    ) -> Result<(Publisher, Vec<Template>), BenchError> {
        match self {
            Self::Strandline(server) => server.publisher(door, messages).await,
            Self::JetStream(server) => server.publisher(messages.stream, messages.value).await,
        }
    }

    /// The way to NATS for messages without acks.
    pub(crate) async fn plain_publisher(
        &self,
    ) -> Result<(mpsc::Sender<Bytes>, crate::nats::NatsReader), BenchError> {
        let address = match self {
            Self::Strandline(server) => server.nats()?,
            Self::JetStream(server) => server.address(),
        };
        crate::nats::connect(address).await
    }

    pub(crate) async fn subscriber(&mut self, stream: &str, from: From) -> Result<Subscriber, BenchError> {
        match self {
            Self::Strandline(server) => server.subscriber(stream, from).await,
            Self::JetStream(server) => server.subscriber(stream, from).await,
        }
    }

    /// Kills the server and starts it again on its data; returns when it was started, before it answers.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<Instant, BenchError> {
        match self {
            Self::Strandline(server) => server.kill_and_restart().await,
            Self::JetStream(server) => server.kill_and_restart().await,
        }
    }

    /// Ends a server that was started, and removes what was made on one that goes on.
    pub(crate) async fn clean_up(&mut self) -> Result<(), BenchError> {
        match self {
            Self::Strandline(server) => server.clean_up().await,
            Self::JetStream(server) => server.kill().await,
        }
    }
}
