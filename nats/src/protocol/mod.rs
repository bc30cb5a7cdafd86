//! The client protocol: bytes to operations and messages to bytes.

mod arguments;
mod encode;
mod name;
mod operation;
mod parser;

pub(crate) use encode::{write_error, write_message};
pub use operation::{Operation, ProtocolError, Publish};
pub use parser::{Parsed, Parser};
