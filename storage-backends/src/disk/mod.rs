//! File systems: the operating system's, and a model of one for tests.

#[cfg(any(test, feature = "test-util"))]
pub mod sim;
mod system;

pub use system::SystemDisk;
