//! The server: its life, and what all its connections share.

mod accept;
mod credentials;
mod handle;
mod info;
mod lame_duck;
mod limits;
mod network;
mod refusals;
mod shared;
mod stats;
mod unfinished;

pub(crate) use credentials::Credentials;
pub use handle::{Server, StartError};
pub(crate) use limits::{TlsMode, TlsSetup};
pub(crate) use shared::Shared;
pub use stats::Stats;
pub(crate) use unfinished::Share;
