//! What the archive needs of a bucket, in the order in which it is tried.

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    Create,
    Get,
    CreateAgain,
    Replace,
    ReplaceStale,
    RaceToCreate,
    RaceToReplace,
    GetRange,
    Multipart,
    List,
    Delete,
}

impl Trial {
    pub(super) const ALL: [Self; 11] = [
        Self::Create,
        Self::Get,
        Self::CreateAgain,
        Self::Replace,
        Self::ReplaceStale,
        Self::RaceToCreate,
        Self::RaceToReplace,
        Self::GetRange,
        Self::Multipart,
        Self::List,
        Self::Delete,
    ];

    /// As people read it.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Create => "write an object if there is none",
            Self::Get => "read an object",
            Self::CreateAgain => "refuse to write an object a second time",
            Self::Replace => "replace an object of a known version",
            Self::ReplaceStale => "refuse to replace an object of an old version",
            Self::RaceToCreate => "let one of many writers create an object",
            Self::RaceToReplace => "let one of many writers replace an object",
            Self::GetRange => "read a part of an object",
            Self::Multipart => "write an object in parts",
            Self::List => "list objects",
            Self::Delete => "delete objects",
        }
    }
}
