//! Every metric: its name, its kind and its meaning. `docs/operations.md` says what to do about them; a test compares.
//!
//! Names are Prometheus' way: the product first, base units, and `_total` behind counters, which the text adds. Those of the
//! process are the ones that all programs share.

use super::text::{Kind, Metric};

macro_rules! metrics {
    ($($(#[$attribute:meta])* $constant:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(
            $(#[$attribute])*
            pub(super) const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                help: $help,
            };
        )*

        /// All of them.
        #[cfg(test)]
        pub(super) const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO: Gauge "strandline_build_info"
        "1, with the version as a label";
    START_TIME: Gauge "process_start_time_seconds"
        "when the broker was started, in Unix time";
    READY: Gauge "strandline_ready"
        "1 when /readyz answers 200";

    DOOR_MESSAGES: Counter "strandline_door_messages"
        "messages that came in, counted once per partition that records them";
    DOOR_BYTES: Counter "strandline_door_bytes"
        "bytes of these messages as records";
    REFUSALS: Counter "strandline_refused_messages"
        "messages that were not recorded, by reason";
    PUBLISHER_WAIT: Histogram "strandline_publisher_wait_seconds"
        "time for which publishers were held back because a partition's inbox was full";

    INBOX_BYTES: Gauge "strandline_inbox_bytes"
        "bytes that wait in the inboxes of all partitions";
    INBOX_MAX: Gauge "strandline_inbox_largest_bytes"
        "bytes that wait in the fullest inbox";
    INBOX_LIMIT: Gauge "strandline_inbox_limit_bytes"
        "bytes that one inbox takes before publishers wait";
    INBOXES_LIMIT: Gauge "strandline_inboxes_limit_bytes"
        "bytes that all inboxes together take before publishers wait";
    INBOX_TIME: Histogram "strandline_inbox_seconds"
        "per turn of a partition, time from its oldest message at the door to the appender";
    UNSYNCED: Gauge "strandline_unsynced_bytes"
        "bytes that are appended and wait for a sync and their answers";
    UNSYNCED_LIMIT: Gauge "strandline_unsynced_limit_bytes"
        "bytes at which nothing more is appended until some of it is synced";
    REJECTED: Gauge "strandline_rejected_bytes"
        "bytes of rejected messages that wait for the appender to tell their publishers";
    REJECTED_LIMIT: Gauge "strandline_rejected_limit_bytes"
        "bytes at which rejected messages are dropped without an answer";
    SPARE: Gauge "strandline_spare_buffer_bytes"
        "bytes of buffers for records that wait to be used again";
    SPARE_LIMIT: Gauge "strandline_spare_buffer_limit_bytes"
        "most bytes of such buffers that are kept";
    APPENDED_RECORDS: Counter "strandline_appended_records"
        "records that logs accepted";
    APPENDED_BYTES: Counter "strandline_appended_bytes"
        "bytes of these records as stored";
    BATCH_RECORDS: Histogram "strandline_batch_records"
        "records of a batch";
    BATCH_BYTES: Histogram "strandline_batch_bytes"
        "bytes of a batch";
    APPEND_TIME: Histogram "strandline_append_seconds"
        "per turn of a partition, time to hand its batches to the operating system";
    SYNC_RECORDS: Histogram "strandline_sync_records"
        "records for which one sync was asked";
    COMMIT_TIME: Histogram "strandline_commit_seconds"
        "per turn of a partition, time from written to durable";
    ANSWER_TIME: Histogram "strandline_answer_seconds"
        "per turn of a partition, time from durable to answered";
    PUBLISH_TIME: Histogram "strandline_publish_seconds"
        "per chunk of messages, time from the first of them at the door to their answers";
    ACKS: Counter "strandline_acks"
        "acks that told a publisher an offset";

    FILE_SYNC: Histogram "strandline_file_sync_seconds"
        "time of syncs of files (fdatasync)";
    FILE_WRITTEN: Counter "strandline_file_written_bytes"
        "bytes written to files";
    FILE_READ: Counter "strandline_file_read_bytes"
        "bytes read from files";
    FILE_ERRORS: Counter "strandline_file_errors"
        "operations that the operating system failed";
    FILE_CUTS: Counter "strandline_file_cuts"
        "files that were shortened: torn ends at start, appends that a full disk cut short";
    FILE_CUT_BYTES: Counter "strandline_file_cut_bytes"
        "bytes that were cut off files";
    FILES_OPEN: Gauge "strandline_files_open"
        "open files";
    SEGMENT_FILES_LIMIT: Gauge "strandline_segment_files_limit"
        "segment files that are kept open while they are not in use";

    STREAMS: Gauge "strandline_streams"
        "streams that are served";
    PARTITIONS_LED: Gauge "strandline_partitions_led"
        "partitions that take messages and readers";
    PARTITIONS_OUT: Gauge "strandline_partitions_out_of_service"
        "partitions that could not be opened";
    PARTITIONS_FAILED: Gauge "strandline_partitions_failed"
        "partitions that take no more writes since their log failed";
    STORED_SEGMENTS: Gauge "strandline_stored_segments"
        "segments of all partitions, at most ten seconds old";
    STORED_RECORDS: Gauge "strandline_stored_records"
        "records in them";
    STORED_BYTES: Gauge "strandline_stored_bytes"
        "bytes of batches in them";
    REMOVED_SEGMENTS: Counter "strandline_retention_removed_segments"
        "segments that retention removed";
    REMOVED_RECORDS: Counter "strandline_retention_removed_records"
        "records that retention removed";
    CLOCK_DISTRUSTED: Gauge "strandline_clock_distrusted_seconds"
        "seconds by which the wall clock is ahead of the time by which ages are judged";

    COMPACTION_RUNS: Counter "strandline_compaction_runs"
        "compactions of a partition that were done";
    COMPACTION_FAILURES: Counter "strandline_compaction_failures"
        "compactions of a partition that ended early";
    COMPACTION_RUNNING: Gauge "strandline_compaction_running"
        "compactions that are under way";
    COMPACTION_TIME: Counter "strandline_compaction_seconds"
        "time that compactions took";
    COMPACTION_SEGMENTS: Counter "strandline_compaction_segments"
        "segments that compaction wrote anew";
    COMPACTION_IN: Counter "strandline_compaction_in_bytes"
        "bytes of batches in them before";
    COMPACTION_OUT: Counter "strandline_compaction_out_bytes"
        "bytes of batches in what took their place";
    COMPACTION_DROPPED: Counter "strandline_compaction_dropped_records"
        "records that compaction dropped";
    COMPACTION_DIRTY: Gauge "strandline_compaction_dirty_bytes"
        "bytes of batches that may be compacted and are not yet, as of each partition's last turn";

    SCRUB_PASSES: Counter "strandline_scrub_passes"
        "times that the scrubber has read all sealed segments";
    SCRUB_SEGMENTS: Counter "strandline_scrub_segments"
        "sealed segments that the scrubber has read";
    SCRUB_BYTES: Counter "strandline_scrub_read_bytes"
        "bytes of batches that the scrubber has read";
    SCRUB_DAMAGED: Gauge "strandline_scrub_damaged_segments"
        "sealed segments that were damaged when the scrubber read them last";

    ARCHIVE_SEGMENTS: Counter "strandline_archive_segments"
        "segments that were uploaded and are in the manifest";
    ARCHIVE_BYTES: Counter "strandline_archive_bytes"
        "bytes of batches in them";
    ARCHIVE_FAILURES: Counter "strandline_archive_failures"
        "attempts to archive that failed; each is made again, unless the partition is fenced";
    ARCHIVE_COMPACTION_RUNS: Counter "strandline_archive_compaction_runs"
        "compactions by key of what is in the archive";
    ARCHIVE_COMPACTION_FAILURES: Counter "strandline_archive_compaction_failures"
        "such compactions that ended early; each is begun again";
    ARCHIVE_COMPACTION_SEGMENTS: Counter "strandline_archive_compaction_segments"
        "archived segments that such compactions have written anew or merged";
    ARCHIVE_COMPACTION_BYTES_IN: Counter "strandline_archive_compaction_in_bytes"
        "bytes of their batches before";
    ARCHIVE_COMPACTION_BYTES_OUT: Counter "strandline_archive_compaction_out_bytes"
        "bytes of their batches after";
    ARCHIVE_COMPACTION_DROPPED: Counter "strandline_archive_compaction_dropped_records"
        "records that such compactions have taken out of the archive";
    ARCHIVE_PARTITIONS: Gauge "strandline_archive_partitions"
        "partitions that are archived or were, by state";
    ARCHIVE_LAG_RECORDS: Gauge "strandline_archive_lag_records"
        "records that are committed and not archived, of all partitions, as of each partition's last turn";
    ARCHIVE_LAG_BYTES: Gauge "strandline_archive_lag_bytes"
        "bytes of these records as stored";
    ARCHIVE_LAG_TIME: Gauge "strandline_archive_lag_seconds"
        "age of the oldest of them";
    ARCHIVE_REQUESTS: Counter "strandline_archive_requests"
        "requests of any kind that the object store got, failed ones included";
    ARCHIVE_READ_REQUESTS: Counter "strandline_archive_read_requests"
        "requests for parts of archived segments";
    ARCHIVE_READ_BYTES: Counter "strandline_archive_read_bytes"
        "bytes that these requests gave";
    ARCHIVE_READS: Counter "strandline_archive_reads"
        "reads of parts of archived segments, by where they were found";
    ARCHIVE_READ_FAILURES: Counter "strandline_archive_read_failures"
        "fetches that readers waited for in vain, by cause";
    ARCHIVE_CACHE_BYTES: Gauge "strandline_archive_cache_bytes"
        "bytes of archived segments that are kept, by where";

    READ_RECORDS: Counter "strandline_read_records"
        "records read for subscribers";
    READ_BYTES: Counter "strandline_read_bytes"
        "bytes of batches read for subscribers";
    CACHE_BYTES: Gauge "strandline_tail_cache_bytes"
        "bytes of the newest records in memory, of all partitions";
    CACHE_LIMIT: Gauge "strandline_tail_cache_limit_bytes"
        "bytes of its newest records that one partition keeps in memory";
    CACHES_LIMIT: Gauge "strandline_tail_caches_limit_bytes"
        "bytes of their newest records that all partitions together keep in memory";
    CACHE_HITS: Counter "strandline_tail_cache_hits"
        "reads for subscribers that memory answered";
    CACHE_MISSES: Counter "strandline_tail_cache_misses"
        "reads for subscribers that went to a segment";
    SUBSCRIPTIONS: Gauge "strandline_subscriptions"
        "gRPC subscriptions that are open";
    SUBSCRIBED: Counter "strandline_subscribed"
        "gRPC subscriptions that were ever opened";

    GRPC_CONNECTIONS: Gauge "strandline_grpc_connections"
        "connections to the gRPC API";
    GRPC_REQUESTS: Counter "strandline_grpc_requests"
        "calls, by method";
    GRPC_FAILURES: Counter "strandline_grpc_failures"
        "calls that were answered by an error alone, by code";
    GRPC_SESSIONS: Gauge "strandline_grpc_sessions"
        "PublishAsync calls that are open";
    GRPC_UNANSWERED: Gauge "strandline_grpc_unanswered_messages"
        "messages of PublishAsync calls on their way to an answer";
    GRPC_QUEUE: Gauge "strandline_grpc_queue_bytes"
        "bytes that wait for gRPC clients: answers to publishers, messages for subscribers";
    GRPC_QUEUE_LIMIT: Gauge "strandline_grpc_queue_limit_bytes"
        "bytes per call at which the broker waits for the client";
    GRPC_QUEUE_WAITS: Counter "strandline_grpc_queue_waits"
        "times that the broker waited for a client to read";

    NATS_CONNECTIONS: Gauge "strandline_nats_connections"
        "clients of the embedded NATS server";
    NATS_CONNECTIONS_LIMIT: Gauge "strandline_nats_connections_limit"
        "most clients of the embedded NATS server; left out without a limit";
    NATS_CONNECTED: Counter "strandline_nats_accepted"
        "clients that ever connected to the embedded NATS server";
    NATS_TURNED_AWAY: Counter "strandline_nats_turned_away"
        "clients turned away because of the limit";
    NATS_REFUSED: Counter "strandline_nats_refused_credentials"
        "clients whose credentials were refused";
    NATS_SUBSCRIPTIONS: Gauge "strandline_nats_subscriptions"
        "subscriptions of the embedded NATS server, those of the streams included";
    NATS_MESSAGES: Counter "strandline_nats_messages"
        "messages of the embedded NATS server: in from clients, out to clients and streams";
    NATS_BYTES: Counter "strandline_nats_bytes"
        "bytes of headers and payloads of these messages";
    NATS_SLOW: Counter "strandline_nats_slow_consumers"
        "NATS clients cut off because they read too slowly";
    NATS_PENDING: Gauge "strandline_nats_pending_bytes"
        "bytes that wait for NATS clients";
    NATS_PENDING_MAX: Gauge "strandline_nats_largest_pending_bytes"
        "bytes that wait for the slowest NATS client";
    NATS_PENDING_LIMIT: Gauge "strandline_nats_pending_limit_bytes"
        "bytes at which a NATS client is cut off";
    NATS_UNFINISHED: Gauge "strandline_nats_unfinished_bytes"
        "bytes set aside for messages of NATS clients whose end has not arrived";
    NATS_UNFINISHED_LIMIT: Gauge "strandline_nats_unfinished_limit_bytes"
        "most bytes set aside for them; clients wait then";

    EXTERNAL_UP: Gauge "strandline_nats_external_connected"
        "1 while the external NATS is connected";
    EXTERNAL_LOST: Counter "strandline_nats_external_connections_lost"
        "connections to the external NATS that were lost; each is a gap in what plain publishers could have recorded";
    EXTERNAL_SLOW: Counter "strandline_nats_external_slow_consumers"
        "times that a partition did not keep up with the external NATS and messages were dropped";
    EXTERNAL_ACKS: Gauge "strandline_nats_external_acks_waiting"
        "acks that wait for the external NATS";
    EXTERNAL_ACKS_LIMIT: Gauge "strandline_nats_external_acks_waiting_limit"
        "most of them; more are dropped";
    EXTERNAL_ACKS_DROPPED: Counter "strandline_nats_external_acks_dropped"
        "acks that the external NATS did not take fast enough";

    METADATA_LEADER: Gauge "strandline_metadata_leader_known"
        "1 while somebody is known to lead the metadata";
    METADATA_REVISION: Gauge "strandline_metadata_revision"
        "index in the metadata log of the last change that is in force";
    METADATA_WAITING: Gauge "strandline_metadata_waiting_changes"
        "changes of streams that wait for the metadata log";
    METADATA_WAITING_LIMIT: Gauge "strandline_metadata_waiting_changes_limit"
        "most of them; more calls wait";
    METADATA_STREAMS: Gauge "strandline_metadata_streams"
        "streams that the metadata knows";
    METADATA_PARTITIONS: Gauge "strandline_metadata_partitions"
        "partitions that the metadata knows";

    HTTP_CONNECTIONS: Gauge "strandline_http_connections"
        "connections to the HTTP port";
    HTTP_CONNECTIONS_LIMIT: Gauge "strandline_http_connections_limit"
        "most of them";
    HTTP_TURNED_AWAY: Counter "strandline_http_turned_away"
        "connections to the HTTP port that were over the limit";

    PROCESS_CPU: Counter "process_cpu_seconds"
        "user and system time of the process";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes"
        "memory that the process has in use";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes"
        "addresses that the process has reserved";
    PROCESS_THREADS: Gauge "process_threads"
        "threads of the process";
    PROCESS_FDS: Gauge "process_open_fds"
        "open files and sockets of the process";
    PROCESS_MAX_FDS: Gauge "process_max_fds"
        "most open files and sockets; left out without a limit";

    PLUGIN_UP: Gauge "strandline_plugin_up"
        "1 when the attachment works";
    PLUGIN_BREAKER: Gauge "strandline_plugin_breaker_open"
        "1 while the attachment fails every record at once because its plugin keeps failing";
    PLUGIN_MEMORY: Gauge "strandline_plugin_memory_bytes"
        "memory of the plugin's instances for the attachment";
    PLUGIN_RECORDS: Counter "strandline_plugin_records"
        "records that the attachment's active version was asked about since it was loaded, by verdict";
    PLUGIN_FAILURES: Counter "strandline_plugin_failed_calls"
        "calls of the attachment's active version that failed since it was loaded, by cause";
    PLUGIN_TIME: Histogram "strandline_plugin_batch_seconds"
        "time that the attachment's active version took for a batch since it was loaded";

    PARTITION_START: Gauge "strandline_partition_start_offset"
        "first offset that can be read; only with metrics.per.partition";
    PARTITION_COMMITTED: Gauge "strandline_partition_committed_offset"
        "first offset that is not committed; only with metrics.per.partition";
    PARTITION_END: Gauge "strandline_partition_end_offset"
        "first offset that no record has; only with metrics.per.partition";
    PARTITION_INBOX: Gauge "strandline_partition_inbox_bytes"
        "bytes that wait in the partition's inbox; only with metrics.per.partition";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_prometheus_and_stand_once() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{}", metric.name);
            let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.chars().all(allowed), "{}", metric.name);
            assert!(metric.name.starts_with("strandline_") || metric.name.starts_with("process_"));
            // Endings that the formats give a meaning of their own.
            for ending in ["_total", "_bucket", "_count", "_sum", "_created"] {
                assert!(!metric.name.ends_with(ending), "{}", metric.name);
            }
            assert!(
                !metric.help.is_empty() && !metric.help.ends_with('.'),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn the_operations_page_explains_exactly_these() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter(|line| line.starts_with('|'));
        let quoted = rows.flat_map(|line| line.split('`').skip(1).step_by(2));
        let named = |word: &&str| word.starts_with("strandline_") || word.starts_with("process_");
        let explained: BTreeSet<String> = quoted
            .filter(named)
            .map(|word| word.split('{').next().unwrap_or(word).to_owned())
            .collect();
        let all: BTreeSet<String> = ALL.iter().map(Metric::sample_name).collect();
        let missing: Vec<_> = all.difference(&explained).collect();
        let unknown: Vec<_> = explained.difference(&all).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "missing: {missing:?}, unknown: {unknown:?}"
        );
    }
}
