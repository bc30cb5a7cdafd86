//! An external NATS that goes away and comes back.

use std::time::{Duration, Instant};

use strandline_broker::Broker;
use strandline_proto::api::CreateStreamRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::setup::{NatsServer, TIMEOUT, connect, free_port, publish, settings};

#[tokio::test]
async fn publishers_are_told_of_an_outage_and_go_on_after_it() {
    let port = free_port();
    let server = NatsServer::start(port);
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory, server.mode());
    settings.http_listen = Some(":0".parse().unwrap());
    let broker = Broker::start(settings).await.unwrap();
    assert_eq!(http_status(&broker, "/readyz").await, "200");
    let mut grpc = connect(&broker).await;
    let create = CreateStreamRequest {
        name: "orders".into(),
        subject: "orders".into(),
        ..Default::default()
    };
    grpc.create_stream(create).await.unwrap();
    assert_eq!(publish(&mut grpc, "orders", "before").await.unwrap().offset, 0);
    drop(server);
    let refused = refusal(&mut grpc).await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("nats"), "{refused:?}");
    assert_eq!(http_status(&broker, "/readyz").await, "503");
    assert_eq!(http_status(&broker, "/healthz").await, "200");
    let _server = NatsServer::start(port);
    let started = Instant::now();
    let offset = loop {
        match publish(&mut grpc, "orders", "after").await {
            Ok(ack) => break ack.offset,
            Err(status) => assert!(started.elapsed() < TIMEOUT, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(offset, 1);
    assert_eq!(http_status(&broker, "/readyz").await, "200");
}

async fn http_status(broker: &Broker, path: &str) -> String {
    let mut stream = TcpStream::connect(broker.http_addr().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The first publish that is refused: the broker needs a moment to see that the server is gone.
async fn refusal(
    grpc: &mut strandline_proto::api::api_client::ApiClient<tonic::transport::Channel>,
) -> tonic::Status {
    let started = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Err(status) = publish(grpc, "orders", "during").await {
            return status;
        }
        assert!(started.elapsed() < TIMEOUT, "nothing was refused");
    }
}

#[tokio::test]
async fn a_start_without_a_reachable_server_says_where_it_looked() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let nats = strandline_broker::settings::ExternalNats {
        servers: vec![format!("127.0.0.1:{port}")],
        ..Default::default()
    };
    let mode = strandline_broker::settings::NatsMode::External(nats);
    let error = Broker::start(settings(&directory, mode))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&port.to_string()) && error.contains("nats.servers"),
        "{error}"
    );
}
