//! What publishers feel of it that their stream is archived.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use strandline_client::StreamConfig;
use tokio::sync::mpsc;

use super::scene::{Scene, Stage};
use crate::error::BenchError;
use crate::figures::Latency;
use crate::message::{Messages, Template};
use crate::publisher::Acks;
use crate::report::{ArchiveRow, Bound, Unit};
use crate::system::Door;

const STREAM: &str = "bench";
const RATE: u32 = 100_000;
/// Messages that are sent together, each millisecond.
const STEP: u32 = 100;
/// Smaller than by default, so that segments are sealed all the time.
const SEGMENT_BYTES: u64 = 64 << 20;
/// With archiving and without take turns, so that the machine's moods meet both.
const ROUNDS: u32 = 2;
/// Until files, connections and the first segment are there.
const WARM_UP: Duration = Duration::from_secs(1);

pub(super) async fn run(stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
    let (mut off, mut on) = (Latency::default(), Latency::default());
    for round in 0..ROUNDS {
        off.merge(&one(stage, round, None).await?);
        let place = stage.place(&round.to_string());
        on.merge(&one(stage, round, Some(&place)).await?);
    }
    let seconds = |latency: &Latency, share| latency.within(share).unwrap_or_default().as_secs_f64();
    let row = |what, share| {
        ArchiveRow::new(stage.work, what)
            .value(seconds(&on, share), Unit::Seconds)
            .beside("archiving off", seconds(&off, share))
    };
    Ok(vec![
        row("ack at 100,000/s, p50", 0.5),
        row("ack at 100,000/s, p99", 0.99).asked(Bound::TimesAtMost(1.3)),
    ])
}

/// One round on a broker of its own.
async fn one(stage: &Stage<'_>, round: u32, place: Option<&str>) -> Result<Latency, BenchError> {
    let name = format!("{round}-{}", if place.is_some() { "on" } else { "off" });
    let mut scene = stage.broker(&name, place, &[]).await?;
    if place.is_some() {
        scene.warm_up(stage.setting.value).await?;
    }
    let config = StreamConfig::new(STREAM, STREAM).segment_max_bytes(SEGMENT_BYTES);
    let config = if place.is_some() {
        config.archive(true)
    } else {
        config
    };
    scene.create(STREAM, config).await?;
    let latency = steady(
        &scene,
        stage.setting.value,
        stage.setting.options.time / (2 * ROUNDS),
    )
    .await;
    scene.end_it().await?;
    super::remove(&stage.directory.join(name))?;
    latency
}

async fn steady(scene: &Scene, value: &[u8], time: Duration) -> Result<Latency, BenchError> {
    let messages = Messages::plain(STREAM, value);
    let (publisher, templates) = scene.server.publisher(Door::Api, messages).await?;
    let template = templates.into_iter().next().ok_or(BenchError::Interrupted)?;
    let steps = ((time + WARM_UP).as_secs_f64() * f64::from(RATE / STEP)) as u32;
    let sender = publisher.sender;
    let begun = Instant::now();
    // A thread of its own: the runtime's timer is too coarse.
    let pace = tokio::task::spawn_blocking(move || pace(&sender, &template, begun, steps));
    let latency = acks(publisher.acks, begun, u64::from(steps) * u64::from(STEP)).await?;
    pace.await.map_err(|_| BenchError::Interrupted)?;
    Ok(latency)
}

/// When the messages of a step should leave, whatever the server does: one that is late cannot slow down what it is measured
/// with.
fn due(step: u32) -> Duration {
    Duration::from_secs(1) * STEP / RATE * step
}

fn pace(sender: &mpsc::Sender<Bytes>, template: &Template, begun: Instant, steps: u32) {
    let mut bytes = BytesMut::new();
    (0..STEP).for_each(|_| bytes.extend_from_slice(&template.bytes));
    let bytes = bytes.freeze();
    for step in 0..steps {
        std::thread::sleep((begun + due(step)).saturating_duration_since(Instant::now()));
        if sender.blocking_send(bytes.clone()).is_err() {
            return;
        }
    }
}

/// Acks come in the order of the messages.
async fn acks(mut acks: Acks, begun: Instant, messages: u64) -> Result<Latency, BenchError> {
    let mut latency = Latency::default();
    let mut acked = 0;
    while acked < messages {
        let new = acks.next().await?;
        let now = begun.elapsed();
        let end = acked + new;
        while acked < end {
            let step = acked / u64::from(STEP);
            let count = (end - acked).min((step + 1) * u64::from(STEP) - acked);
            let due = due(u32::try_from(step).unwrap_or(u32::MAX));
            if due > WARM_UP {
                latency.record(now.saturating_sub(due), count);
            }
            acked += count;
        }
    }
    Ok(latency)
}
