//! Differences between backends, as data.

/// What a backend can do. The conformance suite selects its cases by this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Logs are there again after the store was dropped and opened anew.
    pub survives_restart: bool,
    /// `Durability::Fsync` means that power loss is survived; otherwise a sync only keeps the order of calls.
    pub survives_power_loss: bool,
    /// `Durability::Os` is accepted.
    pub durability_os: bool,
    /// Logs are cut into segments that can be removed one by one, so that retention and compaction apply.
    pub segments: bool,
    /// One sync makes the appends of several logs durable.
    pub shared_sync: bool,
}
