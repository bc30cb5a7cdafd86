//! Real processes for tests that programs written in Rust drive; `tests/run` says where the binary is.

mod process;

pub use process::{BrokerProcess, ProcessError};
