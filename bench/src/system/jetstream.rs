//! NATS JetStream, to compare with. Its API is JSON over requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::child::Child;
use crate::error::BenchError;
use crate::figures::Process;
use crate::message::Template;
use crate::nats::{self, Requests};
use crate::publisher::{Acks, Publisher};
use crate::subscriber::{From, Subscriber};

/// Requests for new streams that are under way at a time; as many as for Strandline.
const CREATORS: usize = 8;

/// A server of its own.
#[derive(Debug)]
pub(crate) struct JetStream {
    child: Child,
    directory: PathBuf,
    address: String,
    requests: Requests,
}

impl JetStream {
    pub(crate) async fn start(
        program: &Path,
        sync_always: bool,
        directory: &Path,
    ) -> Result<Self, BenchError> {
        let sync = if sync_always { "sync_interval: always" } else { "" };
        let config = format!(
            "listen: \"127.0.0.1:-1\"\nports_file_dir: {directory:?}\njetstream {{ store_dir: {:?}\n{sync} }}\n",
            directory.join("data")
        );
        let file = directory.join("nats.conf");
        fs::write(&file, config).map_err(BenchError::io(format!("write {}", file.display())))?;
        let arguments = vec!["-c".to_owned(), file.display().to_string()];
        let mut child = Child::start("nats-server", program, arguments, directory.join("log"))?;
        let address = wait_until_ready(&mut child, program, directory).await?;
        let mut requests = Requests::open(&address).await?;
        ask(&mut requests, &address, "$JS.API.INFO", &json!({})).await?;
        Ok(Self {
            child,
            directory: directory.to_owned(),
            address,
            requests,
        })
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.child.pid().map(Process::new)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn create_stream(&mut self, name: &str) -> Result<(), BenchError> {
        create(&mut self.requests, &self.address, name).await
    }

    pub(crate) async fn create_streams(&mut self, names: &[String]) -> Result<(), BenchError> {
        let mut creators = JoinSet::new();
        for names in names.chunks(names.len().div_ceil(CREATORS).max(1)) {
            let (address, names) = (self.address.clone(), names.to_vec());
            creators.spawn(async move {
                let mut requests = Requests::open(&address).await?;
                for name in names {
                    create(&mut requests, &address, &name).await?;
                }
                Ok::<_, BenchError>(())
            });
        }
        while let Some(created) = creators.join_next().await {
            created.map_err(|_| BenchError::Interrupted)??;
        }
        Ok(())
    }

    pub(crate) async fn stored(&mut self, name: &str) -> Result<u64, BenchError> {
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        let info = ask(&mut self.requests, &self.address, &subject, &json!({})).await?;
        Ok(info["state"]["messages"].as_u64().unwrap_or_default())
    }

    pub(crate) async fn publisher(
        &self,
        stream: &str,
        value: &[u8],
    ) -> Result<(Publisher, Vec<Template>), BenchError> {
        let (sender, mut reader) = nats::connect(&self.address).await?;
        let inbox = nats::unique_inbox();
        reader.send(format!("SUB {inbox} 1\r\nPING\r\n").into()).await?;
        reader.wait_for_pong().await?;
        let head = format!("PUB {stream} {inbox} {}\r\n", value.len());
        let template = Template {
            bytes: [head.as_bytes(), value, b"\r\n"].concat(),
            value_at: head.len(),
        };
        let acks = Acks::JetStream(reader);
        Ok((Publisher { sender, acks }, vec![template]))
    }

    /// A push consumer without acks, JetStream's fastest way out.
    pub(crate) async fn subscriber(&mut self, stream: &str, from: From) -> Result<Subscriber, BenchError> {
        let (_, mut reader) = nats::connect(&self.address).await?;
        let inbox = nats::unique_inbox();
        reader.send(format!("SUB {inbox} 1\r\nPING\r\n").into()).await?;
        reader.wait_for_pong().await?;
        let deliver = match from {
            From::Earliest => "all",
            From::New => "new",
        };
        let request = json!({"stream_name": stream, "config": {
            "deliver_subject": inbox, "deliver_policy": deliver, "ack_policy": "none", "replay_policy": "instant",
            "flow_control": true, "idle_heartbeat": 5_000_000_000_u64, "mem_storage": true,
        }});
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream}");
        ask(&mut self.requests, &self.address, &subject, &request).await?;
        Ok(Subscriber::JetStream(reader))
    }

    pub(crate) async fn kill(&mut self) -> Result<(), BenchError> {
        self.child.kill().await
    }

    pub(crate) async fn kill_and_restart(&mut self) -> Result<Instant, BenchError> {
        let program = self.child.program().to_owned();
        if let Some(file) = ports_file(&self.child, &program, &self.directory) {
            let _ = fs::remove_file(file);
        }
        let start = self.child.kill_and_restart().await?;
        self.address = wait_until_ready(&mut self.child, &program, &self.directory).await?;
        self.requests = Requests::open(&self.address).await?;
        Ok(start)
    }
}

async fn wait_until_ready(child: &mut Child, program: &Path, directory: &Path) -> Result<String, BenchError> {
    let file = ports_file(child, program, directory).unwrap_or_default();
    let address = |text: &str| {
        let ports: Value = serde_json::from_str(text).ok()?;
        let url = ports["nats"].get(0)?.as_str()?;
        Some(url.strip_prefix("nats://").unwrap_or(url).to_owned())
    };
    child.ready(&file, address).await
}

/// The server names the file after itself and its process.
fn ports_file(child: &Child, program: &Path, directory: &Path) -> Option<PathBuf> {
    let name = program.file_name()?.to_str()?;
    Some(directory.join(format!("{name}_{}.ports", child.pid()?)))
}

async fn create(requests: &mut Requests, address: &str, name: &str) -> Result<(), BenchError> {
    let config = json!({"name": name, "subjects": [name], "storage": "file", "num_replicas": 1});
    let subject = format!("$JS.API.STREAM.CREATE.{name}");
    ask(requests, address, &subject, &config).await.map(|_| ())
}

async fn ask(
    requests: &mut Requests,
    address: &str,
    subject: &str,
    request: &Value,
) -> Result<Value, BenchError> {
    let foreign = |reason: &str| BenchError::Foreign {
        address: address.to_owned(),
        reason: reason.to_owned(),
    };
    let answer = requests.request(subject, request.to_string().as_bytes()).await?;
    let answer = answer.ok_or_else(|| foreign("it has no JetStream"))?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| foreign(&error.to_string()))?;
    match answer.get("error") {
        None => Ok(answer),
        Some(error) => Err(BenchError::Refused {
            what: subject.to_owned(),
            reason: error["description"].as_str().unwrap_or_default().to_owned(),
        }),
    }
}
