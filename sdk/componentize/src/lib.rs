//! Makes a plugin of what a compiler wrote.
//!
//! A plugin is a component; most languages' compilers write core modules. [`componentize`] wraps one: it adds the
//! types of the contract (`sdk/wit/plugin.wit`) and joins the module to WASI where it was built for WASI preview 1, as
//! Go and C with wasi-libc are. Rust needs none of this, its target `wasm32-wasip2` writes components.

mod encode;
mod error;
mod preview1;
mod world;

pub use encode::componentize;
pub use error::Error;
pub use world::{WIT, World};

#[cfg(test)]
mod tests;
