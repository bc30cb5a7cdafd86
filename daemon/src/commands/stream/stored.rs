//! What only the administration tells of a stream: settings in force, sizes and segments.

use serde_json::{Map, Value, json};
use strandline_client::admin::{
    PartitionDescription, PartitionState, SegmentDescription, Setting, SettingSource, SettingValue,
    StreamDescription,
};

use super::describe::columns;
use crate::config::show_duration;
use crate::time;

/// What is in force and stored: settings, sizes and, if they are there, segments.
pub(super) fn text(stream: &StreamDescription) -> String {
    let header = [
        "PARTITION",
        "STATE",
        "START",
        "END",
        "RECORDS",
        "BYTES",
        "SEGMENTS",
    ]
    .map(str::to_owned);
    let rows = stream.partitions.iter().map(|partition| {
        [
            partition.partition.to_string(),
            state(partition),
            partition.start.to_string(),
            partition.end.to_string(),
            partition.records.to_string(),
            partition.bytes.to_string(),
            partition.segment_count.to_string(),
        ]
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let mut text = format!("\n{rows}\n{}", settings_table(&stream.settings));
    if stream
        .partitions
        .iter()
        .any(|partition| !partition.segments.is_empty())
    {
        text.push('\n');
        text.push_str(&segments_table(stream));
    }
    text
}

fn state(partition: &PartitionDescription) -> String {
    let word = match partition.state {
        PartitionState::Serving => return "serving".to_owned(),
        PartitionState::Failed => "failed",
        PartitionState::OutOfService => "out of service",
        _ => "unknown",
    };
    format!("{word}: {}", partition.reason)
}

fn segments_table(stream: &StreamDescription) -> String {
    let header = [
        "PARTITION",
        "SEGMENT",
        "END",
        "RECORDS",
        "BYTES",
        "SEALED",
        "FIRST RECORD",
        "LAST RECORD",
    ]
    .map(str::to_owned);
    let row = |partition: &PartitionDescription, segment: &SegmentDescription| {
        let time = |time: Option<i64>| time.map_or("none".to_owned(), time::show);
        [
            partition.partition.to_string(),
            segment.start.to_string(),
            segment.end.to_string(),
            segment.records.to_string(),
            segment.bytes.to_string(),
            if segment.sealed { "yes" } else { "no" }.to_owned(),
            time(segment.first_time),
            time(segment.last_time),
        ]
    };
    let rows = stream.partitions.iter().flat_map(|partition| {
        partition
            .segments
            .iter()
            .map(move |segment| row(partition, segment))
    });
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

/// One line a setting, with where it comes from.
pub(super) fn settings_table(settings: &[Setting]) -> String {
    let header = ["SETTING", "VALUE", "FROM"].map(str::to_owned);
    let rows = settings.iter().map(|setting| {
        [
            setting.name.clone(),
            setting.value.as_ref().map_or("unknown".to_owned(), value),
            source(setting).to_owned(),
        ]
    });
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

fn value(value: &SettingValue) -> String {
    match value {
        SettingValue::Number(number) => number.to_string(),
        SettingValue::Time(time) => show_duration(*time),
        SettingValue::Flag(on) => on.to_string(),
        SettingValue::Word(word) => word.clone(),
        _ => "unknown".to_owned(),
    }
}

fn source(setting: &Setting) -> &'static str {
    match setting.source {
        SettingSource::Server => "broker",
        SettingSource::Stream => "stream",
    }
}

/// An object with a member a setting. Time spans are in milliseconds.
pub(super) fn settings_json(settings: &[Setting]) -> Value {
    let member = |setting: &Setting| {
        let value = match &setting.value {
            Some(SettingValue::Number(number)) => json!(number),
            Some(SettingValue::Time(time)) => json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Some(SettingValue::Flag(on)) => json!(on),
            Some(SettingValue::Word(word)) => json!(word),
            _ => Value::Null,
        };
        (
            setting.name.clone(),
            json!({ "value": value, "from": source(setting) }),
        )
    };
    Value::Object(settings.iter().map(member).collect::<Map<_, _>>())
}

/// Ends are exclusive here.
pub(super) fn stored_json(partition: &PartitionDescription) -> Map<String, Value> {
    let segment = |segment: &SegmentDescription| {
        json!({
            "start": segment.start,
            "end": segment.end,
            "records": segment.records,
            "bytes": segment.bytes,
            "sealed": segment.sealed,
            "first_time": segment.first_time,
            "last_time": segment.last_time,
        })
    };
    let state = match partition.state {
        PartitionState::Serving => "serving",
        PartitionState::Failed => "failed",
        _ => "out_of_service",
    };
    let mut object = Map::new();
    object.insert("state".to_owned(), json!(state));
    if !partition.reason.is_empty() {
        object.insert("reason".to_owned(), json!(partition.reason));
    }
    for (name, number) in [
        ("start", partition.start),
        ("end", partition.end),
        ("records", partition.records),
        ("bytes", partition.bytes),
        ("segment_count", u64::from(partition.segment_count)),
    ] {
        object.insert(name.to_owned(), json!(number));
    }
    if !partition.segments.is_empty() {
        let segments: Vec<_> = partition.segments.iter().map(segment).collect();
        object.insert("segments".to_owned(), json!(segments));
    }
    object
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stream() -> StreamDescription {
        let segment = |start: u64, sealed: bool| SegmentDescription {
            start,
            end: start + 2,
            records: 2,
            bytes: 100,
            first_time: sealed.then_some(0),
            last_time: None,
            sealed,
        };
        let partition = PartitionDescription {
            partition: 0,
            state: PartitionState::Failed,
            reason: "no space".to_owned(),
            leader: "b".to_owned(),
            leader_epoch: 1,
            start: 0,
            end: 4,
            committed_end: 4,
            records: 4,
            bytes: 200,
            segment_count: 2,
            segments: vec![segment(0, true), segment(2, false)],
        };
        let setting = |name: &str, value, source| Setting {
            name: name.to_owned(),
            value,
            source,
            changeable: true,
        };
        let day = Duration::from_secs(24 * 3600);
        StreamDescription {
            name: "s".to_owned(),
            subject: "s".to_owned(),
            group: String::new(),
            created: 0,
            replication_factor: 1,
            settings: vec![
                setting(
                    "retention.max.age",
                    Some(SettingValue::Time(day)),
                    SettingSource::Stream,
                ),
                setting("of.a.later.version", None, SettingSource::Server),
            ],
            partitions: vec![partition],
        }
    }

    #[test]
    fn what_is_stored_is_shown_in_tables() {
        let text = text(&stream());
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[2].starts_with("0          failed: no space  0      4    4"),
            "{text}"
        );
        assert!(text.contains("retention.max.age   24h      stream\n"), "{text}");
        assert!(text.contains("of.a.later.version  unknown  broker\n"), "{text}");
        assert!(lines[lines.len() - 1].contains("no      none"), "{text}");
        let mut few = stream();
        few.partitions[0].segments.clear();
        assert!(!super::text(&few).contains("SEALED"));
    }

    #[test]
    fn json_says_values_in_one_unit_a_kind() {
        let settings = settings_json(&stream().settings);
        assert_eq!(settings["retention.max.age"]["value"], 86_400_000);
        assert_eq!(settings["of.a.later.version"]["value"], Value::Null);
        let partition = stored_json(&stream().partitions[0]);
        assert_eq!(partition["state"], "failed");
        assert_eq!(partition["segments"][1]["last_time"], Value::Null);
    }
}
