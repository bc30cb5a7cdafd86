//! One scrape: what was counted, and what its owners say now.

use std::sync::Arc;

use strandline_core::storage::Log;

use super::archive::archive;
use super::disk::FileNumbers;
use super::names::*;
use super::numbers::Metrics;
use super::plugins::plugins;
use super::process::{ProcessNumbers, unix_seconds};
use super::text::{Exposition, Format, Labels, Metric};
use crate::bus::BusNumbers;
use crate::context::Context;
use crate::grpc::{ANSWERS_MAX_BYTES, QUEUE_MAX_BYTES};
use crate::http::MAX_CONNECTIONS;
use crate::partition::{
    ALL_INBOXES_MAX_BYTES, AppenderHandle, INBOX_MAX_BYTES, PartitionHandle, REJECTED_MAX_BYTES,
    SPARE_MAX_BYTES, UNSYNCED_MAX_BYTES,
};
use crate::streams::{Engine, PartitionState, Stream, TAIL_CACHE_BYTES};

/// What a scrape looks at.
#[derive(Debug)]
pub(crate) struct Scrape<'a> {
    pub(crate) metrics: &'a Metrics,
    /// None until the broker serves.
    pub(crate) context: Option<&'a Context>,
    pub(crate) stored: Option<StoredNumbers>,
    pub(crate) ready: bool,
    /// Whether each partition has samples of its own.
    pub(crate) per_partition: bool,
}

/// What the logs hold. Asking for it takes each log's write lock for a moment, so it is not asked for often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredNumbers {
    segments: u64,
    records: u64,
    bytes: u64,
}

impl StoredNumbers {
    /// Asks every partition.
    pub(crate) fn collect(context: &Context) -> Self {
        let mut numbers = Self::default();
        for stream in context.streams.all() {
            for segment in stream.open().flat_map(|handle| handle.log().segments()) {
                numbers.segments += 1;
                numbers.records = numbers.records.saturating_add(segment.records);
                numbers.bytes = numbers.bytes.saturating_add(segment.bytes);
            }
        }
        numbers
    }
}

