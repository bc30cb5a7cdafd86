//! `strandline storage check`: what is wrong in a data directory.

use std::io::{self, Write};

use clap::Args;
use serde_json::json;
use strandline_broker::maintenance::{self, CheckOptions, Checked, Finding, Place, Report, Severity, Target};

use super::directory::{DirectoryArgs, parse_target, refused};
use super::progress::Progress;
use crate::commands::output_failure;
use crate::exit::{Exit, Failure};

/// What to verify.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Only this stream, or this partition of it; the metadata is verified in any case
    #[arg(long, value_name = "NAME[:PARTITION]", value_parser = parse_target)]
    stream: Option<Target>,
    /// One JSON object a line: the findings, then a summary
    #[arg(long)]
    json: bool,
}

/// Verifies and tells what was found. It is told while it is being found.
pub(crate) fn run(args: &CheckArgs, output: &mut dyn Write) -> Result<Exit, Failure> {
    let directory = args.directory.resolve()?;
    let options = CheckOptions {
        data_dir: directory.path,
        only: args.stream.clone(),
        masters: directory.masters,
    };
    let mut telling = Telling {
        output,
        json: args.json,
        progress: Progress::new(),
        told: Ok(()),
    };
    let checked = maintenance::check(&options, &mut telling);
    telling.progress.wipe();
    std::mem::replace(&mut telling.told, Ok(())).map_err(|error| output_failure(&error))?;
    let checked = checked.map_err(|error| refused("cannot check the storage", &error))?;
    let summary = if args.json {
        json_summary(&checked)
    } else {
        text_summary(&checked)
    };
    telling
        .output
        .write_all(summary.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(if checked.damage > 0 {
        Exit::Damage
    } else {
        Exit::Success
    })
}

/// Writes findings as they come.
struct Telling<'a> {
    output: &'a mut dyn Write,
    json: bool,
    progress: Progress,
    /// The first failure of the output.
    told: io::Result<()>,
}

impl Report for Telling<'_> {
    fn found(&mut self, place: Option<&Place>, finding: &Finding) {
        self.progress.wipe();
        let text = if self.json {
            json_line(place, finding)
        } else {
            text_line(place, finding)
        };
        if self.told.is_ok() {
            self.told = self.output.write_all(text.as_bytes());
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        self.progress.show(done, total);
    }
}

/// The word for it.
pub(in crate::commands) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Damage => "damage",
        Severity::Harmless => "harmless",
    }
}

fn text_line(place: Option<&Place>, finding: &Finding) -> String {
    let partition = place
        .map(|place| format!(" (partition {})", place.name()))
        .unwrap_or_default();
    let position = finding
        .position
        .map(|position| format!(" at byte {position}"))
        .unwrap_or_default();
    format!(
        "{}: {}{position}{partition}: {}\n  {}\n",
        word(finding.severity),
        finding.file.display(),
        finding.problem,
        finding.advice
    )
}

fn json_line(place: Option<&Place>, finding: &Finding) -> String {
    let object = json!({
        "kind": "finding",
        "severity": word(finding.severity),
        "file": finding.file.display().to_string(),
        "position": finding.position,
        "stream": place.map(|place| place.stream.definition.name.as_str()),
        "partition": place.map(|place| place.partition.get()),
        "problem": finding.problem,
        "advice": finding.advice,
    });
    format!("{object}\n")
}

fn text_summary(checked: &Checked) -> String {
    let totals = &checked.totals;
    let locked = match totals.locked {
        0 => String::new(),
        locked => format!(
            "{locked} encrypted batches were verified by their checksums only: no master key was given that opens them\n"
        ),
    };
    let outcome = match checked.damage {
        0 => "no damage".to_owned(),
        1 => "damage in 1 place".to_owned(),
        damage => format!("damage in {damage} places"),
    };
    format!(
        "{locked}{outcome}, {} harmless; {} logs, {} segments, {} batches, {} records, {} bytes verified\n",
        checked.harmless, checked.logs, totals.segments, totals.batches, totals.records, totals.bytes
    )
}

fn json_summary(checked: &Checked) -> String {
    let totals = &checked.totals;
    let object = json!({
        "kind": "summary",
        "damage": checked.damage,
        "harmless": checked.harmless,
        "logs": checked.logs,
        "segments": totals.segments,
        "batches": totals.batches,
        "records": totals.records,
        "bytes": totals.bytes,
        "locked_batches": totals.locked,
    });
    format!("{object}\n")
}
