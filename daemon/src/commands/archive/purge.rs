//! `strandline archive purge`: deleting the archives of streams that are gone.

use std::io;

use clap::Args;
use serde_json::json;
use strandline_broker::maintenance::archive::{Doomed, PurgeError, Survey, plan_purge, purge};

use super::super::output_failure;
use super::super::storage::Progress;
use super::bucket::NamedBucketArgs;
use crate::exit::{Exit, Failure, describe};

/// Which places, and of which bucket.
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// Places as `archive list` shows them, without the number of the partition: CLUSTER/STREAM.NUMBER
    #[arg(required = true, value_name = "PLACE")]
    places: Vec<String>,
    #[command(flatten)]
    bucket: NamedBucketArgs,
    /// This cluster is gone for good: what it says that it needs does not count. Can be given several times
    #[arg(long, value_name = "ID")]
    dead_cluster: Vec<String>,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete it
    #[arg(long)]
    yes: bool,
    /// One JSON object a line: the partitions, then a summary
    #[arg(long)]
    json: bool,
}

/// Says what goes, and with `--yes` deletes it.
pub(super) async fn run(args: &PurgeArgs, output: &mut dyn io::Write) -> Result<Exit, Failure> {
    let survey = args.bucket.open()?;
    let mut doomed = Vec::new();
    for place in &args.places {
        let planned = plan_purge(&survey, place, &args.dead_cluster).await;
        doomed.extend(planned.map_err(|error| refused(&error))?);
    }
    let mut write = |text: &str| {
        output
            .write_all(text.as_bytes())
            .map_err(|error| output_failure(&error))
    };
    for one in &doomed {
        write(&told(one, args.json))?;
    }
    let is_done = args.yes && !args.dry_run;
    if is_done {
        carry_out(args, &survey, &doomed).await?;
    }
    write(&summary(args, &doomed, is_done))?;
    if args.yes || args.dry_run {
        return Ok(Exit::Success);
    }
    Err(Failure::new(
        "nothing was done: this deletes what is shown for good; say so with --yes, or look first with --dry-run",
    ))
}

async fn carry_out(args: &PurgeArgs, survey: &Survey, doomed: &[Doomed]) -> Result<(), Failure> {
    let total = doomed.iter().map(|one| one.contents.objects).sum();
    let (mut progress, mut done) = (Progress::new(), 0);
    let mut deleted = |_| {
        done += 1;
        progress.show_count(done, total, "objects");
    };
    let purged = purge(survey, doomed, &args.dead_cluster, &mut deleted).await;
    purged.map_err(|error| refused(&error))
}

fn refused(error: &PurgeError) -> Failure {
    Failure::with(
        Exit::Failed,
        format!("cannot purge the archive: {}", describe(error)),
    )
}

fn told(one: &Doomed, json: bool) -> String {
    let contents = &one.contents;
    if json {
        let object = json!({
            "kind": "partition",
            "place": one.place.root,
            "partition": one.place.partition.get(),
            "objects": contents.objects,
            "bytes": contents.bytes,
            "foreign": contents.foreign,
            "is_begun": contents.is_begun,
        });
        return format!("{object}\n");
    }
    let foreign = contents
        .foreign
        .iter()
        .map(|key| format!("  {key} is none of the archive's and stays\n"));
    let begun = if contents.is_begun { ", begun before" } else { "" };
    format!(
        "{}: {} objects, {} bytes{begun}\n{}",
        one.place,
        contents.objects,
        contents.bytes,
        foreign.collect::<String>()
    )
}

fn summary(args: &PurgeArgs, doomed: &[Doomed], is_done: bool) -> String {
    let objects: u64 = doomed.iter().map(|one| one.contents.objects).sum();
    let bytes: u64 = doomed.iter().map(|one| one.contents.bytes).sum();
    if args.json {
        let object = json!({
            "kind": "summary",
            "places": args.places.len(),
            "objects": objects,
            "bytes": bytes,
            "deleted": is_done,
        });
        return format!("{object}\n");
    }
    let verb = if is_done { "deleted" } else { "would be deleted" };
    format!("{objects} objects with {bytes} bytes {verb}\n")
}

#[cfg(test)]
mod tests {
    use strandline_broker::maintenance::archive::{Contents, Place};
    use strandline_core::PartitionId;

    use super::*;

    #[test]
    fn each_partition_is_told_with_what_stays_there() {
        let one = Doomed {
            place: Place {
                root: "c/s.1".to_owned(),
                partition: PartitionId::new(2),
            },
            contents: Contents {
                objects: 3,
                bytes: 500,
                foreign: vec!["c/s.1/2/notes.txt".to_owned()],
                points: Vec::new(),
                is_begun: true,
            },
        };
        let expected = "c/s.1/2: 3 objects, 500 bytes, begun before\n  c/s.1/2/notes.txt is none of the archive's and stays\n";
        assert_eq!(told(&one, false), expected);
        let object: serde_json::Value = serde_json::from_str(&told(&one, true)).unwrap();
        assert_eq!(
            (&object["place"], &object["objects"]),
            (&json!("c/s.1"), &json!(3))
        );
    }
}
