//! The broker that is measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use strandline_client::admin::Side;
use strandline_client::{Backend, Client, Error, ErrorKind, StreamConfig};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_proto::wire::{EnvelopeFields, HeadersRef, put_publish_envelope};
use tokio::task::JoinSet;

use super::Door;
use super::child::{Child, Environment};
use crate::error::BenchError;
use crate::figures::Process;
use crate::filter::{Attached, Filter, HEADER};
use crate::grpc::{self, GrpcAcks, GrpcValues, publish_template, subscribe_request};
use crate::message::{Messages, Template};
use crate::nats;
use crate::publisher::{Acks, Publisher};
use crate::subscriber::{From, Subscriber};

/// Requests for new streams that are under way at a time.
const CREATORS: usize = 8;
/// Segments of a stream that keeps a number of bytes; whole ones are removed.
const SEGMENTS: u64 = 16;
const MIN_SEGMENT_BYTES: u64 = 4 << 20;
const MAX_SEGMENT_BYTES: u64 = 256 << 20;
/// At full speed a second writes hundreds of MiB.
const CLEANER_INTERVAL: Duration = Duration::from_secs(1);
/// The data directory of a broker that was started.
const DATA: &str = "data";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A broker of ours, or somebody's.
#[derive(Debug)]
pub(crate) struct Strandline {
    child: Option<(Child, PathBuf)>,
    client: Client,
    grpc: String,
    nats: Option<String>,
    http: Option<String>,
    process: Option<Process>,
    backend: Option<Backend>,
    /// Streams to delete from a broker that goes on.
    created: Vec<String>,
}

/// What the broker says once it serves.
#[derive(Debug, Deserialize)]
struct Ready {
    pid: u32,
    grpc: String,
    nats: Option<String>,
    http: Option<String>,
}

impl Strandline {
    pub(crate) async fn start(
        program: &Path,
        directory: &Path,
        backend: Option<Backend>,
    ) -> Result<Self, BenchError> {
        Self::start_with(program, directory, backend, Environment::new()).await
    }

    /// As [`Strandline::start`], with settings in variables.
    pub(crate) async fn start_with(
        program: &Path,
        directory: &Path,
        backend: Option<Backend>,
        environment: Environment,
    ) -> Result<Self, BenchError> {
        let ready = directory.join("ready.json");
        let text = |path: &Path| path.display().to_string();
        let arguments = [
            "serve",
            "--data-dir",
            &text(&directory.join(DATA)),
            "--listen",
            "127.0.0.1:0",
            "--nats-listen",
            "127.0.0.1:0",
            "--ready-file",
            &text(&ready),
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        let log = directory.join("log");
        let mut child = Child::start_with("strandline", program, (arguments, environment), log)?;
        let said = wait_until_ready(&mut child, &ready).await?;
        let client = client(&said.grpc).await?;
        Ok(Self {
            process: child.pid().map(Process::new),
            child: Some((child, ready)),
            client,
            grpc: said.grpc,
            nats: said.nats,
            http: said.http,
            backend,
            created: Vec::new(),
        })
    }

    pub(crate) async fn connect(
        grpc: &str,
        nats: Option<&str>,
        pid: Option<u32>,
        backend: Option<Backend>,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            child: None,
            client: client(grpc).await?,
            grpc: grpc.to_owned(),
            nats: nats.map(str::to_owned),
            http: None,
            process: pid.map(Process::new),
            backend,
            created: Vec::new(),
        })
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.process
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where its API listens.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Where its numbers are answered, if it was told to.
    pub(crate) fn http(&self) -> Option<&str> {
        self.http.as_deref()
    }

    pub(crate) fn nats(&self) -> Result<&str, BenchError> {
        self.nats.as_deref().ok_or_else(|| BenchError::NotPossible {
            work: "publishing over NATS",
            reason: "the address of the broker's NATS server is not known; give it with --nats".to_owned(),
        })
    }

    pub(crate) async fn create_stream(&mut self, name: &str, partitions: u32) -> Result<(), BenchError> {
        let config = config(name, self.backend).partitions(partitions);
        self.create(name, config).await
    }

    pub(crate) async fn create_bounded_stream(&mut self, name: &str, bytes: u64) -> Result<(), BenchError> {
        let segment = (bytes / SEGMENTS).clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        let config = config(name, self.backend)
            .retention_max_bytes(bytes)
            .cleaner_interval(CLEANER_INTERVAL)
            .segment_max_bytes(segment);
        self.create(name, config).await
    }

    pub(crate) async fn create(&mut self, name: &str, config: StreamConfig) -> Result<(), BenchError> {
        self.created.push(name.to_owned());
        self.client
            .create_stream(config)
            .await
            .map_err(|error| refused("a new stream", &error))
    }

    pub(crate) fn files(&self) -> Option<PathBuf> {
        let (_, ready) = self.child.as_ref()?;
        Some(ready.with_file_name(DATA))
    }

    pub(crate) async fn create_streams(&mut self, names: &[String]) -> Result<(), BenchError> {
        self.created.extend_from_slice(names);
        let mut creators = JoinSet::new();
        for names in names.chunks(names.len().div_ceil(CREATORS).max(1)) {
            let (client, names, backend) = (self.client.clone(), names.to_vec(), self.backend);
            creators.spawn(async move {
                for name in names {
                    client.create_stream(config(&name, backend)).await?;
                }
                Ok::<_, Error>(())
            });
        }
        while let Some(created) = creators.join_next().await {
            created
                .map_err(|_| BenchError::Interrupted)?
                .map_err(|error| refused("a new stream", &error))?;
        }
        Ok(())
    }

