//! The worlds of the contract, read from its WIT package.

use std::fmt;
use std::str::FromStr;

use wit_component::StringEncoding;
use wit_parser::{Resolve, WorldId};

use crate::Error;

/// The contract: `sdk/wit/plugin.wit`.
pub const WIT: &str = include_str!("../../wit/plugin.wit");

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Says of each record whether it passes.
    Filter,
    /// Says of each record which bytes are its key.
    KeyExtractor,
}

impl World {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Filter, Self::KeyExtractor];

    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::KeyExtractor => "key-extractor",
        }
    }

    /// The functions that a core module of this world exports, by the names that the canonical ABI gives them.
    pub fn exports(self) -> &'static [&'static str] {
        match self {
            Self::Filter => &[
                "strandline:plugin/filtering@1.0.0#init",
                "strandline:plugin/filtering@1.0.0#judge",
                "strandline:plugin/filtering@1.0.0#explain",
            ],
            Self::KeyExtractor => &[
                "strandline:plugin/extraction@1.0.0#init",
                "strandline:plugin/extraction@1.0.0#extract",
            ],
        }
    }

    /// What the custom section `component-type` of a core module of this world holds: the world as a component type.
    /// The Rust SDK carries it, linkers for `wasm32-wasip2` read it.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] where the WIT package is broken, which tests rule out.
    pub fn section(self) -> Result<Vec<u8>, Error> {
        let (resolve, world) = self.resolve()?;
        wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None).map_err(Error::encode)
    }

    pub(crate) fn resolve(self) -> Result<(Resolve, WorldId), Error> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("plugin.wit", WIT).map_err(Error::encode)?;
        let world = resolve
            .select_world(&[package], Some(self.name()))
            .map_err(Error::encode)?;
        Ok((resolve, world))
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for World {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|world| world.name() == name)
            .ok_or_else(|| Error::UnknownWorld(name.to_owned()))
    }
}
