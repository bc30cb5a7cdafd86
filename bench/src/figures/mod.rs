//! What is measured.

mod latency;
mod process;
mod span;

pub use latency::Latency;
pub(crate) use process::Process;
pub(crate) use span::{Span, Spent};
