//! Packs batches: compresses, then encrypts, then checksums. The leader does it once; disks, replicas and archive hold the
//! same bytes, and only who reads records unpacks them.
//!
//! ```text
//! packed payload:  compressed  u32 length of the records | compressed records       (codec 1 or 2)
//!                  encrypted   AES-256-GCM of that, or of the records | tag (16)    (key id above 0)
//! ```
//!
//! A data key encrypts the batches of one stream; master keys wrap data keys. Everything here is a function of its arguments:
//! random numbers and the numbers that nonces begin with are handed in.

mod compression;
mod data_cipher;
mod master_key;
mod nonces;
mod packer;
mod unpacker;

pub use data_cipher::DataCipher;
pub use master_key::{InvalidMasterKey, KeyError, MasterKey, MasterKeys};
pub use nonces::Nonces;
pub use packer::{PackBuffers, PackError, Packer};
pub use unpacker::{UnpackError, Unpacked, Unpacker};

#[cfg(test)]
mod tests;
