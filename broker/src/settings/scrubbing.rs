//! How often stored records are read to see that they still can be.

use std::time::Duration;

/// Reading what is stored only to find damage while something can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrubbing {
    /// From the begin of one pass over all sealed segments to the begin of the next; a pass that takes longer is followed by
    /// the next at once. Zero: never.
    pub interval: Duration,
    /// Bytes that are read a second; 0 = as fast as it goes.
    pub max_rate: u64,
}

impl Scrubbing {
    /// Default of [`Scrubbing::interval`].
    pub const DEFAULT_INTERVAL: Duration = Duration::from_hours(24 * 7);
    /// Default of [`Scrubbing::max_rate`]: 4.6 TiB a week, with little to be felt of it.
    pub const DEFAULT_MAX_RATE: u64 = 8 << 20;
}

impl Default for Scrubbing {
    fn default() -> Self {
        Self {
            interval: Self::DEFAULT_INTERVAL,
            max_rate: Self::DEFAULT_MAX_RATE,
        }
    }
}
