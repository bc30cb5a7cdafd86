//! The calls about plugins.

mod attachments;
mod fetch;
mod modules;
mod push;
mod read;
mod show;
mod status;

pub(super) use attachments::{attach, change, detach, promote, roll_back, start_canary};
pub(super) use fetch::{Pieces, fetch};
pub(super) use modules::{delete, describe, history, list};
pub(super) use push::push;
pub(super) use read::{list_attachments, log, stats};
