//! `strandline storage repair`: mends one partition.

use std::io::Write;

use clap::Args;
use strandline_broker::maintenance::{Repair, RepairAction, RepairOptions, Target};

use super::directory::{DirectoryArgs, parse_target, refused};
use crate::commands::{now, output_failure};
use crate::exit::{Exit, Failure};
use crate::time;

/// What to mend, and how.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The partition; the number may be left out of a stream that has one
    #[arg(long, value_name = "NAME[:PARTITION]", value_parser = parse_target)]
    stream: Target,
    /// What to do
    #[arg(long, value_enum)]
    action: Action,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Lose the records that cut and drop-damaged say are lost
    #[arg(long)]
    yes: bool,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Build the indexes anew that are not what their segments say
    RebuildIndex,
    /// Build a missing or damaged state anew from the segments
    RebuildState,
    /// End the partition before the first place that cannot be read; later records are lost and their offsets given again
    Cut,
    /// Take out what cannot be read; records before and behind it stay, with their offsets
    DropDamaged,
}

impl From<Action> for RepairAction {
    fn from(action: Action) -> Self {
        match action {
            Action::RebuildIndex => Self::RebuildIndex,
            Action::RebuildState => Self::RebuildState,
            Action::Cut => Self::Cut,
            Action::DropDamaged => Self::DropDamaged,
        }
    }
}

/// Says what is to be done, and does it.
pub(crate) fn run(args: &RepairArgs, output: &mut dyn Write) -> Result<Exit, Failure> {
    let directory = args.directory.resolve()?;
    let options = RepairOptions {
        data_dir: directory.path,
        target: args.stream.clone(),
        action: args.action.into(),
        suffix: time::show(now()).replace(':', "-"),
    };
    let failed = |error| refused("cannot repair", &error);
    let repair = Repair::plan(&options).map_err(failed)?;
    let mut write = |text: &str| {
        output
            .write_all(text.as_bytes())
            .map_err(|error| output_failure(&error))
    };
    if repair.steps().is_empty() {
        write("there is nothing to do\n")?;
        return Ok(Exit::Success);
    }
    write(&told(&repair))?;
    if args.dry_run {
        return Ok(Exit::Success);
    }
    let loses = matches!(args.action, Action::Cut | Action::DropDamaged);
    if loses && !args.yes {
        return Err(Failure::new(
            "nothing was done: this gives records up; say so with --yes, or look first with --dry-run",
        ));
    }
    repair.carry_out().map_err(failed)?;
    write(&format!(
        "done; the originals are in {}\n",
        repair.aside().display()
    ))?;
    Ok(Exit::Success)
}

/// The plan in words.
fn told(repair: &Repair) -> String {
    let mut text = format!("keep the originals in {}:\n", repair.aside().display());
    for original in repair.originals() {
        text.push_str(&format!("  {}\n", original.display()));
    }
    for step in repair.steps() {
        text.push_str(&format!("{step}\n"));
    }
    for range in repair.lost() {
        let last = range.end.before().unwrap_or(range.start);
        text.push_str(&format!(
            "lost: whatever was at the offsets {} to {last}\n",
            range.start
        ));
    }
    text
}
