//! The Liftbridge API: its generated types.

pub mod api;

/// The compiled definition of the API, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
