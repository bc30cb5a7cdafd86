//! The host of plugins: loads WebAssembly components, asks them about batches of records, limits and polices them.
//!
//! A [`Host`] compiles a [`Module`] once and makes [`Attachment`]s of it: the module, its settings and its limits. A
//! [`Packer`] lays records out as `docs/plugin-contract.md` says; [`Attachment::judge`] and [`Attachment::extract`] ask a
//! plugin about such a batch and come back with an answer for every record, whatever the plugin does.
//!
//! Everything here blocks: loading for as long as compiling takes, a batch for up to its budget. Call it from threads that
//! may block and have 1 MiB of stack left, never from an executor's.
//!
//! No code of a plugin gets a file, a socket, the time or randomness, and nothing that it does ends the process: endless
//! loops meet a deadline, allocations a limit, and a trap costs the instance that it happened in.

mod artefact;
mod attachment;
mod breaker;
mod cache;
mod error;
mod failure;
mod guest;
mod host;
mod idle;
mod inspect;
mod instance;
mod judgement;
mod keys;
mod layout;
mod link;
mod log;
mod measure;
mod module;
mod needs;
mod numbers;
mod packer;
mod pool;
mod question;
mod settings;
mod settle;
mod ticker;
mod wasi;

pub use attachment::{AttachOptions, Attachment};
pub use breaker::{BreakerSettings, BreakerState};
pub use error::{AttachError, HostError, LoadError};
pub use failure::{Cause, Failure};
pub use host::Host;
pub use inspect::{ModuleInfo, Version, World};
pub use judgement::{Judgement, Verdict};
pub use keys::{Found, Keys};
pub use log::{Level, LogLine, LogPage, LogSettings, PluginLog, Source};
pub use measure::{Cost, best_of, measure};
pub use module::{Module, Origin};
pub use needs::{Needs, ValueNeed};
pub use numbers::{HISTOGRAM_BOUNDS, Numbers};
pub use packer::{MAX_BATCH_RECORDS, MAX_PACKED_BYTES, PackedBatch, Packer, Parts};
pub use settings::{HostSettings, Limits};
