//! A client of the NATS protocol that works on whole read buffers.

mod connection;
mod ops;
mod request;

pub(crate) use connection::{NatsReader, connect};
pub(crate) use request::{Requests, unique_inbox};
