//! The wire of Strandline's client API: Liftbridge's `proto.API`.
//!
//! - [`api`] holds the generated types and the service.
//! - [`wire`] reads and writes the messages of the hot path in place, without generated types.
//! - [`convert`] translates between the wire and `strandline-core`: the wire's inclusive, -1-based offsets exist here
//!   and nowhere else.

pub mod api;
pub mod convert;
pub mod wire;

/// The compiled definition of the API, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
