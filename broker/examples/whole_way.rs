//! A small benchmark of the whole way: publishers over gRPC, fsync before ack, and replay.
//!
//! ```text
//! cargo run --release -p strandline-broker --example whole_way -- [publishers] [window] [seconds]
//! ```
//!
//! The broker runs in a process of its own, so that its CPU time per record can be told from the load's. Next to the rates
//! stands what the disk does with bare appends and syncs in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that fails should fail loudly"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use strandline_broker::settings::NatsMode;
use strandline_broker::{Broker, Settings};
use strandline_proto::api::*;
use strandline_proto::wire::FrameReader;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const VALUE_BYTES: usize = 256;
const STREAM: &str = "bench";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    if let [command, directory] = &arguments[..]
        && command == "serve"
    {
        return runtime.block_on(serve(Path::new(directory)));
    }
    let number =
        |index: usize, default: u64| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let plan = Plan {
        publishers: number(0, 4),
        window: number(1, 1000),
        time: Duration::from_secs(number(2, 5)),
    };
    let directory = tempfile::tempdir().unwrap();
    bare_appends(directory.path());
    let server = Server::start(&directory.path().join("broker"));
    runtime.block_on(measure(&server, plan));
}

async fn serve(directory: &Path) {
    let mut settings = Settings::new(directory);
    settings.listen = "127.0.0.1:0".parse().unwrap();
    let nats = strandline_nats::Options {
        host: "127.0.0.1".into(),
        port: 0,
        ..strandline_nats::Options::default()
    };
    settings.nats = NatsMode::Embedded(Box::new(nats));
    let broker = Broker::start(settings).await.unwrap();
    println!("{}", broker.grpc_addr());
    std::future::pending::<()>().await;
}

#[derive(Clone, Copy)]
struct Plan {
    publishers: u64,
    window: u64,
    time: Duration,
}

/// The broker's process; killed when dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process = command
            .arg("serve")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            process,
            address: line.trim().parse().unwrap(),
        }
    }

    /// User and system time of the process, from `/proc`.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn measure(server: &Server, plan: Plan) {
    let mut client = api_client::ApiClient::connect(format!("http://{}", server.address))
        .await
        .unwrap();
    let create = CreateStreamRequest {
        name: STREAM.into(),
        subject: STREAM.into(),
        ..Default::default()
    };
    client.create_stream(create).await.unwrap();
    let (cpu, start) = (server.cpu(), Instant::now());
    let publishers = (0..plan.publishers).map(|_| tokio::spawn(publish(server.address, plan)));
    let mut records = 0;
    for publisher in publishers.collect::<Vec<_>>() {
        records += publisher.await.unwrap();
    }
    report(
        "publish, fsync before ack",
        records,
        start.elapsed(),
        server.cpu() - cpu,
    );
    let (cpu, start) = (server.cpu(), Instant::now());
    let replayed = replay(server.address).await;
    assert_eq!(replayed, records);
    report("replay", replayed, start.elapsed(), server.cpu() - cpu);
}

fn report(what: &str, records: u64, time: Duration, cpu: Duration) {
    let rate = records as f64 / time.as_secs_f64();
    let micros = cpu.as_secs_f64() * 1e6 / records as f64;
    println!(
        "{what}: {records} records, {:.0} k/s, {micros:.2} us of server CPU a record",
        rate / 1e3
    );
}

/// Keeps a window of requests in flight until the time is over; says how many were acked.
async fn publish(address: SocketAddr, plan: Plan) -> u64 {
    let request = PublishRequest {
        stream: STREAM.into(),
        value: vec![b'x'; VALUE_BYTES].into(),
        expected_offset: -1,
        correlation_id: "0123456789".into(),
        ..Default::default()
    };
    let frame = framed(&request.encode_to_vec());
    let (sender, receiver) = mpsc::channel(4);
    let mut acks = call(address, "/proto.API/PublishAsync", receiver).await;
    let mut frames = FrameReader::new(1 << 20);
    let (mut in_flight, mut acked, start) = (0, 0, Instant::now());
    loop {
        let more = if start.elapsed() < plan.time {
            plan.window - in_flight
        } else {
            0
        };
        if more > 0 {
            let mut batch = BytesMut::with_capacity(frame.len() * more as usize);
            (0..more).for_each(|_| batch.put_slice(&frame));
            sender.send(batch.freeze()).await.unwrap();
            in_flight += more;
        }
        if in_flight == 0 {
            return acked;
        }
        let Some(data) = acks.frame().await else {
            panic!("the stream ended")
        };
        frames.push(data.unwrap().into_data().unwrap());
        while frames.next_message().unwrap().is_some() {
            (in_flight, acked) = (in_flight - 1, acked + 1);
        }
    }
}

async fn replay(address: SocketAddr) -> u64 {
    let request = SubscribeRequest {
        stream: STREAM.into(),
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    };
    let (sender, receiver) = mpsc::channel(1);
    sender.send(framed(&request.encode_to_vec())).await.unwrap();
    drop(sender);
    let mut messages = call(address, "/proto.API/Subscribe", receiver).await;
    let (mut frames, mut count) = (FrameReader::new(1 << 20), 0_u64);
    while let Some(Ok(data)) = messages.frame().await {
        if let Ok(data) = data.into_data() {
            frames.push(data);
            while frames.next_message().unwrap().is_some() {
                count += 1;
            }
        }
    }
    // The first message is the handshake.
    count - 1
}

async fn call(address: SocketAddr, path: &str, requests: mpsc::Receiver<Bytes>) -> hyper::body::Incoming {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_frame_size(256 << 10)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let frames = tokio_stream::StreamExt::map(ReceiverStream::new(requests), |data| {
        Ok::<_, std::convert::Infallible>(Frame::data(data))
    });
    let request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(frames))
        .unwrap();
    sender.send_request(request).await.unwrap().into_body()
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

/// What the disk does without us: appends of a megabyte, each followed by a sync.
fn bare_appends(directory: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(directory.join("bare")).unwrap();
    let block = vec![0x5a; 1 << 20];
    let (rounds, start) = (200_u64, Instant::now());
    for _ in 0..rounds {
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
    }
    let records = rounds * (1 << 20) / VALUE_BYTES as u64;
    report(
        "bare append + fdatasync of 1 MiB",
        records,
        start.elapsed(),
        Duration::ZERO,
    );
}
