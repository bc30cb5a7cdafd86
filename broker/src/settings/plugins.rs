//! What plugins may use.

use std::time::Duration;

/// What plugins may use, as far as an attachment does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginSettings {
    /// Largest module that is taken, in bytes.
    pub module_max_bytes: usize,
    /// Memory of an instance, in bytes.
    pub memory_max_bytes: u64,
    /// Time for a batch, above zero.
    pub batch_budget: Duration,
    /// Compiled modules that are kept on disk, in bytes; the oldest go first.
    pub cache_max_bytes: u64,
    /// Memory of instances that wait for work, of all attachments together, in bytes.
    pub idle_memory_max_bytes: u64,
}

impl PluginSettings {
    /// Default of [`PluginSettings::module_max_bytes`]: room for components that bring a language's runtime along.
    pub const DEFAULT_MODULE_MAX_BYTES: usize = 64 << 20;
    /// Largest [`PluginSettings::module_max_bytes`].
    pub const MODULE_MAX_BYTES_LIMIT: usize = 1 << 30;
    /// Default of [`PluginSettings::memory_max_bytes`].
    pub const DEFAULT_MEMORY_MAX_BYTES: u64 = 64 << 20;
    /// Default of [`PluginSettings::batch_budget`].
    pub const DEFAULT_BATCH_BUDGET: Duration = Duration::from_millis(100);
    /// Default of [`PluginSettings::cache_max_bytes`].
    pub const DEFAULT_CACHE_MAX_BYTES: u64 = 512 << 20;
    /// Default of [`PluginSettings::idle_memory_max_bytes`].
    pub const DEFAULT_IDLE_MEMORY_MAX_BYTES: u64 = 256 << 20;
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            module_max_bytes: Self::DEFAULT_MODULE_MAX_BYTES,
            memory_max_bytes: Self::DEFAULT_MEMORY_MAX_BYTES,
            batch_budget: Self::DEFAULT_BATCH_BUDGET,
            cache_max_bytes: Self::DEFAULT_CACHE_MAX_BYTES,
            idle_memory_max_bytes: Self::DEFAULT_IDLE_MEMORY_MAX_BYTES,
        }
    }
}
