//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::archive::ArchiveArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::config::ConfigCommand;
use crate::commands::demo::DemoArgs;
use crate::commands::plugin::PluginArgs;
use crate::commands::publish::PublishArgs;
use crate::commands::storage::StorageCommand;
use crate::commands::stream::StreamArgs;
use crate::commands::subscribe::SubscribeArgs;
use crate::serve::ServeArgs;

/// A durable message log for NATS.
///
/// Without a command a broker is started: with NATS embedded if nothing else is said, and exactly as Liftbridge would be
/// if flags are given (an external NATS at localhost:4222 unless --embedded-nats is among them).
#[derive(Debug, Parser)]
#[command(
    name = "strandline",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 broker cannot start, 5 no broker answers, 6 damage found."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What a broker is told.
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Print the version
    #[arg(short = 'v', visible_short_alias = 'V', long, action = clap::ArgAction::Version)]
    version: (),
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a broker, with NATS embedded unless told otherwise
    Serve(ServeArgs),
    /// Create, list, describe, change, trim and delete streams
    Stream(StreamArgs),
    /// Push plugins, attach them to streams, try versions of them, and take them back
    Plugin(Box<PluginArgs>),
    /// Tell how far streams are archived, look at archives, and bring clusters back from them
    Archive(ArchiveArgs),
    /// Publish messages
    Publish(PublishArgs),
    /// Read a stream
    Subscribe(SubscribeArgs),
    /// Work on the data directory of a broker that is stopped
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Check or show a configuration without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure how fast it is here, beside what the machine and other servers do
    Bench(BenchArgs),
    /// Show the whole job in this terminal: record, replay, kill, restart, replay again
    Demo(DemoArgs),
    /// Print the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["strandline"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_liftbridges_flags_and_serve_are_told_apart() {
        let nothing = parse("").unwrap();
        assert!(nothing.command.is_none() && nothing.serve.is_empty());
        let liftbridge = parse("-c f -d D --embedded-nats --raft-bootstrap-seed").unwrap();
        assert!(liftbridge.command.is_none() && !liftbridge.serve.is_empty());
        assert!(
            matches!(parse("serve -d D").unwrap().command, Some(Command::Serve(args)) if !args.is_empty())
        );
    }

    #[test]
    fn flags_of_a_broker_before_another_command_are_an_error() {
        assert!(parse("-d D publish orders x").is_err());
        assert!(parse("frobnicate").is_err());
    }

    #[test]
    fn the_version_is_printed_in_each_way_that_people_try() {
        for line in ["-v", "-V", "--version"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayVersion, "{line}");
        }
        assert!(matches!(
            parse("version").unwrap().command,
            Some(Command::Version)
        ));
    }
}
