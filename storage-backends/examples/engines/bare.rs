//! The same bytes without a storage engine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes pieces one after another; so many of them share a sync.
pub(crate) fn write(path: &Path, piece: usize, pieces: u64, shared: u64) -> Duration {
    let file = File::create(path).unwrap();
    let bytes = vec![0x5a; piece];
    let begun = Instant::now();
    for number in 0..pieces {
        file.write_all_at(&bytes, number * piece as u64).unwrap();
        if (number + 1) % shared == 0 {
            file.sync_data().unwrap();
        }
    }
    file.sync_data().unwrap();
    begun.elapsed()
}

/// Reads a file from its begin to its end; says how many bytes that were.
pub(crate) fn read(path: &Path, piece: usize) -> (u64, Duration) {
    let file = File::open(path).unwrap();
    let mut bytes = vec![0; piece];
    let (mut at, begun) = (0, Instant::now());
    loop {
        match file.read_at(&mut bytes, at).unwrap() {
            0 => return (at, begun.elapsed()),
            read => at += read as u64,
        }
    }
}
