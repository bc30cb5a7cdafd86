//! What the tests of readers stand on: a store that can be watched, and archives that are written by hand.

mod store;
mod world;
mod writer;

pub(super) use store::{Answers, WatchedStore};
pub(super) use world::{ALL, World};
pub(super) use writer::Writer;