impl Scrape<'_> {
    /// The text. Blocks for a moment on `/proc`.
    pub(crate) fn text(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        self.broker(&mut out);
        self.doors(&mut out);
        self.append(&mut out);
        self.files(&mut out);
        self.compaction(&mut out);
        self.scrub(&mut out);
        self.readers(&mut out);
        self.grpc(&mut out);
        if let Some(context) = self.context {
            self.partitions(&mut out, context);
            bus(&mut out, &context.bus.numbers());
            metadata(&mut out, context);
            archive(&mut out, context);
            plugins(&mut out, context);
        }
        out.number(&HTTP_CONNECTIONS, self.metrics.http.connections.get());
        out.number(&HTTP_CONNECTIONS_LIMIT, MAX_CONNECTIONS);
        out.number(&HTTP_TURNED_AWAY, self.metrics.http.turned_away.get());
        process(&mut out, &ProcessNumbers::read());
        out.finish()
    }

    fn broker(&self, out: &mut Exposition) {
        let version = env!("CARGO_PKG_VERSION");
        out.by(&BUILD_INFO, "version", [(version, 1_u64)]);
        out.number(&START_TIME, unix_seconds(self.metrics.started));
        out.number(&READY, self.ready);
    }

    fn doors(&self, out: &mut Exposition) {
        let metrics = self.metrics;
        let messages = metrics.doors().map(|(name, door)| (name, door.messages.get()));
        out.by(&DOOR_MESSAGES, "door", messages);
        let bytes = metrics.doors().map(|(name, door)| (name, door.bytes.get()));
        out.by(&DOOR_BYTES, "door", bytes);
        out.by(&REFUSALS, "reason", metrics.refusals());
        out.histogram(&PUBLISHER_WAIT, &metrics.publisher_wait.snapshot());
    }

    fn append(&self, out: &mut Exposition) {
        let append = &self.metrics.append;
        out.number(&APPENDED_RECORDS, append.records.get());
        out.number(&APPENDED_BYTES, append.bytes.get());
        out.number(&ACKS, append.acks.get());
        out.number(&UNSYNCED, append.unsynced.get());
        out.number(&UNSYNCED_LIMIT, UNSYNCED_MAX_BYTES);
        for (metric, histogram) in [
            (&INBOX_TIME, &append.inbox_time),
            (&BATCH_RECORDS, &append.batch_records),
            (&BATCH_BYTES, &append.batch_bytes),
            (&APPEND_TIME, &append.append_time),
            (&SYNC_RECORDS, &append.sync_records),
            (&COMMIT_TIME, &append.commit_time),
            (&ANSWER_TIME, &append.answer_time),
            (&PUBLISH_TIME, &append.publish_time),
        ] {
            out.histogram(metric, &histogram.snapshot());
        }
    }

    fn files(&self, out: &mut Exposition) {
        let files = [
            ("streams", &self.metrics.stream_files),
            ("metadata", &self.metrics.metadata_files),
        ];
        out.family(&FILE_SYNC, |family| {
            for (name, numbers) in files {
                family.buckets(&[("files", name)], &numbers.syncs.snapshot());
            }
        });
        type Read = fn(&FileNumbers) -> u64;
        let all: [(&Metric, Read); 6] = [
            (&FILE_WRITTEN, |numbers| numbers.written_bytes.get()),
            (&FILE_READ, |numbers| numbers.read_bytes.get()),
            (&FILE_ERRORS, |numbers| numbers.errors.get()),
            (&FILE_CUTS, |numbers| numbers.cuts.get()),
            (&FILE_CUT_BYTES, |numbers| numbers.cut_bytes.get()),
            (&FILES_OPEN, |numbers| numbers.open.get()),
        ];
        for (metric, read) in all {
            out.by(
                metric,
                "files",
                files.map(|(name, numbers)| (name, read(numbers))),
            );
        }
        out.number(&REMOVED_SEGMENTS, self.metrics.retention.segments.get());
        out.number(&REMOVED_RECORDS, self.metrics.retention.records.get());
        out.number(&CLOCK_DISTRUSTED, self.metrics.retention.clock_distrusted.get());
    }

    fn compaction(&self, out: &mut Exposition) {
        let compaction = &self.metrics.compaction;
        out.number(&COMPACTION_RUNS, compaction.runs.get());
        out.number(&COMPACTION_FAILURES, compaction.failures.get());
        out.number(&COMPACTION_RUNNING, compaction.running.get());
        out.number(&COMPACTION_TIME, compaction.nanoseconds.get() as f64 / 1e9);
        out.number(&COMPACTION_SEGMENTS, compaction.segments.get());
        out.number(&COMPACTION_IN, compaction.bytes_in.get());
        out.number(&COMPACTION_OUT, compaction.bytes_out.get());
        out.number(&COMPACTION_DROPPED, compaction.dropped.get());
        out.number(&COMPACTION_DIRTY, compaction.dirty_bytes.get());
    }

    fn scrub(&self, out: &mut Exposition) {
        let scrub = &self.metrics.scrub;
        out.number(&SCRUB_PASSES, scrub.passes.get());
        out.number(&SCRUB_SEGMENTS, scrub.segments.get());
        out.number(&SCRUB_BYTES, scrub.read_bytes.get());
        out.number(&SCRUB_DAMAGED, scrub.damaged.get());
    }

    fn readers(&self, out: &mut Exposition) {
        let readers = &self.metrics.readers;
        out.number(&READ_RECORDS, readers.records.get());
        out.number(&READ_BYTES, readers.bytes.get());
        out.number(&CACHE_HITS, readers.cache_hits.get());
        out.number(&CACHE_MISSES, readers.cache_misses.get());
        out.number(&SUBSCRIPTIONS, readers.subscriptions.get());
        out.number(&SUBSCRIBED, readers.subscribed.get());
    }

    fn grpc(&self, out: &mut Exposition) {
        let grpc = &self.metrics.grpc;
        out.number(&GRPC_CONNECTIONS, grpc.connections.get());
        out.by(&GRPC_REQUESTS, "method", grpc.requests());
        out.by(&GRPC_FAILURES, "code", grpc.failures());
        out.number(&GRPC_SESSIONS, grpc.sessions.get());
        out.number(&GRPC_UNANSWERED, grpc.unanswered.get());
        let queues = [("answers", &grpc.answers), ("messages", &grpc.messages)];
        let bytes = queues.map(|(name, queue)| (name, queue.bytes.get()));
        out.by(&GRPC_QUEUE, "queue", bytes);
        let limits = [("answers", ANSWERS_MAX_BYTES), ("messages", QUEUE_MAX_BYTES)];
        out.by(&GRPC_QUEUE_LIMIT, "queue", limits);
        let waits = queues.map(|(name, queue)| (name, queue.waits.get()));
        out.by(&GRPC_QUEUE_WAITS, "queue", waits);
    }

    fn partitions(&self, out: &mut Exposition, context: &Context) {
        let streams = context.streams.all();
        let states = || streams.iter().flat_map(|stream| stream.partitions());
        let open = || streams.iter().flat_map(|stream| stream.open());
        let out_of_service = states().filter(|state| matches!(state, PartitionState::OutOfService { .. }));
        out.number(&STREAMS, streams.len());
        out.number(&PARTITIONS_LED, open().count());
        out.number(&PARTITIONS_OUT, out_of_service.count());
        out.number(
            &PARTITIONS_FAILED,
            open().filter(|handle| handle.is_failed()).count(),
        );
        let inboxes = || open().map(|handle| handle.inbox_bytes());
        out.number(&INBOX_BYTES, inboxes().sum::<usize>());
        out.number(&INBOX_MAX, inboxes().max().unwrap_or_default());
        out.number(&INBOX_LIMIT, INBOX_MAX_BYTES);
        out.number(&INBOXES_LIMIT, ALL_INBOXES_MAX_BYTES);
        let appenders = || context.opener.stores.opened().map(Engine::appender);
        let count = appenders().count();
        out.number(
            &REJECTED,
            appenders().map(AppenderHandle::rejected_bytes).sum::<usize>(),
        );
        out.number(&REJECTED_LIMIT, REJECTED_MAX_BYTES * count);
        out.number(
            &SPARE,
            appenders().map(AppenderHandle::spare_bytes).sum::<usize>(),
        );
        out.number(&SPARE_LIMIT, SPARE_MAX_BYTES * count);
        let cached = &context.opener.tail_memory;
        out.number(&CACHE_BYTES, cached.bytes());
        out.number(&CACHE_LIMIT, TAIL_CACHE_BYTES);
        out.number(&CACHES_LIMIT, cached.max_bytes());
        out.number(&SEGMENT_FILES_LIMIT, context.max_open_files);
        if let Some(stored) = self.stored {
            out.number(&STORED_SEGMENTS, stored.segments);
            out.number(&STORED_RECORDS, stored.records);
            out.number(&STORED_BYTES, stored.bytes);
        }
        if self.per_partition {
            each_partition(out, &streams);
        }
    }
}

