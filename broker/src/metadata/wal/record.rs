//! What the log records.

/// One record. Bodies are opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The vote now held; replaces the one before.
    Vote(Vec<u8>),
    /// The entry with this index; it follows the one before without a gap.
    Entry { index: u64, body: Vec<u8> },
    /// Entries from this index on are void.
    Truncate { since: u64 },
    /// Entries up to and with this index are no longer needed; the body identifies the last of them.
    Purge { upto: u64, body: Vec<u8> },
    /// How far entries are known to be committed; replaces the one before.
    Committed(Vec<u8>),
    /// Ends a segment: from here on records are in the next one, which therefore has to be there.
    Sealed,
}

impl Record {
    const VOTE: u8 = 1;
    const ENTRY: u8 = 2;
    const TRUNCATE: u8 = 3;
    const PURGE: u8 = 4;
    const COMMITTED: u8 = 5;
    const SEALED: u8 = 6;

    /// Number of the kind in the file; never 0, which is what unwritten space reads as.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Vote(_) => Self::VOTE,
            Self::Entry { .. } => Self::ENTRY,
            Self::Truncate { .. } => Self::TRUNCATE,
            Self::Purge { .. } => Self::PURGE,
            Self::Committed(_) => Self::COMMITTED,
            Self::Sealed => Self::SEALED,
        }
    }

    /// The number that stands before the body, and the body.
    pub(super) fn parts(&self) -> (Option<u64>, &[u8]) {
        match self {
            Self::Vote(body) | Self::Committed(body) => (None, body),
            Self::Entry { index, body } => (Some(*index), body),
            Self::Truncate { since } => (Some(*since), &[]),
            Self::Purge { upto, body } => (Some(*upto), body),
            Self::Sealed => (None, &[]),
        }
    }

    /// Reads a payload; none when the kind is unknown or the payload does not fit it.
    pub(super) fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let numbered = || {
            let (number, body) = payload.split_first_chunk()?;
            Some((u64::from_le_bytes(*number), body.to_vec()))
        };
        Some(match kind {
            Self::VOTE => Self::Vote(payload.to_vec()),
            Self::COMMITTED => Self::Committed(payload.to_vec()),
            Self::SEALED if payload.is_empty() => Self::Sealed,
            Self::ENTRY => numbered().map(|(index, body)| Self::Entry { index, body })?,
            Self::PURGE => numbered().map(|(upto, body)| Self::Purge { upto, body })?,
            Self::TRUNCATE => numbered()
                .filter(|(_, body)| body.is_empty())
                .map(|(since, _)| Self::Truncate { since })?,
            _ => return None,
        })
    }
}
