//! File systems: the operating system's, and models of one for tests.

mod system;

pub use system::SystemDisk;
