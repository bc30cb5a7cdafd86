//! Streams as text and as JSON.

use serde_json::json;
use strandline_proto::api::{PartitionMetadata, StreamMetadata};

use crate::time;

/// One line a stream, in columns.
pub(super) fn table(streams: &[StreamMetadata]) -> String {
    if streams.is_empty() {
        return "there are no streams; create one with `strandline stream create NAME --subject SUBJECT`\n"
            .to_owned();
    }
    let rows = streams.iter().map(|stream| {
        let records: i64 = partitions(stream)
            .iter()
            .map(|partition| partition.newest_offset.saturating_add(1))
            .sum();
        [
            stream.name.clone(),
            stream.subject.clone(),
            stream.partitions.len().to_string(),
            records.to_string(),
        ]
    });
    let header = ["NAME", "SUBJECT", "PARTITIONS", "END"].map(str::to_owned);
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

/// A stream with a line for each partition.
pub(super) fn details(stream: &StreamMetadata) -> String {
    let header = [
        "PARTITION",
        "LEADER",
        "NEWEST OFFSET",
        "HIGH WATERMARK",
        "LAST MESSAGE",
    ]
    .map(str::to_owned);
    let rows = partitions(stream).into_iter().map(|partition| {
        let latest = partition
            .messages_received_timestamps
            .as_ref()
            .map_or(0, |times| times.latest_timestamp);
        [
            partition.id.to_string(),
            partition.leader.clone(),
            offset(partition.newest_offset),
            offset(partition.high_watermark),
            if latest == 0 {
                "never".to_owned()
            } else {
                time::show(latest)
            },
        ]
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    format!(
        "stream   {}\nsubject  {}\ncreated  {}\n\n{rows}",
        stream.name,
        stream.subject,
        time::show(stream.creation_timestamp)
    )
}

/// One JSON object a stream and line.
pub(super) fn json_lines(streams: &[StreamMetadata]) -> String {
    let line = |stream: &StreamMetadata| {
        let partitions: Vec<_> = partitions(stream).into_iter().map(partition_json).collect();
        let object = json!({
            "name": stream.name,
            "subject": stream.subject,
            "created": stream.creation_timestamp,
            "partitions": partitions,
        });
        format!("{object}\n")
    };
    streams.iter().map(line).collect()
}

fn partition_json(partition: &PartitionMetadata) -> serde_json::Value {
    json!({
        "id": partition.id,
        "leader": partition.leader,
        "replicas": partition.replicas,
        "isr": partition.isr,
        "newest_offset": partition.newest_offset,
        "high_watermark": partition.high_watermark,
    })
}

fn partitions(stream: &StreamMetadata) -> Vec<&PartitionMetadata> {
    let mut partitions: Vec<_> = stream.partitions.values().collect();
    partitions.sort_by_key(|partition| partition.id);
    partitions
}

/// The wire says -1 where there is nothing.
fn offset(offset: i64) -> String {
    if offset < 0 {
        "none".to_owned()
    } else {
        offset.to_string()
    }
}

fn columns<const N: usize>(rows: &[[String; N]]) -> String {
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

    fn stream() -> StreamMetadata {
        let partition = |id: i32, newest_offset: i64| PartitionMetadata {
            id,
            leader: "b".to_owned(),
            newest_offset,
            high_watermark: newest_offset,
            ..PartitionMetadata::default()
        };
        StreamMetadata {
            name: "orders".to_owned(),
            subject: "orders.*".to_owned(),
            partitions: [(1, partition(1, -1)), (0, partition(0, 41))].into(),
            ..StreamMetadata::default()
        }
    }

    #[test]
    fn streams_are_listed_in_columns() {
        let text = table(&[stream()]);
        assert_eq!(
            text,
            "NAME    SUBJECT   PARTITIONS  END\norders  orders.*  2           42\n"
        );
        assert!(table(&[]).contains("stream create"));
    }

    #[test]
    fn partitions_are_described_in_order() {
        let text = details(&stream());
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[5].starts_with("0          b       41"), "{text}");
        assert!(lines[6].contains("none") && lines[6].ends_with("never"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = json_lines(&[stream(), stream()]);
        for line in text.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["partitions"][0]["newest_offset"], 41);
        }
        assert_eq!(text.lines().count(), 2);
    }
}
