//! What a host is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::{Clock, Timestamp};

use crate::breaker::BreakerSettings;
use crate::log::LogSettings;

/// Everything that a host is told. The defaults are a server's.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Where compiled modules are kept; none: in memory only. Whoever can write there can make this process run any code, as
    /// with the directory of its binary: it is created for its owner alone.
    pub cache_dir: Option<PathBuf>,
    /// Most bytes of the files there. The oldest go first.
    pub cache_bytes: u64,
    /// Size of the largest module in bytes.
    pub module_bytes: usize,
    /// What an attachment may use where nothing else is said.
    pub limits: Limits,
    /// Most elements of all tables of an instance.
    pub table_elements: usize,
    /// Stack of a plugin in bytes; the calling thread needs that much and as much again.
    pub stack_bytes: usize,
    /// How long making an instance may take, `init` included.
    pub init_time: Duration,
    /// Most instances of an attachment at once; further callers wait for one.
    pub instances: usize,
    /// Most instances that an attachment keeps warm.
    pub idle_instances: usize,
    /// How long an instance that nobody uses is kept.
    pub idle_time: Duration,
    /// Most bytes of memory in instances that are kept warm, of all attachments. The longest idle go first.
    pub idle_memory: u64,
    /// When an attachment that keeps failing is left alone.
    pub breaker: BreakerSettings,
    /// How much of what a plugin says is kept.
    pub log: LogSettings,
    /// Stamps the lines of logs. Plugins never see it.
    pub clock: Arc<dyn Clock>,
}

/// What one attachment may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance in bytes.
    pub memory_bytes: usize,
    /// Time for a batch, with everything that follows from a failed call.
    pub budget: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            budget: Duration::from_millis(100),
        }
    }
}

impl HostSettings {
    /// The defaults, with this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            cache_dir: None,
            cache_bytes: 512 << 20,
            module_bytes: 64 << 20,
            limits: Limits::default(),
            table_elements: 100_000,
            stack_bytes: 512 << 10,
            init_time: Duration::from_secs(5),
            instances: 8,
            idle_instances: 2,
            idle_time: Duration::from_secs(30),
            idle_memory: 256 << 20,
            breaker: BreakerSettings::default(),
            log: LogSettings::default(),
            clock,
        }
    }
}

/// A clock that stands at the epoch, for tools and tests whose log lines need no time.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        Self::new(Arc::new(Stopped))
    }
}
