//! The configuration: where it comes from, what it may say, and the typed form that it is checked into once.

mod addresses;
mod admin;
mod archive;
mod data_dir;
mod duration;
mod effects;
mod embedded_nats;
mod entry;
mod environment;
mod file;
mod first_format;
mod grpc_tls;
mod key;
mod keys;
mod kind;
mod listeners;
mod master_keys;
mod mount;
mod nats_mode;
mod problem;
#[cfg(test)]
mod reference;
mod resolve;
mod show;
mod sources;
mod value;
mod values;
mod yaml;

pub(crate) use duration::{parse as parse_duration, show as show_duration};
pub(crate) use key::{Flag, Key};
pub(crate) use keys::{GROUPS, all as all_keys};
pub(crate) use kind::Kind;
pub(crate) use nats_mode::Invocation;
pub(crate) use resolve::{Config, Logging};
pub(crate) use show::show;
pub(crate) use sources::{Sources, read};
