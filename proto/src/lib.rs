//! The wire of Strandline's client APIs: Liftbridge's `proto.API`, and `strandline.v1` for what that has no calls for.
//!
//! - [`api`] and [`admin`] hold the generated types and the services.
//! - [`wire`] reads and writes the messages of the hot path in place, without generated types.
//! - [`convert`] translates between the wire and `strandline-core`: the wire's inclusive, -1-based offsets exist here
//!   and nowhere else.

pub mod admin;
pub mod api;
pub mod convert;
pub mod wire;

/// The compiled definitions of the APIs, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
