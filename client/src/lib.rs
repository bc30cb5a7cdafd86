//! An asynchronous client of Strandline and Liftbridge.
//!
//! ```no_run
//! # async fn example() -> Result<(), strandline_client::Error> {
//! use futures_util::StreamExt;
//! use strandline_client::{Client, Message, Start, StreamConfig};
//!
//! let client = Client::builder().server("localhost:9292").connect().await?;
//! client.create_stream(StreamConfig::new("orders", "orders.*")).await?;
//!
//! // One message: the call returns when it is durable.
//! let ack = client.publish("orders", Message::new("first")).await?;
//!
//! // Many messages: up to a window of them is in flight.
//! let mut publisher = client.publisher("orders").window(1000).open().await?;
//! for number in 0..10_000 {
//!     publisher.send(Message::new(number.to_string())).await?;
//! }
//! publisher.flush().await?;
//!
//! // A filter of the stream may have kept it out; then it has no offset.
//! let start = ack.offset.map_or(Start::Earliest, Start::Offset);
//! let mut records = client.subscribe("orders").start(start).open().await?;
//! while let Some(record) = records.next().await {
//!     println!("{}", record?.offset);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is cheap to clone and connects again by itself. Every error says whether trying again can help and whether
//! the call may have taken effect.

pub mod admin;

mod channels;
mod client;
mod cursor;
mod error;
mod message;
mod metadata;
mod partition;
mod publisher;
mod stream;
mod subscription;

pub use client::{Builder, Client};
pub use error::{Error, ErrorKind};
pub use message::{Ack, AckPolicy, Message, Record};
pub use metadata::{BrokerInfo, Metadata, PartitionInfo, StreamInfo};
pub use partition::{Partitioning, key_partition};
pub use publisher::{PendingAck, Publisher, PublisherBuilder};
pub use stream::{Backend, Compression, Durability, StreamConfig};
pub use subscription::{Filter, OnTrimmed, Start, Stop, SubscribeBuilder, Subscription};
