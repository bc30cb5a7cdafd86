//! `strandline archive begin-anew`: archiving what is left when the archive is lost.

use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::RenewedPartition;

use super::super::connection::refused;
use super::super::stream::columns;
use crate::exit::{Exit, Failure};

/// Which stream.
#[derive(Debug, Args)]
pub(super) struct BeginAnewArgs {
    /// Name of the stream whose archive is lost
    stream: String,
    /// Say what is lost, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Give up what was in the archive alone
    #[arg(long)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Says what is lost, and with `--yes` begins anew.
pub(super) async fn run(args: &BeginAnewArgs, client: &Client) -> Result<(String, Exit), Failure> {
    let only_look = args.dry_run || !args.yes;
    let renewed = client.admin().renew_archive(&args.stream, only_look).await;
    let renewed = renewed.map_err(|error| refused("begin the archive anew", &error))?;
    let is_refused = only_look && !args.dry_run;
    let shown = if args.json {
        format!("{}\n", object(args, &renewed, !only_look))
    } else {
        let end = match (is_refused, args.dry_run) {
            (true, _) => "nothing was done: this gives up what is said to be lost; say so with --yes\n",
            (_, true) => "",
            _ => "the archive begins anew with what is on the disk\n",
        };
        format!("{}{end}", text(&args.stream, &renewed))
    };
    Ok((shown, if is_refused { Exit::Failed } else { Exit::Success }))
}

fn text(stream: &str, renewed: &[RenewedPartition]) -> String {
    let header = ["STREAM", "PARTITION", "LOST", "ON DISK"].map(str::to_owned);
    let range = |(start, end): (u64, u64)| match end.checked_sub(1) {
        Some(last) if start < end => format!("{start} to {last}"),
        _ => "nothing".to_owned(),
    };
    let rows = renewed.iter().map(|partition| {
        [
            stream.to_owned(),
            partition.partition.to_string(),
            range(partition.lost),
            range(partition.kept),
        ]
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let state = |partition: &RenewedPartition| {
        let number = partition.partition;
        match &partition.problem {
            Some(problem) => format!("{stream} {number}: {problem}\n"),
            None => format!("{stream} {number}: its archive can be read and is given up with the others\n"),
        }
    };
    format!("{rows}\n{}", renewed.iter().map(state).collect::<String>())
}

/// Ranges are from a first offset to one that is exclusive.
fn object(args: &BeginAnewArgs, renewed: &[RenewedPartition], is_done: bool) -> Value {
    let partition = |partition: &RenewedPartition| {
        json!({
            "partition": partition.partition,
            "problem": partition.problem,
            "lost": [partition.lost.0, partition.lost.1],
            "kept": [partition.kept.0, partition.kept.1],
        })
    };
    let partitions: Vec<_> = renewed.iter().map(partition).collect();
    json!({ "stream": args.stream, "done": is_done, "partitions": partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_of_each_partition() {
        let partition = |partition, problem: Option<&str>, lost, kept| RenewedPartition {
            partition,
            problem: problem.map(str::to_owned),
            lost,
            kept,
        };
        let renewed = [
            partition(0, Some("HEAD is not there"), (0, 90), (90, 120)),
            partition(1, None, (5, 5), (5, 5)),
        ];
        let shown = text("orders", &renewed);
        let lines: Vec<_> = shown.lines().collect();
        assert!(
            lines[1].contains("0 to 89") && lines[1].contains("90 to 119"),
            "{shown}"
        );
        assert!(lines[2].contains("nothing"), "{shown}");
        assert_eq!(lines[4], "orders 0: HEAD is not there");
        assert!(lines[5].ends_with("is given up with the others"), "{shown}");
    }
}
