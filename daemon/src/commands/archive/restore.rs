//! `strandline archive restore`.

use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::{RestoreOptions, Restored, RestoredStream};

use super::super::connection::refused;
use super::super::now;
use super::super::stream::columns;
use crate::exit::{Exit, Failure};
use crate::time;

/// What to bring back.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Only these streams, without plugins and cursors [default: everything]
    streams: Vec<String>,
    /// Identity of the cluster that archived them [default: with --as that of the broker if it has the stream, otherwise the only
    /// other one in the bucket]
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// As of this point: see archive snapshot. That cluster goes on, and so do its streams
    #[arg(long, value_name = "NAME")]
    point: Option<String>,
    /// Only what was there at this time, such as 2026-01-31T12:00:00Z or 90m (ago): each partition up to the last batch whose records
    /// are not later. That cluster goes on
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time::parse(text, now()))]
    to: Option<i64>,
    /// Under this name, beside the original: of exactly one stream
    #[arg(long = "as", value_name = "NAME")]
    new_name: Option<String>,
    /// NATS subject that the stream records under its new name [default: the same]
    #[arg(long, value_name = "SUBJECT", requires = "new_name")]
    subject: Option<String>,
    /// Only show what would be restored
    #[arg(long)]
    dry_run: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Brings back what another cluster has archived; fails if a stream, plugin or cursor is missing then.
pub(super) async fn run(args: &RestoreArgs, client: &Client) -> Result<(String, Exit), Failure> {
    let options = RestoreOptions {
        cluster: args.cluster.clone(),
        streams: args.streams.clone(),
        point: args.point.clone(),
        to: args.to,
        new_name: args.new_name.clone(),
        subject: args.subject.clone(),
        only_look: args.dry_run,
    };
    let restored = client.admin().restore_archive(&options).await;
    let restored = restored.map_err(|error| refused("restore from the archive", &error))?;
    let is_whole =
        restored.problems.is_empty() && restored.streams.iter().all(|stream| stream.problem.is_none());
    let shown = if args.json {
        format!("{}\n", object(&restored))
    } else {
        text(&restored, args.dry_run)
    };
    Ok((shown, if is_whole { Exit::Success } else { Exit::Failed }))
}

fn text(restored: &Restored, only_look: bool) -> String {
    let (cluster, written) = (&restored.cluster, time::show(restored.written));
    let header = [
        "STREAM",
        "PARTITION",
        "ARCHIVED FROM",
        "COMPLETE TO",
        "NEWEST RECORD",
    ]
    .map(str::to_owned);
    let rows = restored.streams.iter().flat_map(rows);
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let verb = if only_look {
        "would be restored"
    } else {
        "restored"
    };
    let (versions, attachments) = (restored.plugin_versions, restored.attachments);
    format!(
        "cluster {cluster}, as it told the archive at {written}\n\n{rows}\n{verb}: {} streams, {versions} versions of plugins, \
         {attachments} attachments, {} cursors\n{}",
        restored
            .streams
            .iter()
            .filter(|stream| stream.problem.is_none())
            .count(),
        restored.cursors,
        problems(restored),
    )
}

fn rows(stream: &RestoredStream) -> Vec<[String; 5]> {
    let numbered = stream.partitions.iter().enumerate();
    numbered
        .map(|(number, partition)| {
            [
                stream.name.clone(),
                number.to_string(),
                partition.start.to_string(),
                partition.end.to_string(),
                partition.last_time.map_or("none".to_owned(), time::show),
            ]
        })
        .collect()
}

/// A line for each thing that was not restored.
fn problems(restored: &Restored) -> String {
    let of_stream = |stream: &RestoredStream| {
        let problem = stream.problem.as_ref()?;
        Some(format!("not restored: stream {}: {problem}\n", stream.name))
    };
    let others = restored
        .problems
        .iter()
        .map(|problem| format!("not restored: {problem}\n"));
    restored
        .streams
        .iter()
        .filter_map(of_stream)
        .chain(others)
        .collect()
}

/// Offsets and ends are as brokers have them, ends exclusive; times are in nanoseconds.
fn object(restored: &Restored) -> Value {
    let stream = |stream: &RestoredStream| {
        let partition = |partition: &strandline_client::admin::RestoredPartition| json!({ "start": partition.start, "end": partition.end, "last_time": partition.last_time });
        let partitions: Vec<_> = stream.partitions.iter().map(partition).collect();
        json!({ "name": stream.name, "partitions": partitions, "problem": stream.problem })
    };
    json!({
        "cluster": restored.cluster,
        "written": restored.written,
        "streams": restored.streams.iter().map(stream).collect::<Vec<_>>(),
        "plugin_versions": restored.plugin_versions,
        "attachments": restored.attachments,
        "cursors": restored.cursors,
        "problems": restored.problems,
    })
}

#[cfg(test)]
mod tests {
    use strandline_client::admin::RestoredPartition;

    use super::*;

    fn restored() -> Restored {
        let stream = |name: &str, problem: Option<&str>| RestoredStream {
            name: name.to_owned(),
            partitions: vec![RestoredPartition {
                start: 5,
                end: 900,
                last_time: Some(1_000_000_000),
            }],
            problem: problem.map(str::to_owned),
        };
        Restored {
            cluster: "c-1".to_owned(),
            written: 2_000_000_000,
            streams: vec![
                stream("orders", None),
                stream("bills", Some("a stream of this name exists here")),
            ],
            plugin_versions: 2,
            attachments: 1,
            cursors: 7,
            problems: vec!["plugin f on stream bills: there is no such stream".to_owned()],
        }
    }

    #[test]
    fn what_was_restored_is_shown_with_how_far_it_goes_and_what_was_not() {
        let shown = text(&restored(), false);
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines[0].starts_with("cluster c-1, as it told the archive at 1970-01-01T00:00:02"),
            "{shown}"
        );
        assert!(
            lines[3].starts_with("orders") && lines[3].contains("900"),
            "{shown}"
        );
        assert_eq!(
            lines[6],
            "restored: 1 streams, 2 versions of plugins, 1 attachments, 7 cursors"
        );
        assert_eq!(
            lines[7],
            "not restored: stream bills: a stream of this name exists here"
        );
        assert!(lines[8].starts_with("not restored: plugin f"), "{shown}");
    }

    #[test]
    fn json_has_the_problem_of_each_stream() {
        let object = object(&restored());
        assert_eq!(object["streams"][0]["problem"], Value::Null);
        assert_eq!(
            object["streams"][1]["problem"],
            "a stream of this name exists here"
        );
        assert_eq!(object["streams"][0]["partitions"][0]["end"], 900);
    }
}
