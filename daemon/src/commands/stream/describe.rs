//! Streams as text and as JSON.

use std::collections::BTreeMap;

use serde_json::json;
use strandline_client::admin::StreamDescription;
use strandline_client::{PartitionInfo, StreamInfo};

use super::stored::{settings_json, stored_json};
use crate::time;

/// Streams by name.
pub(super) type Streams = BTreeMap<String, StreamInfo>;

/// One line a stream, in columns.
pub(super) fn table(streams: &Streams) -> String {
    if streams.is_empty() {
        return "there are no streams; create one with `strandline stream create NAME --subject SUBJECT`\n"
            .to_owned();
    }
    let rows = streams.iter().map(|(name, stream)| {
        let ends = stream.partitions.values().map(|partition| partition.end);
        [
            name.clone(),
            stream.subject.clone(),
            stream.partitions.len().to_string(),
            ends.fold(0, u64::saturating_add).to_string(),
        ]
    });
    let header = ["NAME", "SUBJECT", "PARTITIONS", "END"].map(str::to_owned);
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

/// A stream with a line for each partition.
pub(super) fn details(name: &str, stream: &StreamInfo) -> String {
    let header = [
        "PARTITION",
        "LEADER",
        "NEWEST OFFSET",
        "HIGH WATERMARK",
        "LAST MESSAGE",
    ]
    .map(str::to_owned);
    let rows = stream.partitions.iter().map(|(number, partition)| {
        [
            number.to_string(),
            partition.leader.clone(),
            last(partition.end).map_or("none".to_owned(), |offset| offset.to_string()),
            last(partition.committed_end).map_or("none".to_owned(), |offset| offset.to_string()),
            partition.last_received.map_or("never".to_owned(), time::show),
        ]
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let backend = stream
        .backend
        .as_ref()
        .map_or(String::new(), |backend| format!("backend  {backend}\n"));
    format!(
        "stream   {name}\nsubject  {}\n{backend}created  {}\n\n{rows}",
        stream.subject,
        time::show(stream.created)
    )
}

/// One JSON object a stream and line.
pub(super) fn json_lines(streams: &Streams) -> String {
    let line = |(name, stream): (&String, &StreamInfo)| json_object(name, stream, None);
    streams.iter().map(line).collect()
}

/// One JSON object on a line, with what is stored if that is known.
pub(super) fn json_object(name: &str, stream: &StreamInfo, stored: Option<&StreamDescription>) -> String {
    let partitions = stream.partitions.iter().map(|(number, partition)| {
        let stored = stored.and_then(|stored| {
            stored
                .partitions
                .iter()
                .find(|stored| stored.partition == *number)
        });
        let mut object = partition_json((number, partition));
        if let (Some(object), Some(stored)) = (object.as_object_mut(), stored) {
            object.extend(stored_json(stored));
        }
        object
    });
    let mut object = json!({
        "name": name,
        "subject": stream.subject,
        "created": stream.created,
        "backend": stream.backend,
        "partitions": partitions.collect::<Vec<_>>(),
    });
    if let (Some(object), Some(stored)) = (object.as_object_mut(), stored) {
        object.insert("settings".to_owned(), settings_json(&stored.settings));
    }
    format!("{object}\n")
}

/// Offsets are those of the last record, -1 if there is none, as Liftbridge's tools say them.
fn partition_json((number, partition): (&u32, &PartitionInfo)) -> serde_json::Value {
    let offset = |end| last(end).map_or(json!(-1), |offset| json!(offset));
    json!({
        "id": number,
        "leader": partition.leader,
        "replicas": partition.replicas,
        "isr": partition.isr,
        "newest_offset": offset(partition.end),
        "high_watermark": offset(partition.committed_end),
    })
}

/// The last offset before an end.
fn last(end: u64) -> Option<u64> {
    end.checked_sub(1)
}

/// Rows in columns as wide as their widest cells.
pub(in crate::commands) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Streams {
        let partition = |end| PartitionInfo {
            leader: "b".to_owned(),
            replicas: Vec::new(),
            isr: Vec::new(),
            committed_end: end,
            end,
            last_received: None,
        };
        let stream = StreamInfo {
            subject: "orders.*".to_owned(),
            created: 0,
            backend: Some("redb".to_owned()),
            partitions: [(1, partition(0)), (0, partition(42))].into(),
        };
        [("orders".to_owned(), stream)].into()
    }

    #[test]
    fn streams_are_listed_in_columns() {
        assert_eq!(
            table(&streams()),
            "NAME    SUBJECT   PARTITIONS  END\norders  orders.*  2           42\n"
        );
        assert!(table(&Streams::new()).contains("stream create"));
    }

    #[test]
    fn partitions_are_described_in_order() {
        let text = details("orders", &streams()["orders"]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], "backend  redb");
        assert!(lines[6].starts_with("0          b       41"), "{text}");
        assert!(lines[7].contains("none") && lines[6].ends_with("never"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let mut streams = streams();
        streams.insert("more".to_owned(), streams["orders"].clone());
        let text = json_lines(&streams);
        for line in text.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["partitions"][0]["newest_offset"], 41);
            assert_eq!(object["partitions"][1]["newest_offset"], -1);
        }
        assert_eq!(text.lines().count(), 2);
    }
}
