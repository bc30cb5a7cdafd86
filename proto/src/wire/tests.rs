//! The hand-written codecs against the generated ones.

mod frames;
mod read;
mod write;
