//! Filters and key extractors for Strandline, in Rust.
//!
#![doc = include_str!("../README.md")]

// The attributes name the crate as plugins do.
#[cfg(test)]
extern crate self as strandline_plugin;

mod batch;
mod filter;
#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub mod guest;
pub mod json;
mod key;
mod key_extractor;
pub mod log;
mod needs;
mod reasons;
mod record;
mod settings;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod verdict;

pub use filter::Filter;
pub use key::{IntoKey, Key};
pub use key_extractor::KeyExtractor;
pub use needs::{Needs, ValueNeed};
pub use record::{Header, Headers, Record};
pub use settings::NoSettings;
pub use strandline_plugin_macros::{filter, key_extractor};
pub use verdict::{IntoVerdict, Verdict};

#[cfg(test)]
mod tests;
