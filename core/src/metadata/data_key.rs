//! Data keys of streams. Their bytes are never here: only the form in which a master key has wrapped them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::KeyId;

/// Names a master key, which it follows from, without giving anything of it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MasterKeyId(u64);

impl MasterKeyId {
    /// The identity with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A data key that a master key has encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Which master key.
    pub master: MasterKeyId,
    /// The result as text; only who holds the master key can read it. 1 to [`WrappedKey::MAX_BYTES`].
    pub text: String,
}

impl WrappedKey {
    /// Longest text, in bytes.
    pub const MAX_BYTES: usize = 512;
}

/// A data key of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKey {
    /// Its number, which batches carry.
    pub id: KeyId,
    /// The key.
    pub wrapped: WrappedKey,
}

/// The wrap of a data key by another master key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrap {
    /// Which data key.
    pub key: KeyId,
    /// The master key that it was wrapped with when this was made.
    pub from: MasterKeyId,
    /// The new form.
    pub wrapped: WrappedKey,
}
