//! What a plugin reads of a record.

/// How much of a record's value a plugin reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueNeed {
    /// Nothing; its length is told all the same.
    None,
    /// So many bytes from its start, or all of it where it is shorter.
    Prefix(u32),
    /// All of it.
    Whole,
}

/// What a plugin reads of a record. The rest is not copied into its memory, which is most of what a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The key.
    pub key: bool,
    /// The subject.
    pub subject: bool,
    /// The headers.
    pub headers: bool,
    /// The value.
    pub value: ValueNeed,
}

impl Needs {
    /// Nothing but lengths.
    pub const NONE: Self = Self {
        key: false,
        subject: false,
        headers: false,
        value: ValueNeed::None,
    };
    /// All there is. What a plugin needs that does not say.
    pub const ALL: Self = Self {
        key: true,
        subject: true,
        headers: true,
        value: ValueNeed::Whole,
    };
}
