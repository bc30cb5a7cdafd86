//! Clients of the gRPC API that work on whole DATA frames.

mod acks;
mod call;
mod request;
mod values;

pub(crate) use acks::GrpcAcks;
pub(crate) use call::{ask, open};
pub(crate) use request::{publish_template, subscribe_request};
pub(crate) use values::GrpcValues;

/// Path of the call that publishes a stream of messages.
pub(crate) const PUBLISH: &str = "/proto.API/PublishAsync";
/// Path of the call that reads a partition.
pub(crate) const SUBSCRIBE: &str = "/proto.API/Subscribe";
