//! A broker on one of the buses, with clients of both doors.

use std::future::Future;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use strandline_broker::settings::{ExternalNats, NatsMode};
use strandline_broker::{Broker, Settings};
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{Ack, CreateStreamRequest, Message, PublishRequest};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const MAX_MESSAGE_BYTES: usize = 100_000;

/// Everything a scenario needs; processes end with it.
pub(crate) struct Bench {
    pub(crate) grpc: ApiClient<Channel>,
    pub(crate) nats: async_nats::Client,
    _broker: Broker,
    _server: Option<NatsServer>,
    _directory: TempDir,
}

impl Bench {
    pub(crate) async fn embedded() -> Self {
        let nats = strandline_nats::Options {
            host: "127.0.0.1".into(),
            port: 0,
            ..strandline_nats::Options::default()
        };
        Self::start(NatsMode::Embedded(Box::new(nats)), None).await
    }

    pub(crate) async fn external() -> Self {
        let server = NatsServer::start(free_port());
        Self::start(server.mode(), Some(server)).await
    }

    async fn start(mode: NatsMode, server: Option<NatsServer>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Broker::start(settings(&directory, mode)).await.unwrap();
        let address = match (&server, broker.nats_addr()) {
            (Some(server), _) => server.address(),
            (None, Some(address)) => address.to_string(),
            (None, None) => panic!("no nats"),
        };
        Self {
            grpc: connect(&broker).await,
            nats: async_nats::connect(address).await.unwrap(),
            _broker: broker,
            _server: server,
            _directory: directory,
        }
    }

    pub(crate) async fn create(&mut self, name: &str, subject: &str) {
        self.create_in_group(name, subject, "").await;
    }

    pub(crate) async fn create_in_group(&mut self, name: &str, subject: &str, group: &str) {
        let (name, subject, group) = (name.into(), subject.into(), group.into());
        let request = CreateStreamRequest {
            name,
            subject,
            group,
            ..Default::default()
        };
        self.grpc.create_stream(request).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, stream: &str, value: &str) -> Ack {
        publish(&mut self.grpc, stream, value).await.unwrap()
    }

    /// A subscription of a plain client that is in force.
    pub(crate) async fn subscribe_nats(&self, subject: &str) -> async_nats::Subscriber {
        let subscriber = self.nats.subscribe(subject.to_owned()).await.unwrap();
        // What comes back to another subject has passed the subscription.
        let inbox = self.nats.new_inbox();
        let mut echo = self.nats.subscribe(inbox.clone()).await.unwrap();
        self.nats.publish(inbox, "".into()).await.unwrap();
        within(futures_util::StreamExt::next(&mut echo)).await.unwrap();
        subscriber
    }

    /// All records of a stream.
    pub(crate) async fn records(&mut self, stream: &str) -> Vec<Message> {
        let Ok(response) = self.grpc.subscribe(super::everything(stream)).await else {
            return Vec::new();
        };
        let (mut messages, mut records) = (response.into_inner(), Vec::new());
        while let Ok(Some(message)) = within(messages.message()).await {
            records.push(message);
        }
        // The first is the handshake.
        if !records.is_empty() {
            records.remove(0);
        }
        records
    }

    /// The records of a stream once there are so many.
    pub(crate) async fn wait_for(&mut self, stream: &str, count: usize) -> Vec<Message> {
        let started = Instant::now();
        loop {
            let records = self.records(stream).await;
            if records.len() >= count {
                return records;
            }
            assert!(
                started.elapsed() < TIMEOUT,
                "{} of {count} records",
                records.len()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn settings(directory: &TempDir, nats: NatsMode) -> Settings {
    let mut settings = Settings::new(directory.path());
    settings.listen = "127.0.0.1:0".parse().unwrap();
    (settings.nats, settings.max_message_bytes) = (nats, MAX_MESSAGE_BYTES);
    settings
}

pub(crate) async fn connect(broker: &Broker) -> ApiClient<Channel> {
    ApiClient::connect(format!("http://{}", broker.grpc_addr()))
        .await
        .unwrap()
}

pub(crate) async fn publish(grpc: &mut ApiClient<Channel>, stream: &str, value: &str) -> Result<Ack, Status> {
    let value = bytes::Bytes::copy_from_slice(value.as_bytes());
    let mut request = Request::new(PublishRequest {
        stream: stream.into(),
        value,
        expected_offset: -1,
        ..Default::default()
    });
    request.set_timeout(TIMEOUT);
    Ok(grpc.publish(request).await?.into_inner().ack.unwrap())
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work)
        .await
        .expect("it happens in time")
}

/// A real nats-server; killed when dropped.
pub(crate) struct NatsServer {
    process: Child,
    port: u16,
}

impl NatsServer {
    pub(crate) fn start(port: u16) -> Self {
        let path = std::env::var("STRANDLINE_TEST_NATS_SERVER")
            .expect("STRANDLINE_TEST_NATS_SERVER names a nats-server; tests/run installs one and sets it");
        let mut command = Command::new(path);
        command
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let server = Self {
            process: command.spawn().unwrap(),
            port,
        };
        let started = Instant::now();
        while std::net::TcpStream::connect(server.address()).is_err() {
            assert!(started.elapsed() < TIMEOUT, "nats-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn mode(&self) -> NatsMode {
        NatsMode::External(ExternalNats {
            servers: vec![self.address()],
            ..ExternalNats::default()
        })
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