fn each_partition(out: &mut Exposition, streams: &[Arc<Stream>]) {
    type Read = fn(&PartitionHandle) -> u64;
    let all: [(&Metric, Read); 4] = [
        (&PARTITION_START, |handle| handle.log().start().get()),
        (&PARTITION_COMMITTED, |handle| handle.readable().end.get()),
        (&PARTITION_END, |handle| handle.end().get()),
        (&PARTITION_INBOX, |handle| handle.inbox_bytes() as u64),
    ];
    for (metric, read) in all {
        out.family(metric, |family| {
            for handle in streams.iter().flat_map(|stream| stream.open()) {
                let number = handle.info().partition.to_string();
                let labels: Labels<'_> = &[("stream", handle.info().stream.as_str()), ("partition", &number)];
                family.sample(labels, read(handle));
            }
        });
    }
}

fn bus(out: &mut Exposition, numbers: &BusNumbers) {
    match numbers {
        BusNumbers::Embedded(stats) => {
            out.number(&NATS_CONNECTIONS, stats.connections);
            if let Some(limit) = stats.max_connections {
                out.number(&NATS_CONNECTIONS_LIMIT, limit);
            }
            out.number(&NATS_CONNECTED, stats.total_connections);
            out.number(&NATS_TURNED_AWAY, stats.turned_away);
            out.number(&NATS_REFUSED, stats.refused_credentials);
            out.number(&NATS_SUBSCRIPTIONS, stats.subscriptions);
            let messages = [("in", stats.received_messages), ("out", stats.delivered_messages)];
            out.by(&NATS_MESSAGES, "direction", messages);
            let bytes = [("in", stats.received_bytes), ("out", stats.delivered_bytes)];
            out.by(&NATS_BYTES, "direction", bytes);
            out.number(&NATS_SLOW, stats.slow_consumers);
            out.number(&NATS_PENDING, stats.pending_bytes);
            out.number(&NATS_PENDING_MAX, stats.largest_pending_bytes);
            out.number(&NATS_PENDING_LIMIT, stats.max_pending_bytes);
            out.number(&NATS_UNFINISHED, stats.unfinished_bytes);
            out.number(&NATS_UNFINISHED_LIMIT, stats.max_unfinished_bytes);
        }
        BusNumbers::External(external) => {
            out.number(&EXTERNAL_UP, external.connected);
            out.number(&EXTERNAL_LOST, external.connections_lost);
            out.number(&EXTERNAL_SLOW, external.slow_consumer_events);
            out.number(&EXTERNAL_ACKS, external.acks_waiting);
            out.number(&EXTERNAL_ACKS_LIMIT, external.max_acks_waiting);
            out.number(&EXTERNAL_ACKS_DROPPED, external.acks_dropped);
        }
        BusNumbers::Silent => {}
    }
}

fn metadata(out: &mut Exposition, context: &Context) {
    let state = context.metadata.state();
    out.number(&METADATA_LEADER, context.metadata.is_leader_known());
    out.number(&METADATA_REVISION, state.revision());
    let (waiting, limit) = context.metadata.waiting_changes();
    out.number(&METADATA_WAITING, waiting);
    out.number(&METADATA_WAITING_LIMIT, limit);
    out.number(&METADATA_STREAMS, state.streams().len());
    out.number(&METADATA_PARTITIONS, state.partition_count());
}

fn process(out: &mut Exposition, numbers: &ProcessNumbers) {
    if let Some(seconds) = numbers.cpu_seconds {
        out.number(&PROCESS_CPU, seconds);
    }
    for (metric, value) in [
        (&PROCESS_RESIDENT, numbers.resident_bytes),
        (&PROCESS_VIRTUAL, numbers.virtual_bytes),
        (&PROCESS_THREADS, numbers.threads),
        (&PROCESS_FDS, numbers.open_files),
        (&PROCESS_MAX_FDS, numbers.max_open_files),
    ] {
        if let Some(value) = value {
            out.number(metric, value);
        }
    }
}
