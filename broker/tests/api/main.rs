//! The gRPC API against a whole broker in this process, over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

mod administration;
mod backends;
mod cursors;
mod harness;
mod keeping;
mod monitoring;
mod packed_files;
mod packing;
mod publishing;
mod streams;
mod subscribing;
