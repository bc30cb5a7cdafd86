//! `strandline archive gc`: deleting what nothing refers to.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::{ArchivedPartition, Collected};

use super::super::connection::refused;
use super::super::storage::Progress;
use super::super::stream::columns;
use crate::exit::{Exit, Failure};

/// Which streams, and what of them.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Names of streams [default: all that are archived or were]
    streams: Vec<String>,
    /// Leave objects alone that are younger: longer than any upload takes
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = crate::config::parse_duration)]
    older_than: Duration,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a line: partitions, then a summary
    #[arg(long)]
    json: bool,
}

/// What became of a partition's place.
type Found = (ArchivedPartition, Result<Collected, String>);

/// Collects partition by partition. Who ends the command ends what the broker does for it.
pub(super) async fn run(args: &GcArgs, client: &Client) -> Result<(String, Exit), Failure> {
    let partitions = partitions(args, client).await?;
    let mut progress = Progress::new();
    let total = partitions.len() as u64;
    let (admin, mut found) = (client.admin(), Vec::<Found>::new());
    for (number, partition) in (0..).zip(partitions) {
        progress.show_count(number, total, "partitions");
        let place = (partition.stream.as_str(), partition.partition);
        let collected = admin.collect_archive(place, args.older_than, args.dry_run);
        let collected = collected.await.map_err(|error| error.to_string());
        found.push((partition, collected));
    }
    drop(progress);
    let exit = match found.iter().all(|(_, collected)| collected.is_ok()) {
        true => Exit::Success,
        false => Exit::Failed,
    };
    let shown = if args.json {
        json_lines(&found, args.dry_run)
    } else {
        text(&found, args.dry_run)
    };
    Ok((shown, exit))
}

/// Those that have a place in the bucket.
async fn partitions(args: &GcArgs, client: &Client) -> Result<Vec<ArchivedPartition>, Failure> {
    let failed = |error| refused("collect what is left over in the archive", &error);
    let mut partitions = Vec::new();
    let names: Vec<Option<&str>> = match args.streams.is_empty() {
        true => vec![None],
        false => args.streams.iter().map(|name| Some(name.as_str())).collect(),
    };
    for name in names {
        let status = client.admin().archive_status(name).await.map_err(failed)?;
        if status.url.is_none() {
            let reason = "there is no archive; the broker's setting archive.url names one";
            return Err(Failure::new(reason));
        }
        partitions.extend(status.partitions);
    }
    partitions.retain(|partition| !partition.place.is_empty() && partition.archive_end.is_some());
    Ok(partitions)
}

fn sums(found: &[Found]) -> [usize; 3] {
    let collected = found.iter().filter_map(|(_, collected)| collected.as_ref().ok());
    collected.fold([0; 3], |[deleted, spared, foreign], one| {
        [
            deleted + one.deleted.len(),
            spared + one.spared.len(),
            foreign + one.foreign.len(),
        ]
    })
}

fn text(found: &[Found], only_look: bool) -> String {
    if found.is_empty() {
        return "no stream is archived\n".to_owned();
    }
    let done = if only_look { "WOULD GO" } else { "DELETED" };
    let header = ["STREAM", "PARTITION", done, "SPARED", "FOREIGN"].map(str::to_owned);
    let rows = found.iter().filter_map(|(partition, collected)| {
        let collected = collected.as_ref().ok()?;
        let count = |names: &Vec<String>| names.len().to_string();
        Some([
            partition.stream.clone(),
            partition.partition.to_string(),
            count(&collected.deleted),
            count(&collected.spared),
            count(&collected.foreign),
        ])
    });
    let rows = columns(&[header].into_iter().chain(rows).collect::<Vec<_>>());
    let [deleted, spared, foreign] = sums(found);
    let verb = if only_look { "would be deleted" } else { "deleted" };
    let problem = |(partition, collected): &Found| {
        let (error, number) = (collected.as_ref().err()?, partition.partition);
        Some(format!("{} {number}: {error}\n", partition.stream))
    };
    format!(
        "{rows}\n{deleted} objects {verb}, {spared} too young or of a newer leader, {foreign} not of an archive\n{}",
        found.iter().filter_map(problem).collect::<String>()
    )
}

fn json_lines(found: &[Found], only_look: bool) -> String {
    let [deleted, spared, foreign] = sums(found);
    let problems = found.iter().filter(|(_, collected)| collected.is_err()).count();
    let summary = json!({
        "kind": "summary",
        "dry_run": only_look,
        "partitions": found.len(),
        "deleted": deleted,
        "spared": spared,
        "foreign": foreign,
        "problems": problems,
    });
    let lines = found.iter().map(object).chain([summary]);
    lines.map(|line| format!("{line}\n")).collect()
}

fn object((partition, collected): &Found) -> Value {
    let names = |of: fn(&Collected) -> &Vec<String>| collected.as_ref().ok().map(of);
    json!({
        "kind": "partition",
        "stream": partition.stream,
        "partition": partition.partition,
        "place": partition.place,
        "deleted": names(|collected| &collected.deleted),
        "spared": names(|collected| &collected.spared),
        "foreign": names(|collected| &collected.foreign),
        "problem": collected.as_ref().err(),
    })
}
