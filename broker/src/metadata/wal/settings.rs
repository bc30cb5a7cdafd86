//! What the log is told.

/// What room is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Something that can be refused on a full disk.
    Growth,
    /// Something that frees space, or that a broker needs to start.
    Essential,
}

/// Sizes of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalSettings {
    /// Size from which on a new segment is begun.
    pub(crate) segment_bytes: u64,
    /// Step in which space is reserved.
    pub(crate) reserve_step_bytes: u64,
    /// Space that is kept for what is essential and for what consensus writes on its own: votes, purges.
    pub(crate) headroom_bytes: u64,
    /// Whether an entry that does not follow the one before is refused. Only openraft's test suite, which writes such
    /// entries on purpose, turns it off.
    pub(crate) strict_order: bool,
}

impl Default for WalSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 4 << 20,
            reserve_step_bytes: 256 << 10,
            headroom_bytes: 256 << 10,
            strict_order: true,
        }
    }
}
