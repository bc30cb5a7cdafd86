//! WASI preview 1, for modules that were built for it.
//!
//! The adapter that others use passes every call on to WASI 0.2 and keeps state in the module's memory, which the
//! runtime of Go does not know of and overwrites. A plugin's host gives nothing but empty answers anyway, so ours
//! gives them itself, without state.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::Error;

/// The module that such modules import.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// Assembled from `preview1/adapter.wat`; a test holds them together.
const ADAPTER: &[u8] = include_bytes!("preview1/adapter.wasm");

/// What the adapter imports.
const WIT: &str = include_str!("preview1/adapter.wit");

/// A core module that exports all of WASI preview 1, with the types of what it imports.
pub(crate) fn adapter() -> Result<Vec<u8>, Error> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("adapter.wit", WIT).map_err(Error::encode)?;
    let world = resolve
        .select_world(&[package], Some("adapter"))
        .map_err(Error::encode)?;
    let mut adapter = ADAPTER.to_vec();
    embed_component_metadata(&mut adapter, &resolve, world, StringEncoding::UTF8).map_err(Error::encode)?;
    Ok(adapter)
}
