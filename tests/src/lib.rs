//! Real processes for tests that programs written in Rust drive; `tests/run` says where the binary is. And [`journal`],
//! a storage engine of somebody else's.

pub mod journal;
mod process;

pub use process::{BrokerProcess, ProcessError, copy};
