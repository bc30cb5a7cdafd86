//! What attachments have said and done.

use std::time::Duration;

use strandline_proto::admin;

use super::Attachment;

/// Lines of an attachment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLog {
    /// Oldest first.
    pub lines: Vec<PluginLogLine>,
    /// Lines behind the place that was asked for that are gone already.
    pub gone: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLogLine {
    /// Counts the lines of the attachment from 1.
    pub number: u64,
    /// When it was said: nanoseconds since the Unix epoch.
    pub time: i64,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// `plugin`, `stdout`, `stderr` or `host`.
    pub source: String,
    /// What was said.
    pub text: String,
    /// Lines before this one that were left out because there were too many.
    pub left_out: u64,
}

/// What an attachment has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentStats {
    /// The attachment.
    pub attachment: Attachment,
    /// Its active version; none while it does not work.
    pub active: Option<PluginNumbers>,
    /// What is being tried.
    pub canary: Option<PluginNumbers>,
    /// Records that a shadow has judged as the active version did.
    pub shadow_same: u64,
    /// Records that a shadow has judged otherwise.
    pub shadow_different: u64,
}

/// What a version has done since it was loaded with its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginNumbers {
    /// Records that it was asked about.
    pub records: u64,
    /// Records that it let pass.
    pub passed: u64,
    /// Records that it dropped.
    pub dropped: u64,
    /// Records that it sent to the dead letters.
    pub dead_lettered: u64,
    /// Records that a key extractor found a key in.
    pub keyed: u64,
    /// Records that a key extractor found none in.
    pub keyless: u64,
    /// Records that the error policy was applied to.
    pub failed: u64,
    /// Batches.
    pub batches: u64,
    /// Calls for them.
    pub calls: u64,
    /// Calls that trapped.
    pub traps: u64,
    /// Calls that took too long.
    pub deadlines: u64,
    /// Calls that wanted too much memory.
    pub memory_failures: u64,
    /// Calls whose answer made no sense.
    pub malformed: u64,
    /// Instances that could not be made.
    pub failed_starts: u64,
    /// Batches that met an open breaker.
    pub refused_batches: u64,
    /// How often the breaker has opened.
    pub breaker_openings: u64,
    /// Time of all batches together.
    pub time: Duration,
    /// Batches by the time they took: longest time of a bucket, none = any longer; and how many.
    pub times: Vec<(Option<Duration>, u64)>,
    /// Instances that are there.
    pub instances: u32,
    /// Memory of those, in bytes.
    pub memory_bytes: u64,
    /// `closed`, `open` or `half-open`.
    pub breaker: String,
}

impl From<admin::ReadPluginLogResponse> for PluginLog {
    fn from(log: admin::ReadPluginLogResponse) -> Self {
        let line = |line: admin::PluginLogLine| PluginLogLine {
            number: line.number,
            time: line.time,
            level: line.level,
            source: line.source,
            text: line.text,
            left_out: line.left_out,
        };
        Self {
            lines: log.lines.into_iter().map(line).collect(),
            gone: log.gone,
        }
    }
}

impl From<admin::AttachmentStats> for AttachmentStats {
    fn from(stats: admin::AttachmentStats) -> Self {
        Self {
            attachment: stats.attachment.unwrap_or_default().into(),
            active: stats.active.map(Into::into),
            canary: stats.canary.map(Into::into),
            shadow_same: stats.shadow_same,
            shadow_different: stats.shadow_different,
        }
    }
}

impl From<admin::PluginNumbers> for PluginNumbers {
    fn from(numbers: admin::PluginNumbers) -> Self {
        let bucket = |bucket: admin::PluginTimeBucket| {
            let upto = Some(bucket.upto).filter(|&nanos| nanos > 0);
            (upto.map(Duration::from_nanos), bucket.batches)
        };
        Self {
            records: numbers.records,
            passed: numbers.passed,
            dropped: numbers.dropped,
            dead_lettered: numbers.dead_lettered,
            keyed: numbers.keyed,
            keyless: numbers.keyless,
            failed: numbers.failed,
            batches: numbers.batches,
            calls: numbers.calls,
            traps: numbers.traps,
            deadlines: numbers.deadlines,
            memory_failures: numbers.memory_failures,
            malformed: numbers.malformed,
            failed_starts: numbers.failed_starts,
            refused_batches: numbers.refused_batches,
            breaker_openings: numbers.breaker_openings,
            time: Duration::from_nanos(numbers.time),
            times: numbers.times.into_iter().map(bucket).collect(),
            instances: numbers.instances,
            memory_bytes: numbers.memory_bytes,
            breaker: numbers.breaker,
        }
    }
}
