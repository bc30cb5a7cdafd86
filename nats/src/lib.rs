//! The embedded NATS server of Strandline.
//!
//! It speaks the core client protocol, so that an unmodified NATS client works against it: subjects with wildcards, queue
//! groups, headers, no responders, limits, authentication, TLS. Parts of the same process subscribe and publish without a
//! socket. It is not a JetStream server and joins no NATS cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), strandline_nats::StartError> {
//! let server = strandline_nats::Server::start(strandline_nats::Options::default()).await?;
//! println!("listening on {}", server.client_addr());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod conf;

mod auth;
mod connection;
mod delivery;
mod local;
mod message;
mod options;
mod protocol;
mod router;
mod server;
mod subject;
mod tls;

pub use auth::ResponseRule;
pub use local::{Flush, LocalBatch, LocalPublisher, LocalSink, LocalSubscription, SubscribeError};
pub use message::Message;
pub use options::{
    Authorization, HandshakeFirst, NkeyUser, OnlyUser, Options, OptionsError, PermissionRules, Secret,
    SubjectRules, TlsOptions, User,
};
pub use protocol::{Operation, Parsed, Parser, ProtocolError, Publish};
pub use router::Route;
pub use server::{Server, StartError, Stats};
