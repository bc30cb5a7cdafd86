//! The engine of Strandline: streams, partitions, metadata, the bus and the gRPC API.
//!
//! [`Broker::start`] brings up everything that [`Settings`] ask for; [`Broker::shutdown`] takes it down without losing
//! what was taken. What happens between a publisher and its ack is told in `docs/architecture.md`.

mod ages;
mod archiving;
mod broker;
mod bus;
mod cleaner;
mod clock;
mod compaction;
mod context;
mod cursors;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod http;
pub mod maintenance;
mod metadata;
mod metrics;
mod nonce;
mod pace;
mod partition;
mod plugins;
mod publish;
mod reader;
mod removal;
mod reply;
mod scrub;
pub mod settings;
mod streams;

pub use broker::{Broker, StartError};
pub use settings::Settings;
pub use strandline_storage_backends::panic_is_contained;
