//! `strandline archive list`: what there is in a bucket.

use clap::Args;
use serde_json::{Value, json};
use strandline_broker::maintenance::archive::{
    ArchiveError, BucketError, Place, Summary, Survey, Uses, uses,
};

use super::super::stream::columns;
use super::bucket::BucketArgs;
use crate::exit::{Exit, Failure, describe};
use crate::time;

/// Which bucket.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    bucket: BucketArgs,
    /// One JSON object a line, a partition each
    #[arg(long)]
    json: bool,
}

/// Shows every partition that has an archive.
pub(super) async fn run(args: &ListArgs) -> Result<(String, Exit), Failure> {
    let survey = args.bucket.open()?;
    let found = summaries(&survey)
        .await
        .map_err(|error| unreachable("list the archive", &error))?;
    let used = uses(&survey, &[])
        .await
        .map_err(|error| unreachable("list the archive", &error))?;
    let exit = if found.iter().all(|(_, summary)| summary.is_ok()) {
        Exit::Success
    } else {
        Exit::Damage
    };
    let shown = if args.json {
        found
            .iter()
            .map(|one| format!("{}\n", object(one, &used)))
            .collect()
    } else {
        text(survey.bucket().url(), &found, &used)
    };
    Ok((shown, exit))
}

type Found = (Place, Result<Summary, ArchiveError>);

async fn summaries(survey: &Survey) -> Result<Vec<Found>, BucketError> {
    let mut found = Vec::new();
    for place in survey.places().await? {
        match survey.summary(&place).await {
            Err(ArchiveError::Bucket(error)) => return Err(error),
            Err(ArchiveError::Missing { .. }) if survey.is_empty(&place).await? => {}
            summary => found.push((place, summary)),
        }
    }
    Ok(found)
}

/// Why a command could not look at a bucket.
pub(super) fn unreachable(what: &str, error: &BucketError) -> Failure {
    Failure::with(Exit::Failed, format!("cannot {what}: {}", describe(error)))
}

fn text(url: &str, found: &[Found], used: &Uses) -> String {
    if found.is_empty() {
        return format!("{url} holds no archive\n");
    }
    let header = [
        "PLACE",
        "ARCHIVED FROM",
        "ARCHIVED TO",
        "SEGMENTS",
        "RECORDS",
        "BYTES",
        "NEWEST RECORD",
        "NEEDED BY",
    ];
    let rows = found
        .iter()
        .filter_map(|(place, summary)| Some(row(place, summary.as_ref().ok()?, used)));
    let rows = columns(
        &[header.map(str::to_owned)]
            .into_iter()
            .chain(rows)
            .collect::<Vec<_>>(),
    );
    let problem = |(place, summary): &Found| {
        let error = summary.as_ref().err()?;
        Some(format!("{place}: {}\n", describe(error)))
    };
    format!("{rows}{}", found.iter().filter_map(problem).collect::<String>())
}

/// The clusters that name a place. One that no cluster names was a deleted stream's.
fn needed_by(place: &Place, used: &Uses) -> String {
    match used.of(&place.root) {
        None => "unknown".to_owned(),
        Some([]) => "nobody".to_owned(),
        Some(clusters) => clusters.join(", "),
    }
}

fn row(place: &Place, summary: &Summary, used: &Uses) -> [String; 8] {
    [
        place.to_string(),
        summary.range.start.to_string(),
        summary.range.end.to_string(),
        summary.totals.segments.to_string(),
        summary.totals.records.to_string(),
        summary.totals.bytes.to_string(),
        summary
            .last_time
            .map_or("none".to_owned(), |at| time::show(at.nanos())),
        needed_by(place, used),
    ]
}

fn object((place, summary): &Found, used: &Uses) -> Value {
    let root = json!({
        "place": place.root,
        "partition": place.partition.get(),
        "needed_by": used.of(&place.root),
    });
    let rest = match summary {
        Err(error) => json!({ "problem": describe(error) }),
        Ok(summary) => json!({
            "problem": null,
            "start": summary.range.start.get(),
            "end": summary.range.end.get(),
            "gaps": summary.gaps.iter().map(|gap| [gap.start.get(), gap.end.get()]).collect::<Vec<_>>(),
            "segments": summary.totals.segments,
            "records": summary.totals.records,
            "bytes": summary.totals.bytes,
            "last_time": summary.last_time.map(|at| at.nanos()),
        }),
    };
    let (mut whole, rest) = (root, rest);
    if let (Some(whole), Value::Object(rest)) = (whole.as_object_mut(), rest) {
        whole.extend(rest);
    }
    whole
}
