//! How long it takes an empty broker to serve what the bucket alone has.

use std::time::{Duration, Instant};

use strandline_client::StreamConfig;
use strandline_client::admin::RestoreOptions;

use super::scene::Stage;
use crate::error::BenchError;
use crate::report::{ArchiveRow, Bound, Unit};
use crate::subscriber::From;
use crate::system::refused;

const STREAM: &str = "bench";
/// Many of them, so that the larger archive has a long manifest.
const SEGMENT_BYTES: u64 = 4 << 20;
/// The smaller archive is so many times smaller.
const SMALLER: u64 = 16;

pub(super) async fn run(stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
    let bytes = stage.setting.options.bytes;
    let small = one(stage, "small", bytes / SMALLER).await?;
    let large = one(stage, "large", bytes).await?;
    Ok(vec![
        ArchiveRow::new(stage.work, "restore to the first record, larger archive")
            .value(large.as_secs_f64(), Unit::Seconds)
            .beside("one that is 16 times smaller", small.as_secs_f64())
            .asked(Bound::MoreAtMost(1.0)),
    ])
}

async fn one(stage: &Stage<'_>, name: &str, bytes: u64) -> Result<Duration, BenchError> {
    let (value, place) = (stage.setting.value, stage.place(name));
    let mut lost = stage.broker(&format!("{name}-lost"), Some(&place), &[]).await?;
    let config = StreamConfig::new(STREAM, STREAM).segment_max_bytes(SEGMENT_BYTES);
    lost.create(STREAM, config).await?;
    lost.fill(STREAM, value, bytes).await?;
    lost.archive(STREAM).await?;
    let new = stage.broker(&format!("{name}-new"), Some(&place), &[]).await?;
    new.wait_until_restorable(STREAM).await?;
    lost.end_it().await?;
    let begun = Instant::now();
    let restored = new
        .server
        .client()
        .admin()
        .restore_archive(&RestoreOptions::default())
        .await;
    restored.map_err(|error| refused("to restore a stream", &error))?;
    let mut subscriber = new.server.subscriber(STREAM, From::Earliest).await?;
    let first = subscriber.count(1).await?;
    let time = begun.elapsed();
    new.end_it().await?;
    if first == 0 {
        return Err(BenchError::WrongCount {
            what: "restored",
            expected: 1,
            found: 0,
        });
    }
    Ok(time)
}
