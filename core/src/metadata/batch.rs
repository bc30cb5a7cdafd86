//! Commands that enter the metadata log together.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Command, tagged};

/// The format of commands that this version writes. 2 added those about data keys, 3 those about plugins, 4 those about
/// archives.
const FORMAT: u16 = 4;

/// Commands that make one entry of the metadata log: written and synced as one, applied in order, each with its own
/// answer. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandBatch(Arc<[Command]>);

impl CommandBatch {
    /// The commands, in order.
    pub fn commands(&self) -> &[Command] {
        &self.0
    }
}

impl From<Vec<Command>> for CommandBatch {
    fn from(commands: Vec<Command>) -> Self {
        Self(commands.into())
    }
}

impl From<Command> for CommandBatch {
    fn from(command: Command) -> Self {
        Self::from(vec![command])
    }
}

impl fmt::Display for CommandBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.len())
    }
}

impl Serialize for CommandBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::serialize(FORMAT, &&self.0[..], serializer)
    }
}

impl<'de> Deserialize<'de> for CommandBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let commands: Vec<Command> = tagged::deserialize("metadata command", FORMAT, deserializer)?;
        Ok(Self::from(commands))
    }
}
