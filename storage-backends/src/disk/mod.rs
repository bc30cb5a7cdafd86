//! File systems: the operating system's, and a model of one for tests.

mod overlay;
#[cfg(any(test, feature = "test-util"))]
pub mod sim;
mod system;

pub(crate) use overlay::Overlay;
pub use system::SystemDisk;
