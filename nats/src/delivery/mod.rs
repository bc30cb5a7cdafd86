//! A publisher's way to its subscribers: what it learnt about routes, and what it has not handed over yet.

mod dispatcher;
mod handover;
mod known;
mod outlet;
mod outlets;

pub(crate) use dispatcher::{Dispatcher, Publisher};
