//! What the attachments of plugins have done, one after the other.

use std::sync::Arc;

use strandline_core::plugin::Attachment;
use strandline_plugins::{BreakerState, HISTOGRAM_BOUNDS, Numbers};

use super::names::*;
use super::text::{Exposition, Metric};
use super::value::Snapshot;
use crate::context::Context;

/// An attachment with the numbers of its active version, if it works.
struct Seen {
    id: String,
    entry: Arc<Attachment>,
    numbers: Option<Numbers>,
}

/// Asks every attachment.
pub(super) fn plugins(out: &mut Exposition, context: &Context) {
    let state = context.metadata.state();
    let seen: Vec<_> = state
        .plugins()
        .attachments()
        .map(|entry| Seen::of(context, entry))
        .collect();
    if seen.is_empty() {
        return;
    }
    each(out, &PLUGIN_UP, &seen, |seen| {
        Some(u64::from(seen.numbers.is_some()))
    });
    each(out, &PLUGIN_BREAKER, &seen, |seen| {
        let numbers = seen.numbers.as_ref()?;
        Some(u64::from(numbers.breaker != BreakerState::Closed))
    });
    each(out, &PLUGIN_MEMORY, &seen, |seen| {
        seen.numbers.as_ref().map(|numbers| numbers.memory_bytes)
    });
    type Read = fn(&Numbers) -> u64;
    let verdicts: [(&str, Read); 6] = [
        ("passed", |numbers| numbers.passed),
        ("dropped", |numbers| numbers.dropped),
        ("dead-lettered", |numbers| numbers.dead_lettered),
        ("keyed", |numbers| numbers.keyed),
        ("keyless", |numbers| numbers.keyless),
        ("failed", |numbers| numbers.failed),
    ];
    by(out, &PLUGIN_RECORDS, &seen, ("verdict", &verdicts));
    let causes: [(&str, Read); 5] = [
        ("trap", |numbers| numbers.traps),
        ("deadline", |numbers| numbers.deadlines),
        ("memory", |numbers| numbers.memory_failures),
        ("malformed", |numbers| numbers.malformed),
        ("start", |numbers| numbers.failed_starts),
    ];
    by(out, &PLUGIN_FAILURES, &seen, ("cause", &causes));
    out.family(&PLUGIN_TIME, |family| {
        for seen in &seen {
            if let Some(numbers) = &seen.numbers {
                family.buckets(&seen.labels(), &times(numbers));
            }
        }
    });
}

impl Seen {
    fn of(context: &Context, entry: &Arc<Attachment>) -> Self {
        let link = context.plugins.link(entry).ok();
        Self {
            id: entry.id.to_string(),
            entry: Arc::clone(entry),
            numbers: link.map(|link| link.active.numbers()),
        }
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("attachment", &self.id),
            ("stream", self.entry.stream.as_str()),
            ("plugin", self.entry.module.as_str()),
        ]
    }
}

/// The histogram of the times of batches.
fn times(numbers: &Numbers) -> Snapshot {
    let mut count = 0;
    let mut below = Vec::with_capacity(HISTOGRAM_BOUNDS.len());
    let mut batches = numbers.histogram.iter();
    for (bound, batches) in HISTOGRAM_BOUNDS.iter().zip(&mut batches) {
        count += batches;
        below.push((bound.as_secs_f64(), count));
    }
    Snapshot {
        below,
        count: count + batches.sum::<u64>(),
        sum: numbers.time.as_secs_f64(),
    }
}

fn each(out: &mut Exposition, metric: &Metric, seen: &[Seen], read: impl Fn(&Seen) -> Option<u64>) {
    out.family(metric, |family| {
        for one in seen {
            if let Some(value) = read(one) {
                family.sample(&one.labels(), value);
            }
        }
    });
}

/// The values of one more label, and how each is read.
type Values<'v> = (&'static str, &'v [(&'v str, fn(&Numbers) -> u64)]);

/// A sample for each value of one more label.
fn by(out: &mut Exposition, metric: &Metric, seen: &[Seen], (label, values): Values<'_>) {
    out.family(metric, |family| {
        let working = seen.iter().filter_map(|one| Some((one, one.numbers.as_ref()?)));
        for (one, numbers) in working {
            let [id, stream, plugin] = one.labels();
            for (name, read) in values {
                family.sample(&[id, stream, plugin, (label, name)], read(numbers));
            }
        }
    });
}
