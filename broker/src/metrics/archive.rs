//! How far streams are archived, and what reading from the archive costs.

use super::names::*;
use super::text::Exposition;
use crate::archiving::{Archives, Phase};
use crate::context::Context;

const PHASES: [(Phase, &str); 5] = [
    (Phase::Starting, "starting"),
    (Phase::Working, "working"),
    (Phase::Failing, "failing"),
    (Phase::Refused, "refused"),
    (Phase::Fenced, "fenced"),
];

/// Asks every partition that has to do with the archive, if there is one.
pub(super) fn archive(out: &mut Exposition, context: &Context) {
    let archives = &context.archives;
    if !archives.is_configured() {
        return;
    }
    out.number(&ARCHIVE_SEGMENTS, archives.numbers.segments.get());
    out.number(&ARCHIVE_BYTES, archives.numbers.bytes.get());
    out.number(&ARCHIVE_FAILURES, archives.numbers.failures.get());
    let compactions = &archives.numbers.compactions;
    out.number(&ARCHIVE_COMPACTION_RUNS, compactions.runs.get());
    out.number(&ARCHIVE_COMPACTION_FAILURES, compactions.failures.get());
    out.number(&ARCHIVE_COMPACTION_SEGMENTS, compactions.segments.get());
    out.number(&ARCHIVE_COMPACTION_BYTES_IN, compactions.bytes_in.get());
    out.number(&ARCHIVE_COMPACTION_BYTES_OUT, compactions.bytes_out.get());
    out.number(&ARCHIVE_COMPACTION_DROPPED, compactions.dropped.get());
    let now = context.clock.now();
    let (mut records, mut bytes, mut age) = (0_u64, 0_u64, std::time::Duration::ZERO);
    let mut phases = [0_u64; PHASES.len()];
    for partition in archives.of_interest() {
        let standing = partition.standing();
        records = records.saturating_add(standing.lag.records);
        bytes = bytes.saturating_add(standing.lag.bytes);
        age = age.max(standing.lag.age(now));
        for ((phase, _), count) in PHASES.iter().zip(&mut phases) {
            *count += u64::from(*phase == standing.phase);
        }
    }
    let states = PHASES.iter().zip(phases).map(|((_, name), count)| (*name, count));
    out.by(&ARCHIVE_PARTITIONS, "state", states);
    out.number(&ARCHIVE_LAG_RECORDS, records);
    out.number(&ARCHIVE_LAG_BYTES, bytes);
    out.number(&ARCHIVE_LAG_TIME, age.as_secs_f64());
    reads(out, archives);
}

fn reads(out: &mut Exposition, archives: &Archives) {
    let Some((reads, asked)) = archives.reads().zip(archives.requests()) else {
        return;
    };
    let requests = [
        ("read", asked.reads),
        ("write", asked.writes),
        ("list", asked.lists),
        ("delete", asked.deletes),
    ];
    out.by(&ARCHIVE_REQUESTS, "kind", requests);
    let counts = reads.numbers().counts();
    out.number(&ARCHIVE_READ_REQUESTS, counts.requests);
    out.number(&ARCHIVE_READ_BYTES, counts.bytes);
    let found = [
        ("memory", counts.memory_hits),
        ("disk", counts.disk_hits),
        ("archive", counts.misses),
    ];
    out.by(&ARCHIVE_READS, "from", found);
    let failures = [("unreachable", counts.failures), ("damaged", counts.damages)];
    out.by(&ARCHIVE_READ_FAILURES, "cause", failures);
    let kept = [
        ("memory", reads.memory_bytes() as u64),
        ("disk", reads.disk_bytes()),
    ];
    out.by(&ARCHIVE_CACHE_BYTES, "where", kept);
}
