//! A server and a client as tonic makes them, with the messages of the API and nothing behind them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use strandline_proto::api::{Ack, Message, PublishRequest, PublishResponse, SubscribeRequest};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc as ClientGrpc;
use tonic::server::{Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::error::BenchError;

/// Messages in flight.
const WINDOW: usize = 1000;
const TIME: Duration = Duration::from_secs(2);
/// HTTP/2 windows; with those that the library starts with both sides would wait for each other most of the time.
const WINDOW_BYTES: u32 = 1 << 20;

/// Messages a second of the bidirectional and of the server stream. On a runtime of its own, with a thread for each side:
/// that of the benchmark has but one.
pub(super) fn measure(value: &[u8]) -> Result<(f64, f64), BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(BenchError::io("start a runtime"))?;
    let value = Bytes::copy_from_slice(value);
    let rates = runtime.block_on(rates(value)).map_err(|error| BenchError::Ended {
        what: "bare tonic stream",
        reason: error.to_string(),
    });
    runtime.shutdown_background();
    rates
}

async fn rates(value: Bytes) -> Result<(f64, f64), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(Bare { value: value.clone() })
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let server = tokio::spawn(server);
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let start = Instant::now();
    let acked = publish(endpoint.connect().await?, value.clone(), start + TIME).await?;
    let bidirectional = acked as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let received = subscribe(endpoint.connect().await?, start + TIME).await?;
    let server_stream = received as f64 / start.elapsed().as_secs_f64();
    server.abort();
    Ok((bidirectional, server_stream))
}

async fn publish(channel: Channel, value: Bytes, until: Instant) -> Result<u64, Status> {
    let request = PublishRequest {
        stream: "bench".to_owned(),
        value,
        correlation_id: "0123456789".to_owned(),
        expected_offset: -1,
        ..PublishRequest::default()
    };
    let (sender, requests) = mpsc::channel(WINDOW);
    let mut grpc = ClientGrpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<PublishRequest, PublishResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/bare.Bare/Publish");
    let response = grpc.streaming(Request::new(ReceiverStream::new(requests)), path, codec);
    let mut acks = response.await?.into_inner();
    let (mut in_flight, mut acked) = (0, 0);
    loop {
        while in_flight < WINDOW && Instant::now() < until && sender.try_send(request.clone()).is_ok() {
            in_flight += 1;
        }
        if in_flight == 0 {
            return Ok(acked);
        }
        if acks.message().await?.is_none() {
            return Ok(acked);
        }
        (in_flight, acked) = (in_flight - 1, acked + 1);
    }
}

async fn subscribe(channel: Channel, until: Instant) -> Result<u64, Status> {
    let mut grpc = ClientGrpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<SubscribeRequest, Message>::default();
    let path = http::uri::PathAndQuery::from_static("/bare.Bare/Subscribe");
    let request = Request::new(SubscribeRequest::default());
    let mut messages = grpc.server_streaming(request, path, codec).await?.into_inner();
    let mut received: u64 = 0;
    // The clock is read once in many messages.
    while !received.is_multiple_of(256) || Instant::now() < until {
        if messages.message().await?.is_none() {
            break;
        }
        received += 1;
    }
    Ok(received)
}

/// The server.
#[derive(Clone, Debug)]
struct Bare {
    value: Bytes,
}

impl NamedService for Bare {
    const NAME: &'static str = "bare.Bare";
}

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = self.clone();
        Box::pin(async move {
            Ok(if request.uri().path().ends_with("/Publish") {
                let codec = ProstCodec::<PublishResponse, PublishRequest>::default();
                Grpc::new(codec).streaming(bare, request).await
            } else {
                let codec = ProstCodec::<Message, SubscribeRequest>::default();
                Grpc::new(codec).server_streaming(bare, request).await
            })
        })
    }
}

impl StreamingService<PublishRequest> for Bare {
    type Response = PublishResponse;
    type ResponseStream = Messages<PublishResponse>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<PublishRequest>>) -> Self::Future {
        let acks = request.into_inner().map(|request| {
            request.map(|request| PublishResponse {
                ack: Some(Ack {
                    stream: request.stream,
                    correlation_id: request.correlation_id.clone(),
                    ..Ack::default()
                }),
                correlation_id: request.correlation_id,
                ..PublishResponse::default()
            })
        });
        Box::pin(async move { Ok(Response::new(Box::pin(acks) as Self::ResponseStream)) })
    }
}

impl ServerStreamingService<SubscribeRequest> for Bare {
    type Response = Message;
    type ResponseStream = Messages<Message>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, _: Request<SubscribeRequest>) -> Self::Future {
        let message = Message {
            stream: "bench".to_owned(),
            subject: "bench".to_owned(),
            value: self.value.clone(),
            ..Message::default()
        };
        let messages = tokio_stream::iter((0..).map(move |offset| {
            Ok(Message {
                offset,
                timestamp: i64::MAX,
                ..message.clone()
            })
        }));
        Box::pin(async move { Ok(Response::new(Box::pin(messages) as Self::ResponseStream)) })
    }
}
