//! What a plugin reads of a record.

use wasmtime::component::{ComponentType, Lift};

/// How much of a record's value a plugin reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub enum ValueNeed {
    /// Nothing; its length is told all the same.
    #[default]
    #[component(name = "none")]
    None,
    /// So many bytes from its start.
    #[component(name = "prefix")]
    Prefix(u32),
    /// All of it.
    #[component(name = "whole")]
    Whole,
}

impl ValueNeed {
    /// How many bytes of a value of this length are packed.
    pub(crate) fn of(self, bytes: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Prefix(prefix) => bytes.min(prefix as usize),
            Self::Whole => bytes,
        }
    }
}

/// What a plugin reads of a record; the rest is not copied into its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Needs {
    /// The key.
    pub key: bool,
    /// The subject.
    pub subject: bool,
    /// The headers.
    pub headers: bool,
    /// So much of the value.
    pub value: ValueNeed,
}

impl Needs {
    /// Everything.
    pub const ALL: Self = Self {
        key: true,
        subject: true,
        headers: true,
        value: ValueNeed::Whole,
    };
}
