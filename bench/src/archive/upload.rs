//! How fast a stream that is on the disk gets into the archive.

use std::time::Duration;

use strandline_client::StreamConfig;

use super::scene::Stage;
use super::{bare, mib};
use crate::error::BenchError;
use crate::report::{ArchiveRow, Bound, Unit};

const STREAM: &str = "bench";
/// The disk has to be through with what was written before.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) async fn run(stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
    let (value, bytes) = (stage.setting.value, stage.setting.options.bytes);
    let mut scene = stage.broker("broker", Some(&stage.place("streams")), &[]).await?;
    scene.warm_up(value).await?;
    scene.create(STREAM, StreamConfig::new(STREAM, STREAM)).await?;
    scene.fill(STREAM, value, bytes).await?;
    let bucket = stage.store.bucket(&stage.place("plain"))?;
    let file = bare::file(stage.directory, bytes)?;
    tokio::time::sleep(SETTLE).await;
    // Before and after: the machine changes its pace.
    let before = bare::upload(&bucket, &file, bytes).await?;
    let asked = scene.asked().await?;
    if let Some(process) = scene.process() {
        process.forget_peak();
    }
    let archived = scene.archive(STREAM).await?;
    let memory = scene.process().and_then(crate::figures::Process::peak_memory);
    let requests = scene.asked().await?.writes - asked.writes;
    let after = bare::upload(&bucket, &file, bytes).await?;
    scene.end_it().await?;
    let bare = 2.0 * bytes as f64 / (before + after).as_secs_f64();
    let rate = archived.bytes as f64 / archived.time.as_secs_f64();
    let per_gib = requests * 1024.0 / mib(archived.bytes).max(1.0);
    let row = |what| ArchiveRow::new(stage.work, what);
    let note = memory.map(|memory| format!("most memory meanwhile {} MiB", memory >> 20));
    Ok(vec![
        row("upload of what is on the disk")
            .value(rate, Unit::BytesPerSecond)
            .beside("bare multipart client", bare)
            .asked(Bound::TimesAtLeast(0.8))
            .note(note.unwrap_or_default()),
        row("writing requests per GiB archived")
            .value(per_gib, Unit::Count)
            .asked(Bound::AtMost(100.0)),
    ])
}
