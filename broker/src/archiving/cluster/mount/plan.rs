//! What has to be done so that the streams that are served are those of the bucket.

use std::sync::Arc;

use strandline_core::StreamName;
use strandline_core::metadata::{State, StreamEntry};
use strandline_core::record::KeyId;
use strandline_core::stream::{SettingChange, StreamSettings};

/// The differences between what is served and what the bucket was told of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// As they are here: deleted there, or created again.
    pub(super) gone: Vec<Arc<StreamEntry>>,
    /// As they are there.
    pub(super) new: Vec<Arc<StreamEntry>>,
    pub(super) changed: Vec<(StreamName, Vec<SettingChange>)>,
}

/// Compares them. What was never archived there cannot be served, and streams of a server's own are not.
pub(super) fn plan(here: &State, there: &State) -> Plan {
    let mut plan = Plan::default();
    for entry in here
        .streams()
        .filter(|entry| !entry.definition.name.is_reserved())
    {
        let same = there.stream(entry.definition.name.as_str());
        if !same.is_some_and(|same| is_same(entry, same)) {
            plan.gone.push(Arc::clone(entry));
        }
    }
    for entry in there.streams() {
        let name = &entry.definition.name;
        if name.is_reserved() || entry.archive.is_none() {
            continue;
        }
        match here.stream(name.as_str()).filter(|known| is_same(known, entry)) {
            None => plan.new.push(Arc::clone(entry)),
            Some(known) => {
                let changes = changes(&known.definition.settings, &entry.definition.settings);
                if !changes.is_empty() {
                    plan.changed.push((name.clone(), changes));
                }
            }
        }
    }
    plan
}

/// Whether a stream is that of the bucket, with the keys that were known when it was mounted.
fn is_same(here: &StreamEntry, there: &StreamEntry) -> bool {
    let root = |entry: &StreamEntry| entry.archive.as_ref().map(|place| place.root.clone());
    let ids = |entry: &StreamEntry| entry.keys.iter().map(|key| key.id).collect::<Vec<KeyId>>();
    // The last one here stands for a key that is never used.
    let (mut known, told) = (ids(here), ids(there));
    known.pop();
    root(here) == root(there) && here.partitions.len() == there.partitions.len() && known == told
}

/// What makes the first settings the second ones.
fn changes(from: &StreamSettings, to: &StreamSettings) -> Vec<SettingChange> {
    use SettingChange::*;
    let of = |settings: &StreamSettings| {
        [
            RetentionMaxBytes(settings.retention_max_bytes),
            RetentionMaxMessages(settings.retention_max_messages),
            RetentionMaxAgeMs(settings.retention_max_age_ms),
            CleanerIntervalMs(settings.cleaner_interval_ms),
            SegmentMaxBytes(settings.segment_max_bytes),
            SegmentMaxAgeMs(settings.segment_max_age_ms),
            CompactEnabled(settings.compact_enabled),
            CompactTombstoneGraceMs(settings.compact_tombstone_grace_ms),
            CompactMinLagMs(settings.compact_min_lag_ms),
            CompactMinDirtyPercent(settings.compact_min_dirty_percent),
            Durability(settings.durability),
            Compression(settings.compression),
            Archive(settings.archive),
        ]
    };
    let pairs = of(from).into_iter().zip(of(to));
    pairs.filter(|(from, to)| from != to).map(|(_, to)| to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_differs_is_changed_and_no_other() {
        let from = StreamSettings {
            retention_max_bytes: Some(1),
            archive: Some(true),
            ..StreamSettings::default()
        };
        assert_eq!(changes(&from, &from), []);
        let to = StreamSettings {
            retention_max_bytes: None,
            retention_max_age_ms: Some(5),
            ..from
        };
        let expected = [
            SettingChange::RetentionMaxBytes(None),
            SettingChange::RetentionMaxAgeMs(Some(5)),
        ];
        assert_eq!(changes(&from, &to), expected);
    }
}
