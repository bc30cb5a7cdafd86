//! Modules: what is pushed, and never changes again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ModuleName, PluginEvent, Sha256, Side};
use crate::Timestamp;

/// What a module is to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Says of each record whether it passes.
    Filter,
    /// Says of each record which bytes are its key.
    KeyExtractor,
}

impl World {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::KeyExtractor => "key-extractor",
        }
    }

    /// Whether a module of this world can be attached on a side of a stream.
    pub fn suits(self, side: Side) -> bool {
        match side {
            Side::Write | Side::Read => self == Self::Filter,
            Side::Key => self == Self::KeyExtractor,
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Version of the contract that a module was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContractVersion {
    /// Another one is another contract.
    pub major: u32,
    /// A higher one has more.
    pub minor: u32,
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What is known of the bytes of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// Names the bytes.
    pub sha256: Sha256,
    /// How many they are.
    pub bytes: u64,
    /// What they are to the host.
    pub world: World,
    /// The contract that they were built for.
    pub contract: ContractVersion,
    /// Interfaces that they import, by name; at most [`ModuleFacts::MAX_IMPORTS`].
    pub imports: Vec<String>,
}

impl ModuleFacts {
    /// Most imports of a module.
    pub const MAX_IMPORTS: usize = 128;
    /// Longest name of an import, in bytes.
    pub const MAX_IMPORT_BYTES: usize = 256;
}

/// A version of a module. It never changes; other bytes are another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleVersion {
    /// Its number, from 1, never given again under this name.
    pub number: u32,
    /// What it is.
    #[serde(flatten)]
    pub facts: ModuleFacts,
    /// When it was pushed.
    pub pushed: Timestamp,
    /// By whom.
    pub pushed_by: String,
}

/// A module with its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginModule {
    /// Unique name.
    pub name: ModuleName,
    /// The number that was given last.
    pub last_version: u32,
    /// Its versions, oldest first. None are left of a module that was deleted: it is remembered so that numbers are not given
    /// again.
    pub versions: Vec<ModuleVersion>,
    /// What was done to it and its attachments, oldest first.
    pub history: Vec<PluginEvent>,
}

impl PluginModule {
    /// Most versions of a module that are there at the same time.
    pub const MAX_VERSIONS: usize = 64;

    /// The version with this number.
    pub fn version(&self, number: u32) -> Option<&ModuleVersion> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version that was pushed last, of those that are there.
    pub fn newest(&self) -> Option<&ModuleVersion> {
        self.versions.last()
    }
}
