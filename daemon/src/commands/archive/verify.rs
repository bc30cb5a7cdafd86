//! `strandline archive verify` and `scrub`: whether everything is in the bucket that should be.

use std::io;

use clap::Args;
use serde_json::json;
use strandline_broker::maintenance::archive::{ArchiveError, BucketError, Depth, Place, Survey, Witness};
use strandline_broker::maintenance::{Finding, Severity};

use super::super::output_failure;
use super::super::storage::{Progress, word};
use super::bucket::BucketArgs;
use super::list::unreachable;
use crate::exit::{Exit, Failure};

/// Which bucket, and what of it.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    bucket: BucketArgs,
    /// Only places that begin with this, such as CLUSTER or CLUSTER/STREAM
    #[arg(long, value_name = "PREFIX")]
    place: Option<String>,
    /// One JSON object a line: the findings, then a summary
    #[arg(long)]
    json: bool,
}

/// Looks at every partition and tells what is wrong as it is found.
pub(super) async fn run(
    args: &VerifyArgs,
    depth: Depth,
    output: &mut dyn io::Write,
) -> Result<Exit, Failure> {
    let survey = args.bucket.open()?;
    let failed = |error: BucketError| unreachable("verify the archive", &error);
    let mut places = survey.places().await.map_err(failed)?;
    if let Some(prefix) = &args.place {
        places.retain(|place| place.to_string().starts_with(prefix.as_str()));
    }
    let mut telling = Telling {
        output,
        json: args.json,
        progress: Progress::new(),
        total: size(&survey, &places).await.map_err(failed)?,
        done: 0,
        damage: 0,
        told: Ok(()),
    };
    for place in &places {
        survey.verify(place, depth, &mut telling).await.map_err(failed)?;
    }
    telling.end(places.len())
}

/// Bytes that there are to look at.
async fn size(survey: &Survey, places: &[Place]) -> Result<u64, BucketError> {
    let mut bytes = 0;
    for place in places {
        match survey.summary(place).await {
            Ok(summary) => bytes += summary.totals.bytes,
            Err(ArchiveError::Bucket(error)) => return Err(error),
            // It will be a finding.
            Err(_) => {}
        }
    }
    Ok(bytes)
}

/// Writes findings as they come.
struct Telling<'a> {
    output: &'a mut dyn io::Write,
    json: bool,
    progress: Progress,
    total: u64,
    done: u64,
    damage: u64,
    /// The first failure of the output.
    told: io::Result<()>,
}

impl Telling<'_> {
    fn write(&mut self, text: &str) {
        self.progress.wipe();
        if self.told.is_ok() {
            self.told = self.output.write_all(text.as_bytes());
        }
    }

    fn end(mut self, partitions: usize) -> Result<Exit, Failure> {
        let (bytes, damage) = (self.done, self.damage);
        let summary = if self.json {
            let object =
                json!({ "kind": "summary", "partitions": partitions, "bytes": bytes, "damage": damage });
            format!("{object}\n")
        } else {
            format!("{partitions} partitions, {bytes} bytes of objects: {damage} damaged or missing\n")
        };
        self.write(&summary);
        self.told.map_err(|error| output_failure(&error))?;
        Ok(if damage > 0 { Exit::Damage } else { Exit::Success })
    }
}

impl Witness for Telling<'_> {
    fn looked_at(&mut self, bytes: u64) {
        self.done += bytes;
        self.progress.show(self.done, self.total.max(self.done));
    }

    fn found(&mut self, finding: Finding) {
        self.damage += u64::from(finding.severity == Severity::Damage);
        let text = if self.json {
            json_line(&finding)
        } else {
            text_line(&finding)
        };
        self.write(&text);
    }
}

fn text_line(finding: &Finding) -> String {
    let position = finding
        .position
        .map(|at| format!(" at byte {at}"))
        .unwrap_or_default();
    let (word, key) = (word(finding.severity), finding.file.display());
    format!(
        "{word}: {key}{position}: {}\n  {}\n",
        finding.problem, finding.advice
    )
}

fn json_line(finding: &Finding) -> String {
    let object = json!({
        "kind": "finding",
        "severity": word(finding.severity),
        "object": finding.file.display().to_string(),
        "position": finding.position,
        "problem": finding.problem,
        "advice": finding.advice,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_object_and_position() {
        let finding = Finding::damage("c/s.1/0/segments/x", "its checksum is wrong", "restore it").at(16);
        let expected = "damage: c/s.1/0/segments/x at byte 16: its checksum is wrong\n  restore it\n";
        assert_eq!(text_line(&finding), expected);
        assert!(json_line(&finding).contains(r#""position":16"#));
    }
}
