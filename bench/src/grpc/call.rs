//! One gRPC call on a connection of its own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use strandline_proto::wire::FrameReader;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::error::BenchError;

/// Largest message that is taken.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Bytes that the server may send before they are read: enough never to wait.
const WINDOW_BYTES: u32 = 8 << 20;
/// DATA frames that wait for the socket.
const QUEUE: usize = 4;

/// What comes back.
#[derive(Debug)]
pub(crate) struct Responses {
    body: Incoming,
    frames: FrameReader,
    address: String,
}

/// Begins a call: DATA frames go into the channel, its answers come out of the other.
pub(crate) async fn open(address: &str, path: &str) -> Result<(mpsc::Sender<Bytes>, Responses), BenchError> {
    let (sender, requests) = mpsc::channel(QUEUE);
    let responses = call(address, path, requests).await?;
    Ok((sender, responses))
}

/// Makes a call of one request; its answers come out.
pub(crate) async fn ask(address: &str, path: &str, request: Bytes) -> Result<Responses, BenchError> {
    let (sender, requests) = mpsc::channel(1);
    // The channel has room.
    let _ = sender.try_send(request);
    drop(sender);
    call(address, path, requests).await
}

async fn call(address: &str, path: &str, requests: mpsc::Receiver<Bytes>) -> Result<Responses, BenchError> {
    let foreign = |reason: String| BenchError::Foreign {
        address: address.to_owned(),
        reason,
    };
    let data = ReceiverStream::new(requests).map(|data| Ok::<_, Infallible>(Frame::data(data)));
    let request = Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(data))
        .map_err(|error| foreign(error.to_string()))?;
    let mut connection = connect(address).await?;
    let response = connection.send_request(request).await;
    let response = response.map_err(|error| foreign(error.to_string()))?;
    check(address, &response)?;
    Ok(Responses {
        body: response.into_body(),
        frames: FrameReader::new(MAX_MESSAGE_BYTES),
        address: address.to_owned(),
    })
}

async fn connect<B>(address: &str) -> Result<http2::SendRequest<B>, BenchError>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let unreachable = |reason: String| BenchError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    socket
        .set_nodelay(true)
        .map_err(|error| unreachable(error.to_string()))?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(256 << 10)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // It ends with the call; what is wrong with it the call tells.
    tokio::spawn(connection);
    Ok(sender)
}

/// A refused call is answered with a status in the place of a body.
fn check(address: &str, response: &Response<Incoming>) -> Result<(), BenchError> {
    let is_grpc = response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !response.status().is_success() || !is_grpc {
        return Err(BenchError::Foreign {
            address: address.to_owned(),
            reason: format!("http status {}, not gRPC", response.status()),
        });
    }
    match status(response.headers()) {
        None => Ok(()),
        Some((_, reason)) => Err(BenchError::Refused {
            what: "the call".to_owned(),
            reason,
        }),
    }
}

/// Code and message of a status that is not OK.
fn status(headers: &HeaderMap) -> Option<(i32, String)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().unwrap_or(2);
    (code != 0).then(|| (code, text("grpc-message").unwrap_or_default().replace("%20", " ")))
}

impl Responses {
    /// Hands out every message of the next DATA frame; false when the call has ended with `end` or OK.
    ///
    /// Cancel safety: a message may be lost.
    pub(crate) async fn next(
        &mut self,
        end: i32,
        mut each: impl FnMut(&[u8]) -> Result<(), BenchError>,
    ) -> Result<bool, BenchError> {
        let foreign = |error: &dyn std::error::Error| BenchError::Foreign {
            address: self.address.clone(),
            reason: error.to_string(),
        };
        let Some(frame) = self.body.frame().await else {
            return Ok(false);
        };
        let frame = frame.map_err(|error| BenchError::Ended {
            what: "connection",
            reason: error.to_string(),
        })?;
        match frame.into_data() {
            Ok(data) => {
                self.frames.push(data);
                while let Some(message) = self.frames.next_message().map_err(|error| foreign(&error))? {
                    each(message)?;
                }
                Ok(true)
            }
            Err(frame) => match frame.trailers_ref().and_then(status) {
                Some((code, reason)) if code != end => Err(BenchError::Ended { what: "call", reason }),
                _ => Ok(false),
            },
        }
    }
}
