//! The gRPC API.
//!
//! PublishAsync and Subscribe are served below tonic's codec, whole DATA frames at a time ([`HotPath`]); everything else
//! is an ordinary tonic service on the same port, as is the administration of streams (`strandline.v1`). Authentication, limits,
//! deadlines and metrics are layers over HTTP, so that they hold for both.

mod admin;
mod api;
mod create;
mod cursor;
mod deadline;
mod errors;
mod frame_buffers;
mod frames;
mod hot_path;
mod incoming;
mod metadata;
mod publish;
mod publish_async;
mod read_only;
mod server;
mod session;
mod subscribe;

pub(crate) use publish_async::ANSWERS_MAX_BYTES;
pub(crate) use server::{GrpcDoors, GrpcServer, GrpcServerError};
pub(crate) use subscribe::QUEUE_MAX_BYTES;
