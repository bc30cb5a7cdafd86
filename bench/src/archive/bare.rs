//! What the store does for a client that does nothing else: the measure for the broker.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use strandline_storage_backends::tiered::Bucket;

use super::store::failed;
use crate::error::BenchError;

/// Bytes of an object, as of a segment.
const OBJECT_BYTES: u64 = 256 << 20;
/// Bytes that are read from a file at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes of a ranged request, and requests under way: what the broker does for a reader that goes on.
const RANGE_BYTES: u64 = 8 << 20;
const RANGES: usize = 3;
const MOST_OBJECTS: usize = 100_000;

/// A file to send; not of zeros.
pub(super) fn file(directory: &Path, bytes: u64) -> Result<PathBuf, BenchError> {
    let path = directory.join("plain");
    let write = || -> io::Result<()> {
        let mut file = File::create(&path)?;
        let block = crate::message::random_value(PIECE_BYTES);
        let mut left = bytes.min(OBJECT_BYTES);
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            file.write_all(&block[..now])?;
            left -= now as u64;
        }
        file.sync_all()
    };
    write().map_err(BenchError::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// Sends a file as often as it takes for so many bytes, in parts, as the broker sends segments. Says how long it took.
pub(super) async fn upload(bucket: &Bucket, file: &Path, bytes: u64) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let (mut left, mut number) = (bytes, 0);
    while left > 0 {
        let key = format!("bare/{number}");
        let sent = upload_one(bucket, &key, file, left).await?;
        left = left.saturating_sub(sent.max(1));
        number += 1;
    }
    Ok(begun.elapsed())
}

async fn upload_one(bucket: &Bucket, key: &str, path: &Path, limit: u64) -> Result<u64, BenchError> {
    let put = |error| failed("an object", &error);
    let opened = File::open(path).map_err(BenchError::io(format!("open {}", path.display())))?;
    let mut upload = bucket.upload(key);
    let mut source = opened.take(limit);
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES];
            let read = source.read(&mut piece)?;
            piece.truncate(read);
            Ok((source, piece))
        });
        let read = upload.meanwhile(read).await.map_err(put)?;
        let read: io::Result<_> = read.map_err(|_| BenchError::Interrupted)?;
        let (rest, piece) = read.map_err(BenchError::io(format!("read {}", path.display())))?;
        if piece.is_empty() {
            return upload.finish().await.map_err(put);
        }
        source = rest;
        upload.write(Bytes::from(piece)).await.map_err(put)?;
    }
}

/// Reads all segments below a place, in order, by ranges. Says how many bytes they are and how long it took.
pub(super) async fn read(bucket: &Bucket) -> Result<(u64, Duration), BenchError> {
    let listed = bucket.list("", MOST_OBJECTS).await;
    let listed = listed.map_err(|error| failed("a listing", &error))?;
    let mut ranges = Vec::new();
    for object in listed.iter().filter(|object| object.key.contains("/segments/")) {
        let starts = (0..object.bytes).step_by(RANGE_BYTES as usize);
        ranges.extend(starts.map(|start| (object.key.clone(), start..object.bytes.min(start + RANGE_BYTES))));
    }
    let begun = Instant::now();
    let got = stream::iter(ranges)
        .map(|(key, range)| {
            let bucket = bucket.clone();
            async move { bucket.get_range(&key, range).await }
        })
        .buffered(RANGES)
        .try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len() as u64) });
    let bytes = got.await.map_err(|error| failed("a part of an object", &error))?;
    Ok((bytes, begun.elapsed()))
}
