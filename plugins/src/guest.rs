//! What belongs to one instance of a plugin on the host's side: its limits and the ends of its output.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use crate::log::{Level, PluginLog, Source};

/// Most core instances, tables and memories of one instance; language runtimes come as a dozen core modules.
const PARTS: usize = 256;
/// Longest part of a line that is kept until the line ends.
const LINE_BYTES: usize = 4 << 10;

/// How a plugin's call of exit ends it.
#[derive(Debug, thiserror::Error)]
#[error("it called exit")]
pub(crate) struct Exit;

/// The host's side of an instance.
#[derive(Debug)]
pub(crate) struct Guest {
    memory_limit: usize,
    memory: usize,
    was_refused: bool,
    table_limit: usize,
    tables: usize,
    /// Memory of all instances of the attachment, in which this one's is counted.
    gauge: Arc<AtomicU64>,
    log: Arc<PluginLog>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    random: u64,
}

impl Guest {
    pub(crate) fn new(
        memory_limit: usize,
        table_limit: usize,
        gauge: Arc<AtomicU64>,
        log: Arc<PluginLog>,
    ) -> Self {
        Self {
            memory_limit,
            memory: 0,
            was_refused: false,
            table_limit,
            tables: 0,
            gauge,
            log,
            stdout: Vec::new(),
            stderr: Vec::new(),
            random: 0,
        }
    }

    /// Linear memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Most of it.
    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// Whether memory was refused since the last call began.
    pub(crate) fn was_refused_memory(&self) -> bool {
        self.was_refused
    }

    /// Before every call.
    pub(crate) fn begin_call(&mut self) {
        self.was_refused = false;
    }

    /// After every call: what has been printed without an end of line becomes a line.
    pub(crate) fn end_call(&mut self) {
        for (source, line) in [
            (Source::Stdout, &mut self.stdout),
            (Source::Stderr, &mut self.stderr),
        ] {
            if !line.is_empty() {
                self.log
                    .write(Level::Info, source, &String::from_utf8_lossy(line));
                line.clear();
            }
        }
    }

    /// A message of the plugin's.
    pub(crate) fn log(&self, level: Level, message: &str) {
        self.log.write(level, Source::Plugin, message);
    }

    /// Bytes that the plugin prints.
    pub(crate) fn print(&mut self, source: Source, bytes: impl IntoIterator<Item = u8>) {
        let line = match source {
            Source::Stderr => &mut self.stderr,
            _ => &mut self.stdout,
        };
        for byte in bytes {
            if byte == b'\n' || line.len() >= LINE_BYTES {
                self.log
                    .write(Level::Info, source, &String::from_utf8_lossy(line));
                line.clear();
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }

    /// The next of the numbers that stand for random ones: the same in every instance (splitmix64 from 0).
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // It could not grow so far with any limit of ours.
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        if more > self.memory_limit.saturating_sub(self.memory) {
            self.was_refused = true;
            return Ok(false);
        }
        self.memory += more;
        self.gauge.fetch_add(more as u64, Ordering::Relaxed);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // Nothing is taken back: this is told as well of growth that nobody asked us about, which would give room away.
        self.was_refused = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.table_limit.saturating_sub(self.tables) {
            return Ok(false);
        }
        self.tables += more;
        Ok(true)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.memory as u64, Ordering::Relaxed);
    }
}
