//! `strandline plugin stats`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use strandline_client::admin::{Admin, AttachmentStats, PluginNumbers};

use super::super::connection::refused;
use super::super::stream::columns;
use super::show::attachment_json;
use crate::config::show_duration;
use crate::exit::Failure;

/// Whose numbers to show. They count from when the broker loaded the version with its settings.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// Number of an attachment [default: all]
    attachment: Option<u64>,
    /// Those of one stream
    #[arg(long, value_name = "NAME", conflicts_with = "attachment")]
    stream: Option<String>,
    /// One JSON object a line, with the times of batches
    #[arg(long)]
    json: bool,
}

/// Shows what attachments have done.
pub(super) async fn run(args: &StatsArgs, admin: &Admin) -> Result<String, Failure> {
    let stats = admin
        .attachment_stats(args.attachment, args.stream.as_deref())
        .await;
    let stats = stats.map_err(|error| refused("show what attachments have done", &error))?;
    Ok(if args.json {
        stats.iter().map(|one| format!("{}\n", stats_json(one))).collect()
    } else {
        table(&stats)
    })
}

fn table(stats: &[AttachmentStats]) -> String {
    if stats.is_empty() {
        return "nothing is attached; `strandline plugin attach STREAM PLUGIN` does it\n".to_owned();
    }
    let header = [
        "ATTACHMENT",
        "STREAM",
        "PLUGIN",
        "RECORDS",
        "PASSED",
        "DROPPED",
        "DEAD LETTERS",
        "FAILED",
        "BATCH P50",
        "BATCH P99",
        "MEMORY",
        "BREAKER",
    ]
    .map(str::to_owned);
    let rows = stats.iter().flat_map(|one| {
        let canary = one.canary.as_ref().map(|numbers| row(one, Some(numbers), true));
        std::iter::once(row(one, one.active.as_ref(), false)).chain(canary)
    });
    let mut text = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    for one in stats {
        if !one.attachment.problem.is_empty() {
            text.push_str(&format!(
                "attachment {}: {}\n",
                one.attachment.id, one.attachment.problem
            ));
        }
        if one.shadow_same + one.shadow_different > 0 {
            let (same, different) = (one.shadow_same, one.shadow_different);
            text.push_str(&format!(
                "attachment {}: its shadow judged {same} records the same and {different} otherwise\n",
                one.attachment.id
            ));
        }
    }
    text
}

fn row(stats: &AttachmentStats, numbers: Option<&PluginNumbers>, is_canary: bool) -> [String; 12] {
    let attachment = &stats.attachment;
    let candidate = attachment
        .canary
        .as_ref()
        .map(|canary| &canary.candidate)
        .filter(|_| is_canary);
    let version = candidate
        .unwrap_or(&attachment.active)
        .version
        .unwrap_or_default();
    let what = if is_canary { " (canary)" } else { "" };
    let number =
        |of: fn(&PluginNumbers) -> u64| numbers.map_or("-".to_owned(), |numbers| of(numbers).to_string());
    [
        attachment.id.to_string(),
        attachment.stream.clone(),
        format!("{}@{version}{what}", attachment.plugin),
        number(|numbers| numbers.records),
        number(|numbers| numbers.passed + numbers.keyed + numbers.keyless),
        number(|numbers| numbers.dropped),
        number(|numbers| numbers.dead_lettered),
        number(|numbers| numbers.failed),
        numbers.map_or("-".to_owned(), |numbers| percentile(numbers, 50)),
        numbers.map_or("-".to_owned(), |numbers| percentile(numbers, 99)),
        number(|numbers| numbers.memory_bytes),
        numbers.map_or("does not work".to_owned(), |numbers| numbers.breaker.clone()),
    ]
}

/// The end of the bucket that so many percent of the batches do not exceed.
fn percentile(numbers: &PluginNumbers, percent: u64) -> String {
    let total: u64 = numbers.times.iter().map(|(_, batches)| batches).sum();
    let wanted = (total * percent).div_ceil(100);
    let mut seen = 0;
    for (upto, batches) in &numbers.times {
        seen += batches;
        if total > 0 && seen >= wanted {
            return upto.map_or("longer".to_owned(), |upto| format!("<= {}", show_duration(upto)));
        }
    }
    "-".to_owned()
}

fn stats_json(stats: &AttachmentStats) -> Value {
    json!({
        "attachment": attachment_json(&stats.attachment),
        "active": stats.active.as_ref().map(numbers_json),
        "canary": stats.canary.as_ref().map(numbers_json),
        "shadow_same": stats.shadow_same,
        "shadow_different": stats.shadow_different,
    })
}

fn numbers_json(numbers: &PluginNumbers) -> Value {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let times = numbers.times.iter();
    let times = times.map(|(upto, batches)| json!({"upto_nanos": upto.map(nanos), "batches": batches}));
    json!({
        "records": numbers.records,
        "passed": numbers.passed,
        "dropped": numbers.dropped,
        "dead_lettered": numbers.dead_lettered,
        "keyed": numbers.keyed,
        "keyless": numbers.keyless,
        "failed": numbers.failed,
        "batches": numbers.batches,
        "calls": numbers.calls,
        "traps": numbers.traps,
        "deadlines": numbers.deadlines,
        "memory_failures": numbers.memory_failures,
        "malformed": numbers.malformed,
        "failed_starts": numbers.failed_starts,
        "refused_batches": numbers.refused_batches,
        "breaker_openings": numbers.breaker_openings,
        "nanos": nanos(numbers.time),
        "times": times.collect::<Vec<_>>(),
        "instances": numbers.instances,
        "memory_bytes": numbers.memory_bytes,
        "breaker": numbers.breaker,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_ends_of_their_buckets() {
        let bucket = |micros, batches| (Some(Duration::from_micros(micros)), batches);
        let numbers = PluginNumbers {
            times: vec![bucket(10, 0), bucket(100, 98), bucket(1000, 1), (None, 1)],
            ..PluginNumbers::default()
        };
        assert_eq!(percentile(&numbers, 50), "<= 100us");
        assert_eq!(percentile(&numbers, 99), "<= 1ms");
        assert_eq!(percentile(&numbers, 100), "longer");
        assert_eq!(percentile(&PluginNumbers::default(), 50), "-");
    }
}
