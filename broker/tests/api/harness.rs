//! A broker on free ports and a client of the generated kind.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use strandline_broker::settings::NatsMode;
use strandline_broker::{Broker, Settings};
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::*;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

/// Longest that any step may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Harness {
    pub(crate) directory: TempDir,
    pub(crate) broker: Broker,
    pub(crate) client: ApiClient<Channel>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl Fn(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, change).await
    }

    pub(crate) async fn start_in(directory: TempDir, change: impl Fn(&mut Settings)) -> Self {
        let mut settings = settings(&directory);
        change(&mut settings);
        let broker = Broker::start(settings).await.unwrap();
        let client = ApiClient::connect(format!("http://{}", broker.grpc_addr()))
            .await
            .unwrap();
        Self {
            directory,
            broker,
            client: client.max_decoding_message_size(64 << 20),
        }
    }

    /// Stops the broker and starts it again on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(self, change: impl Fn(&mut Settings)) -> Self {
        self.broker.shutdown().await;
        Self::start_in(self.directory, change).await
    }

    pub(crate) async fn create(&mut self, name: &str, subject: &str) {
        let request = CreateStreamRequest {
            name: name.into(),
            subject: subject.into(),
            ..Default::default()
        };
        self.client.create_stream(request).await.unwrap();
    }

    /// Publishes with a deadline and waits for the ack.
    pub(crate) async fn publish(&mut self, stream: &str, value: &str) -> Result<Ack, Status> {
        let request = PublishRequest {
            stream: stream.into(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            expected_offset: -1,
            correlation_id: "c".into(),
            ..Default::default()
        };
        self.send(request).await.map(|ack| ack.expect("an ack"))
    }

    pub(crate) async fn send(&mut self, request: PublishRequest) -> Result<Option<Ack>, Status> {
        let mut request = Request::new(request);
        request.set_timeout(TIMEOUT);
        self.client
            .publish(request)
            .await
            .map(|response| response.into_inner().ack)
    }

    pub(crate) async fn subscribe(&mut self, request: SubscribeRequest) -> Result<Subscription, Status> {
        let mut messages = self.client.subscribe(request).await?.into_inner();
        let handshake = next(&mut messages).await?.expect("a handshake");
        assert_eq!(handshake, Message::default(), "the handshake is empty");
        Ok(Subscription { messages })
    }

    /// All values from the oldest to the newest record.
    pub(crate) async fn values(&mut self, stream: &str) -> Vec<String> {
        let request = SubscribeRequest {
            stream: stream.into(),
            start_position: StartPosition::Earliest.into(),
            stop_position: StopPosition::StopLatest.into(),
            ..Default::default()
        };
        let subscription = self.subscribe(request).await.unwrap();
        let (messages, end) = subscription.read_to_end().await;
        assert_eq!(end.code(), Code::ResourceExhausted);
        messages.iter().map(|message| text(&message.value)).collect()
    }

    /// As `values`, once there are so many of them.
    pub(crate) async fn wait_for_values(&mut self, stream: &str, count: usize) -> Vec<String> {
        let waiting = async {
            loop {
                let values = self.values(stream).await;
                if values.len() >= count {
                    return values;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, waiting).await.unwrap()
    }
}

pub(crate) fn settings(directory: &TempDir) -> Settings {
    let mut settings = Settings::new(directory.path());
    settings.listen = "127.0.0.1:0".parse().unwrap();
    let nats = strandline_nats::Options {
        host: "127.0.0.1".into(),
        port: 0,
        ..strandline_nats::Options::default()
    };
    settings.nats = NatsMode::Embedded(Box::new(nats));
    settings
}

pub(crate) struct Subscription {
    messages: Streaming<Message>,
}

impl Subscription {
    pub(crate) async fn next(&mut self) -> Message {
        next(&mut self.messages).await.unwrap().expect("a message")
    }

    /// Everything up to the status that ends the subscription.
    pub(crate) async fn read_to_end(mut self) -> (Vec<Message>, Status) {
        let mut messages = Vec::new();
        loop {
            match next(&mut self.messages).await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Status::ok("")),
                Err(status) => return (messages, status),
            }
        }
    }
}

async fn next(messages: &mut Streaming<Message>) -> Result<Option<Message>, Status> {
    tokio::time::timeout(TIMEOUT, messages.message())
        .await
        .expect("an answer in time")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> HashMap<String, Bytes> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect()
}