    pub(crate) async fn stored(&self, name: &str, partitions: u32) -> Result<u64, BenchError> {
        let mut stored = 0;
        for partition in 0..partitions {
            let info = self.client.partition(name, partition).await;
            let info = info.map_err(|error| refused("the state of a partition", &error))?;
            stored += info.end;
        }
        Ok(stored)
    }

    pub(crate) async fn publisher(
        &self,
        door: Door,
        messages: Messages<'_>,
    ) -> Result<(Publisher, Vec<Template>), BenchError> {
        let Messages {
            stream,
            partitions,
            value,
            tenths,
        } = messages;
        if door == Door::Nats {
            return self.nats_publisher(stream, value).await;
        }
        let (sender, responses) = grpc::open(&self.grpc, grpc::PUBLISH).await?;
        let acks = Acks::Grpc(GrpcAcks::new(responses));
        let templates = (0..partitions.max(tenths)).map(|number| {
            let header = number
                .checked_rem(tenths)
                .map(|tenth| (HEADER, tenth.to_string()));
            publish_template(stream, number % partitions, value, header)
        });
        Ok((Publisher { sender, acks }, templates.collect()))
    }

    async fn nats_publisher(
        &self,
        stream: &str,
        value: &[u8],
    ) -> Result<(Publisher, Vec<Template>), BenchError> {
        let (sender, mut reader) = nats::connect(self.nats()?).await?;
        let inbox = nats::unique_inbox();
        reader.send(format!("SUB {inbox} 1\r\nPING\r\n").into()).await?;
        reader.wait_for_pong().await?;
        let template = envelope_template(stream, &inbox, value);
        let acks = Acks::Envelopes(reader);
        Ok((Publisher { sender, acks }, vec![template]))
    }

    /// Attaches a filter to a stream.
    pub(crate) async fn attach(
        &self,
        filter: &Filter,
        stream: &str,
        side: Side,
    ) -> Result<Attached, BenchError> {
        filter.attach(&self.client, stream, side).await
    }

    pub(crate) async fn subscriber(&self, stream: &str, from: From) -> Result<Subscriber, BenchError> {
        let responses = grpc::ask(&self.grpc, grpc::SUBSCRIBE, subscribe_request(stream, from)).await?;
        let mut values = GrpcValues::new(responses);
        values.begun().await?;
        Ok(Subscriber::Grpc(values))
    }

    pub(crate) async fn kill_and_restart(&mut self) -> Result<Instant, BenchError> {
        let Some((child, ready)) = &mut self.child else {
            return Err(BenchError::NotPossible {
                work: "restart",
                reason: "a broker that runs already is not killed; leave out --servers".to_owned(),
            });
        };
        // A process that was killed leaves the file behind.
        let _ = std::fs::remove_file(&*ready);
        let start = child.kill_and_restart().await?;
        let said = wait_until_ready(child, ready).await?;
        self.process = Some(Process::new(said.pid));
        self.client = client(&said.grpc).await?;
        (self.grpc, self.nats, self.http) = (said.grpc, said.nats, said.http);
        Ok(start)
    }

    /// Ends a broker of ours, or deletes what was made on somebody's.
    pub(crate) async fn clean_up(&mut self) -> Result<(), BenchError> {
        if let Some((child, _)) = &mut self.child {
            return child.kill().await;
        }
        for name in std::mem::take(&mut self.created) {
            match self.client.delete_stream(&name).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(refused(&format!("to delete stream {name}"), &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A stream on the subject that has its name.
fn config(name: &str, backend: Option<Backend>) -> StreamConfig {
    let config = StreamConfig::new(name, name);
    match backend {
        Some(backend) => config.backend(backend),
        None => config,
    }
}

async fn wait_until_ready(child: &mut Child, file: &Path) -> Result<Ready, BenchError> {
    child.ready(file, |text| serde_json::from_str(text).ok()).await
}

async fn client(grpc: &str) -> Result<Client, BenchError> {
    let client = Client::builder().server(grpc).timeout(TIMEOUT).connect().await;
    client.map_err(|error| match error.kind() {
        ErrorKind::Unavailable => BenchError::Unreachable {
            address: grpc.to_owned(),
            reason: error.to_string(),
        },
        _ => BenchError::Foreign {
            address: grpc.to_owned(),
            reason: error.to_string(),
        },
    })
}

pub(crate) fn refused(what: &str, error: &Error) -> BenchError {
    BenchError::Refused {
        what: what.to_owned(),
        reason: error.to_string(),
    }
}

/// A message as Liftbridge's clients publish it on NATS.
fn envelope_template(subject: &str, inbox: &str, value: &[u8]) -> Template {
    let mut envelope = bytes::BytesMut::new();
    let fields = EnvelopeFields {
        key: b"",
        value,
        stream: "",
        subject,
        headers: HeadersRef::EMPTY,
        ack_inbox: inbox,
        correlation_id: "0123456789",
        ack_policy: AckPolicy::Leader,
        expected_offset: ExpectedOffset::Any,
    };
    put_publish_envelope(&mut envelope, &fields);
    let head = format!("PUB {subject} {}\r\n", envelope.len());
    let bytes = [head.as_bytes(), &envelope, b"\r\n"].concat();
    let value_at = memchr::memmem::find(&bytes, value).unwrap_or_default();
    Template { bytes, value_at }
}
