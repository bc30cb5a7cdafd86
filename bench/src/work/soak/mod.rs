//! Full speed for a long time, with everything read back.

mod course;
mod stamp;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

pub use course::Part;

use self::course::Course;
use self::stamp::ReadBack;
use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::Span;
use crate::message::{Messages, Template};
use crate::publisher::{InFlight, Published, Publisher};
use crate::report::units;
use crate::subscriber::{From, Subscriber};
use crate::system::Door;

const PUBLISHERS: usize = 4;
const WINDOW: u64 = 1000;
const READERS: usize = 2;
/// How often the server's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(200);
/// How often a publisher that is too far before the readers looks whether it still is.
const LOOK: Duration = Duration::from_millis(2);

/// Publishers at full speed until the time is over or the user stops it, on a stream whose retention bounds the disk, and
/// readers that follow. Every record that was acked has to come back to each reader once, in order and unchanged.
pub(super) async fn run(task: &mut Task<'_>) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    let bytes = task.options.soak_bytes;
    task.system.create_bounded_stream(&stream, bytes).await?;
    // Readers must not fall behind what retention leaves.
    let lead = (bytes / 4 / task.value.len() as u64).max(2 * PUBLISHERS as u64 * WINDOW);
    let shared = Arc::new(Shared::new(lead));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let subscriber = task.system.subscriber(&stream, From::New).await?;
        let back = ReadBack::new(task.value, PUBLISHERS);
        readers.spawn(read(subscriber, back, reader, Arc::clone(&shared)));
    }
    let mut publishers = JoinSet::new();
    for number in 0..PUBLISHERS {
        let (publisher, template) = publisher(task, &stream).await?;
        publishers.spawn(publish(publisher, template, number, Arc::clone(&shared)));
    }
    let span = Span::begin(task.system.process());
    let mut course = Course::begin(task.options.soak_time);
    tokio::select! {
        () = watch(task, &shared, &mut course) => {}
        // Neither ends by itself: it has failed.
        Some(ended) = publishers.join_next() => drop(joined(ended)?),
        Some(ended) = readers.join_next() => drop(joined(ended)?),
    }
    shared.is_over.store(true, Ordering::Relaxed);
    let mut published = vec![Published::default(); PUBLISHERS];
    while let Some(ended) = publishers.join_next().await {
        let (number, done) = joined(ended)?;
        published[number] = done;
    }
    let spent = span.end();
    course.end_part(
        task.system.process(),
        task.system.files().as_deref(),
        shared.acked(),
    );
    publish_last(task, &stream).await?;
    while let Some(ended) = readers.join_next().await {
        compare(&published, &joined(ended)?)?;
    }
    let mut all = Published::default();
    published.iter().for_each(|one| all.add(one));
    Ok(Measured {
        course: course.parts,
        ..Measured::new(all.acked, spent, all.latency)
    })
}

/// What publishers and readers tell one another.
#[derive(Debug)]
struct Shared {
    is_over: AtomicBool,
    acked: [AtomicU64; PUBLISHERS],
    read: [AtomicU64; READERS],
    /// Records that the slowest reader may be behind.
    lead: u64,
}

impl Shared {
    fn new(lead: u64) -> Self {
        Self {
            is_over: AtomicBool::new(false),
            acked: Default::default(),
            read: Default::default(),
            lead,
        }
    }

    fn acked(&self) -> u64 {
        self.acked.iter().map(|acked| acked.load(Ordering::Relaxed)).sum()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn is_too_far(&self) -> bool {
        let slowest = self.read.iter().map(|read| read.load(Ordering::Relaxed)).min();
        self.acked() > slowest.unwrap_or_default() + self.lead
    }
}

async fn publisher(task: &Task<'_>, stream: &str) -> Result<(Publisher, Template), BenchError> {
    let (publisher, templates) = task
        .system
        .publisher(Door::Api, Messages::plain(stream, task.value))
        .await?;
    let template = templates.into_iter().next().ok_or(BenchError::Interrupted)?;
    Ok((publisher, template))
}

async fn publish(
    mut publisher: Publisher,
    template: Template,
    number: usize,
    shared: Arc<Shared>,
) -> Result<(usize, Published), BenchError> {
    let mut published = Published::default();
    let mut in_flight = InFlight::default();
    let mut next = 0;
    loop {
        while in_flight.total() == 0 && shared.is_too_far() && !shared.is_over() {
            tokio::time::sleep(LOOK).await;
        }
        let room = WINDOW - in_flight.total();
        if room > 0 && !shared.is_over() && !shared.is_too_far() {
            in_flight.add(room);
            let records = stamp::stamped(&template, number, next..next + room);
            publisher.send(records).await?;
            next += room;
        }
        if in_flight.total() == 0 && shared.is_over() {
            return Ok((number, published));
        }
        if in_flight.total() > 0 {
            let acked = publisher.acks.next().await?;
            published.acked += acked;
            in_flight.remove(acked, &mut published.latency);
            shared.acked[number].fetch_add(acked, Ordering::Relaxed);
        }
    }
}

/// Reads until the last record of all.
async fn read(
    mut subscriber: Subscriber,
    mut back: ReadBack,
    reader: usize,
    shared: Arc<Shared>,
) -> Result<ReadBack, BenchError> {
    while !back.is_over {
        let mut outcome = Ok(());
        let each = |value: &[u8]| {
            if outcome.is_ok() {
                outcome = back.take(value);
            }
        };
        let count = subscriber.values(each).await?;
        outcome?;
        let Some(count) = count else {
            return Err(BenchError::Ended {
                what: "subscription",
                reason: "before the last record".to_owned(),
            });
        };
        shared.read[reader].fetch_add(count, Ordering::Relaxed);
    }
    Ok(back)
}

/// Looks at the server until the time is over or the user has had enough.
async fn watch(task: &Task<'_>, shared: &Shared, course: &mut Course) {
    let files = task.system.files();
    while course.elapsed() < task.options.soak_time && !task.stop.is_cancelled() {
        tokio::select! {
            () = task.stop.cancelled() => {}
            () = tokio::time::sleep(SAMPLE) => {}
        }
        if course.sample(task.system.process(), files.as_deref(), shared.acked())
            && let Some(part) = course.parts.last()
        {
            let memory = part.memory.map(|[_, median, _]| units::bytes(median));
            let rate = units::rate(part.per_second);
            let seconds = part.end.round();
            task.progress.set_message(format!(
                "soak: {seconds} s, {rate}, {}",
                memory.unwrap_or_default()
            ));
        }
    }
}

async fn publish_last(task: &Task<'_>, stream: &str) -> Result<(), BenchError> {
    let (mut publisher, template) = publisher(task, stream).await?;
    publisher.send(stamp::last(&template)).await?;
    publisher.acks.next().await.map(|_| ())
}

fn joined<T>(ended: Result<Result<T, BenchError>, tokio::task::JoinError>) -> Result<T, BenchError> {
    ended.map_err(|_| BenchError::Interrupted)?
}

/// Every record that was acked has come back, and no other.
fn compare(published: &[Published], back: &ReadBack) -> Result<(), BenchError> {
    let expected = published.iter().map(|one| one.acked).sum();
    let found = back.next.iter().sum();
    let is_same = published
        .iter()
        .zip(&back.next)
        .all(|(one, &read)| one.acked == read);
    if is_same {
        return Ok(());
    }
    Err(BenchError::WrongCount {
        what: "read back",
        expected,
        found,
    })
}
