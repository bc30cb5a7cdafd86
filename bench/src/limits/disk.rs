//! Bare appends with a sync after each.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::BenchError;
use crate::figures::Latency;

/// Sizes, and how often each is appended.
const SIZES: [(usize, u32); 3] = [(4 << 10, 500), (64 << 10, 300), (1 << 20, 150)];

/// Appends of one size.
#[derive(Clone, Debug, Serialize)]
pub struct DiskLimit {
    /// Bytes of one append.
    pub bytes: usize,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Half of the appends with their syncs took no longer, in seconds.
    pub p50: f64,
    /// 99 of 100 took no longer, in seconds.
    pub p99: f64,
}

pub(super) fn measure(directory: &Path) -> Result<Vec<DiskLimit>, BenchError> {
    let path = directory.join("appends");
    let failed = || BenchError::io(format!("append to {}", path.display()));
    let mut limits = Vec::new();
    for (bytes, times) in SIZES {
        let mut file = File::create(&path).map_err(failed())?;
        limits.push(append(&mut file, bytes, times).map_err(failed())?);
    }
    std::fs::remove_file(&path).map_err(failed())?;
    Ok(limits)
}

fn append(file: &mut File, bytes: usize, times: u32) -> std::io::Result<DiskLimit> {
    let block = crate::message::random_value(bytes);
    let mut latency = Latency::default();
    let start = Instant::now();
    for _ in 0..times {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latency.record(begun.elapsed(), 1);
    }
    let within = |share| latency.within(share).unwrap_or(Duration::ZERO).as_secs_f64();
    Ok(DiskLimit {
        bytes,
        bytes_per_second: f64::from(times) * bytes as f64 / start.elapsed().as_secs_f64(),
        p50: within(0.5),
        p99: within(0.99),
    })
}
