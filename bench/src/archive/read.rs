//! How fast an archived stream is read from the bucket alone.

use std::time::Instant;

use strandline_client::StreamConfig;

use super::scene::Stage;
use super::{bare, mib};
use crate::error::BenchError;
use crate::report::{ArchiveRow, Bound, Unit};
use crate::subscriber::From;

const STREAM: &str = "bench";

pub(super) async fn run(stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
    let (value, place) = (stage.setting.value, stage.place("streams"));
    let local = [("ARCHIVE_LOCAL_MAX_BYTES", "1")];
    let mut scene = stage.broker("broker", Some(&place), &local).await?;
    scene.create(STREAM, StreamConfig::new(STREAM, STREAM)).await?;
    let stored = scene.fill(STREAM, value, stage.setting.options.bytes).await?;
    scene.archive(STREAM).await?;
    scene.wait_until_gone(STREAM).await?;
    // With empty caches.
    scene.server.kill_and_restart().await?;
    let bucket = stage.store.bucket(&place)?;
    let (bytes, before) = bare::read(&bucket).await?;
    let asked = scene.asked().await?;
    let begun = Instant::now();
    let mut subscriber = scene.server.subscriber(STREAM, From::Earliest).await?;
    let read = subscriber.count(stored).await?;
    let time = begun.elapsed();
    if read != stored {
        return Err(BenchError::WrongCount {
            what: "delivered",
            expected: stored,
            found: read,
        });
    }
    let requests = scene.asked().await?.reads - asked.reads;
    let (_, after) = bare::read(&bucket).await?;
    scene.end_it().await?;
    let row = |what| ArchiveRow::new(stage.work, what);
    Ok(vec![
        row("replay from the bucket, nothing cached")
            .value(bytes as f64 / time.as_secs_f64(), Unit::BytesPerSecond)
            .beside(
                "bare ranged GETs",
                2.0 * bytes as f64 / (before + after).as_secs_f64(),
            )
            .asked(Bound::TimesAtLeast(0.6)),
        row("reading requests per GiB read")
            .value(requests * 1024.0 / mib(bytes).max(1.0), Unit::Count)
            .asked(Bound::AtMost(150.0)),
    ])
}
