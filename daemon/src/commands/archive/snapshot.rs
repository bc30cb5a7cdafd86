//! `strandline archive snapshot`: points in the archive.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::{ArchivePoint, ArchivePointStream};

use super::super::connection::refused;
use super::super::stream::columns;
use crate::config::parse_duration;
use crate::exit::{Exit, Failure};
use crate::time;

/// What to keep, show or let go of.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["name", "list"]))]
#[command(group = clap::ArgGroup::new("known").args(["list", "remove"]))]
pub(super) struct SnapshotArgs {
    /// Name of the point: 1 to 64 letters, digits, '.', '_' and '-'
    name: Option<String>,
    /// Show the points
    #[arg(long)]
    list: bool,
    /// Remove the point: what only it keeps is deleted ten minutes later
    #[arg(long, requires = "name")]
    remove: bool,
    /// Wait so long until all that is committed now is archived [default: 1m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "known")]
    wait: Option<Duration>,
    /// With --list and --remove: points of this cluster [default: the broker's own]
    #[arg(long, value_name = "ID", requires = "known")]
    cluster: Option<String>,
    /// One JSON object; with --list one a line, a point each
    #[arg(long)]
    json: bool,
}

/// Does it. A point without something that it should have had is told by the exit code.
pub(super) async fn run(args: &SnapshotArgs, client: &Client) -> Result<(String, Exit), Failure> {
    let (admin, cluster) = (client.admin(), args.cluster.as_deref());
    let Some(name) = args.name.as_deref() else {
        let points = admin.list_archive_points(cluster).await;
        let points = points.map_err(|error| refused("show the points of the archive", &error))?;
        let shown = if args.json {
            points
                .iter()
                .map(|point| format!("{}\n", object(point)))
                .collect()
        } else {
            list(&points)
        };
        return Ok((shown, Exit::Success));
    };
    if args.remove {
        let removed = admin.remove_archive_point(cluster, name).await;
        removed.map_err(|error| refused("remove the point", &error))?;
        let shown = if args.json {
            format!("{}\n", json!({ "removed": name }))
        } else {
            format!("removed point {name}\n")
        };
        return Ok((shown, Exit::Success));
    }
    let made = admin.create_archive_point(name, args.wait).await;
    let made = made.map_err(|error| refused("make the point", &error))?;
    let shown = if args.json {
        let mut whole = object(&made.point);
        whole["problems"] = json!(made.problems);
        format!("{whole}\n")
    } else {
        let problem = |problem: &String| format!("not in it: {problem}\n");
        let problems: String = made.problems.iter().map(problem).collect();
        format!("{}{problems}", text(&made.point))
    };
    let exit = if made.problems.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    };
    Ok((shown, exit))
}

fn text(point: &ArchivePoint) -> String {
    let header = ["STREAM", "PARTITION", "FROM", "COMPLETE TO"].map(str::to_owned);
    let rows = point.streams.iter().flat_map(rows);
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let left_out = |name: &String| format!("not in it: stream {name}: it is not archived\n");
    let left_out: String = point.left_out.iter().map(left_out).collect();
    format!(
        "point {} of {}\n\n{rows}\n{} streams, {} cursors, {} plugins\n{left_out}",
        point.name,
        time::show(point.taken),
        point.streams.len(),
        point.cursors,
        point.modules,
    )
}

fn rows(stream: &ArchivePointStream) -> Vec<[String; 4]> {
    let numbered = stream.partitions.iter().enumerate();
    numbered
        .map(|(number, (start, end))| {
            let name = stream.name.clone();
            [name, number.to_string(), start.to_string(), end.to_string()]
        })
        .collect()
}

fn list(points: &[ArchivePoint]) -> String {
    if points.is_empty() {
        return "there are no points; `strandline archive snapshot NAME` makes one\n".to_owned();
    }
    let header = ["POINT", "MADE AT", "STREAMS", "CURSORS", "STATE"].map(str::to_owned);
    let state = |point: &ArchivePoint| match &point.problem {
        Some(problem) => problem.clone(),
        None if point.removing => "being removed: repeat that".to_owned(),
        None => "whole".to_owned(),
    };
    let rows = points.iter().map(|point| {
        [
            point.name.clone(),
            match &point.problem {
                None => time::show(point.taken),
                Some(_) => "unknown".to_owned(),
            },
            point.streams.len().to_string(),
            point.cursors.to_string(),
            state(point),
        ]
    });
    columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

fn object(point: &ArchivePoint) -> Value {
    let partition = |(start, end): &(u64, u64)| json!({ "start": start, "end": end });
    let stream = |stream: &ArchivePointStream| {
        json!({
            "name": stream.name,
            "partitions": stream.partitions.iter().map(partition).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": point.name,
        "taken": point.taken,
        "streams": point.streams.iter().map(stream).collect::<Vec<_>>(),
        "left_out": point.left_out,
        "cursors": point.cursors,
        "modules": point.modules,
        "removing": point.removing,
        "problem": point.problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> ArchivePoint {
        ArchivePoint {
            name: "before".to_owned(),
            taken: 1_000_000_000,
            streams: vec![ArchivePointStream {
                name: "orders".to_owned(),
                partitions: vec![(0, 12), (3, 9)],
            }],
            left_out: vec!["bills".to_owned()],
            cursors: 4,
            modules: 1,
            ..ArchivePoint::default()
        }
    }

    #[test]
    fn a_point_is_shown_with_how_far_it_goes_and_what_is_not_in_it() {
        let shown = text(&point());
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines[0].starts_with("point before of 1970-01-01T00:00:01"),
            "{shown}"
        );
        assert!(
            lines[4].starts_with("orders") && lines[4].ends_with('9'),
            "{shown}"
        );
        assert_eq!(lines[6], "1 streams, 4 cursors, 1 plugins");
        assert_eq!(lines[7], "not in it: stream bills: it is not archived");
        assert_eq!(object(&point())["streams"][0]["partitions"][1]["end"], 9);
    }

    #[test]
    fn points_are_listed_with_what_is_wrong_with_them() {
        let removing = ArchivePoint {
            removing: true,
            ..point()
        };
        let damaged = ArchivePoint {
            problem: Some("it is damaged".to_owned()),
            ..ArchivePoint::default()
        };
        let shown = list(&[point(), removing, damaged]);
        let ends = ["whole", "being removed: repeat that", "it is damaged"];
        for (line, end) in shown.lines().skip(1).zip(ends) {
            assert!(line.ends_with(end), "{shown}");
        }
        assert!(list(&[]).contains("archive snapshot NAME"));
    }
}
