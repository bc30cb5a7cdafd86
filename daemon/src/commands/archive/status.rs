//! `strandline archive status`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::{ArchiveState, ArchiveStatus, ArchivedPartition};

use super::super::connection::refused;
use super::super::stream::columns;
use crate::config::show_duration;
use crate::exit::Failure;

/// Which streams to tell of.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Name of a stream [default: all that are archived or were]
    stream: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Shows how far partitions are archived.
pub(super) async fn run(args: &StatusArgs, client: &Client) -> Result<String, Failure> {
    let status = client.admin().archive_status(args.stream.as_deref()).await;
    let status = status.map_err(|error| refused("show the archive", &error))?;
    Ok(if args.json {
        format!("{}\n", object(&status))
    } else {
        text(&status)
    })
}

fn text(status: &ArchiveStatus) -> String {
    let Some(url) = &status.url else {
        return "there is no archive; the broker's setting archive.url names one\n".to_owned();
    };
    if status.partitions.is_empty() {
        return format!(
            "archive  {url}\n\nno stream is archived; `strandline stream set NAME --archive true` does it\n"
        );
    }
    let header = [
        "STREAM",
        "PARTITION",
        "STATE",
        "ARCHIVED FROM",
        "ARCHIVED TO",
        "ON DISK FROM",
        "END",
        "LAG RECORDS",
        "LAG BYTES",
        "LAG TIME",
    ]
    .map(str::to_owned);
    let known = |number: Option<u64>| number.map_or("unknown".to_owned(), |number| number.to_string());
    let rows = status.partitions.iter().map(|partition| {
        [
            partition.stream.clone(),
            partition.partition.to_string(),
            word(partition.state).to_owned(),
            known(partition.archive_start),
            known(partition.archive_end),
            partition.local_start.to_string(),
            partition.end.to_string(),
            partition.lag_records.to_string(),
            partition.lag_bytes.to_string(),
            partition.lag_time.map_or("0s".to_owned(), shown),
        ]
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    format!("archive  {url}\n\n{rows}{}", errors(status))
}

/// A line for each partition that has something to complain about.
fn errors(status: &ArchiveStatus) -> String {
    let failing = status
        .partitions
        .iter()
        .filter(|partition| !partition.error.is_empty());
    let lines: Vec<_> = failing
        .map(|partition| {
            format!(
                "{} {}, {}: {}\n",
                partition.stream,
                partition.partition,
                word(partition.state),
                partition.error
            )
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{}", lines.concat())
}

fn shown(age: Duration) -> String {
    show_duration(Duration::from_secs(age.as_secs()))
}

fn word(state: ArchiveState) -> &'static str {
    match state {
        ArchiveState::Starting => "starting",
        ArchiveState::Archiving => "archiving",
        ArchiveState::Off => "off",
        ArchiveState::Failing => "failing",
        ArchiveState::Fenced => "fenced",
        ArchiveState::Refused => "refused",
        _ => "unknown",
    }
}

/// Offsets and ends are as the broker has them, ends exclusive; times are in nanoseconds.
fn object(status: &ArchiveStatus) -> Value {
    let partitions: Vec<_> = status.partitions.iter().map(partition_object).collect();
    json!({ "url": status.url, "partitions": partitions })
}

fn partition_object(partition: &ArchivedPartition) -> Value {
    let age = partition.lag_time.map_or(0, |age| age.as_nanos());
    json!({
        "stream": partition.stream,
        "partition": partition.partition,
        "place": partition.place,
        "state": word(partition.state),
        "error": partition.error,
        "failures": partition.failures,
        "archive_start": partition.archive_start,
        "archive_end": partition.archive_end,
        "archive_segments": partition.archive_segments,
        "archive_bytes": partition.archive_bytes,
        "local_start": partition.local_start,
        "end": partition.end,
        "committed_end": partition.committed_end,
        "lag_records": partition.lag_records,
        "lag_bytes": partition.lag_bytes,
        "lag_time": u64::try_from(age).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> ArchiveStatus {
        let partition = ArchivedPartition {
            stream: "orders".to_owned(),
            partition: 1,
            place: "c/orders.1/1".to_owned(),
            state: ArchiveState::Failing,
            error: "the bucket does not answer".to_owned(),
            failures: 3,
            archive_start: Some(0),
            archive_end: None,
            archive_segments: None,
            archive_bytes: None,
            local_start: 5,
            end: 9,
            committed_end: 8,
            lag_records: 3,
            lag_bytes: 300,
            lag_time: Some(Duration::from_millis(90_500)),
        };
        ArchiveStatus {
            url: Some("s3://b".to_owned()),
            partitions: vec![partition],
        }
    }

    #[test]
    fn what_is_archived_is_shown_with_what_keeps_it_from_it() {
        let shown = text(&status());
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "archive  s3://b");
        assert!(lines[3].contains("failing  0              unknown"), "{shown}");
        assert!(lines[3].ends_with("1m30s"), "{shown}");
        assert_eq!(lines[5], "orders 1, failing: the bucket does not answer");
    }

    #[test]
    fn who_has_no_archive_is_told_what_makes_one() {
        let none = |url: Option<&str>| ArchiveStatus {
            url: url.map(str::to_owned),
            partitions: Vec::new(),
        };
        assert!(text(&none(None)).contains("archive.url"));
        assert!(text(&none(Some("s3://b"))).contains("--archive true"));
    }

    #[test]
    fn json_says_what_is_unknown_by_null() {
        let object = object(&status());
        let partition = &object["partitions"][0];
        assert_eq!(partition["state"], "failing");
        assert_eq!(partition["archive_end"], Value::Null);
        assert_eq!(partition["lag_time"], 90_500_000_000_u64);
    }
}
