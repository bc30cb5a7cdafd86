//! `strandline storage`: work on a data directory that no broker uses.

mod check;
mod compact;
mod directory;
mod dump;
mod progress;
mod repair;

use std::io::Write;

use clap::Subcommand;

pub(super) use check::word;
pub(super) use progress::Progress;

use crate::exit::{Exit, Failure};

/// What to do with a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Verify every checksum, index and promise, and change nothing
    ///
    /// Exit code 6 says that there is damage.
    Check(check::CheckArgs),
    /// Show a segment, an index, a state or a partition in readable form, as far as it can be read
    Dump(dump::DumpArgs),
    /// Mend one partition, as far as it is asked for; the originals are kept
    Repair(repair::RepairArgs),
    /// Give space of the redb backend that is no longer used back to the file system
    Compact(compact::CompactArgs),
}

/// Does it and says so.
pub(crate) fn run(command: &StorageCommand, output: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        StorageCommand::Check(args) => check::run(args, output),
        StorageCommand::Dump(args) => dump::run(args, output),
        StorageCommand::Repair(args) => repair::run(args, output),
        StorageCommand::Compact(args) => compact::run(args, output),
    }
}
