//! What memory archiving takes, with many streams at a time.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use strandline_client::StreamConfig;
use tokio::task::JoinSet;

use super::scene::{Scene, Stage};
use crate::error::BenchError;
use crate::grpc::{self, GrpcAcks, publish_template};
use crate::message::random_value;
use crate::publisher::Acks;
use crate::report::{ArchiveRow, Bound, Unit};
use crate::subscriber::From;

/// Larger than those of other works: it is bytes that matter here.
const VALUE_BYTES: usize = 4096;
/// Streams that are read from their beginning at the same time.
const READERS: usize = 8;
/// Messages of a write, and writes that are not acked yet.
const BURST: usize = 100;
const IN_FLIGHT: u64 = 2000;
/// What an acked record of this size adds to the log besides its value, about.
const PER_RECORD: u64 = 80;

pub(super) async fn run(stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
    let off = one(stage, None).await?;
    let on = one(stage, Some(&stage.place("streams"))).await?;
    let what = "most memory, streams written evenly, 8 of them read from their start";
    Ok(vec![
        ArchiveRow::new(stage.work, what)
            .value(on as f64, Unit::Bytes)
            .beside("archiving off", off as f64)
            .asked(Bound::MoreAtMost(f64::from(96 << 20)))
            .note(format!("{} streams", stage.setting.options.streams)),
    ])
}

/// Most memory of a broker of its own.
async fn one(stage: &Stage<'_>, place: Option<&str>) -> Result<u64, BenchError> {
    let name = if place.is_some() { "on" } else { "off" };
    let mut scene = stage.broker(name, place, &local(place)).await?;
    let options = stage.setting.options;
    let names: Vec<String> = (0..options.streams.max(1))
        .map(|number| format!("bench-{number}"))
        .collect();
    // Two segments each; all are full at about the same time.
    let per_stream = (2 * options.bytes / names.len() as u64).max(1 << 20);
    for name in &names {
        let config = StreamConfig::new(name, name).segment_max_bytes((per_stream / 2).max(1 << 20));
        let config = if place.is_some() {
            config.archive(true)
        } else {
            config
        };
        scene.create(name, config).await?;
    }
    let process = scene.process().ok_or(BenchError::Interrupted)?;
    process.forget_peak();
    let messages = per_stream * names.len() as u64 / (VALUE_BYTES as u64 + PER_RECORD);
    write(&scene, &names, messages).await?;
    if place.is_some() {
        scene.wait_until_archived(&names).await?;
    }
    read(&mut scene, &names, messages / names.len() as u64).await?;
    let most = process.peak_memory().ok_or(BenchError::Interrupted)?;
    scene.end_it().await?;
    super::remove(&stage.directory.join(name))?;
    Ok(most)
}

/// What is archived does not stay on the disk, so that readers read it from the bucket.
fn local(place: Option<&str>) -> Vec<(&'static str, &'static str)> {
    place
        .map(|_| ("ARCHIVE_LOCAL_MAX_BYTES", "1"))
        .into_iter()
        .collect()
}

/// Writes to all streams in turn, over one call.
async fn write(scene: &Scene, names: &[String], messages: u64) -> Result<(), BenchError> {
    let (sender, responses) = grpc::open(scene.server.grpc(), grpc::PUBLISH).await?;
    let mut acks = Acks::Grpc(GrpcAcks::new(responses));
    let value = random_value(VALUE_BYTES);
    let templates: Vec<_> = names
        .iter()
        .map(|name| publish_template(name, 0, &value, None))
        .collect();
    let mut next = templates.iter().cycle();
    let (mut sent, mut acked) = (0, 0);
    while acked < messages {
        while sent < messages && sent - acked < IN_FLIGHT {
            let mut bytes = BytesMut::new();
            next.by_ref()
                .take(BURST)
                .for_each(|template| bytes.extend_from_slice(&template.bytes));
            sent += BURST as u64;
            let sending: Bytes = bytes.freeze();
            sender.send(sending).await.map_err(|_| BenchError::Ended {
                what: "connection",
                reason: "while it was sent messages".to_owned(),
            })?;
        }
        acked += acks.next().await?;
    }
    Ok(())
}

/// Reads some streams while all are written to.
async fn read(scene: &mut Scene, names: &[String], messages: u64) -> Result<(), BenchError> {
    let mut readers = JoinSet::new();
    for name in names.iter().take(READERS) {
        let mut subscriber = scene.server.subscriber(name, From::Earliest).await?;
        readers.spawn(async move { subscriber.count(messages / 2).await });
    }
    let begun = Instant::now();
    while !readers.is_empty() && begun.elapsed() < Duration::from_mins(5) {
        write(scene, names, 10 * BURST as u64).await?;
        while let Some(done) = readers.try_join_next() {
            done.map_err(|_| BenchError::Interrupted)??;
        }
    }
    Ok(())
}
