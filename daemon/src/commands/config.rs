//! `strandline config`: what a broker would be told.

use std::io::Write;

use clap::Subcommand;
use strandline_broker::settings::NatsMode;

use crate::config::{self, Config, Invocation};
use crate::exit::{Exit, Failure};
use crate::serve::ServeArgs;

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration as `serve` would, and tell everything that is wrong with it
    Check(ServeArgs),
    /// Print every setting with where its value comes from
    Show(ServeArgs),
}

/// Runs the command.
pub(crate) fn run(command: &ConfigCommand, output: &mut impl Write) -> Result<Exit, Failure> {
    let (ConfigCommand::Check(args) | ConfigCommand::Show(args)) = command;
    let config = config::read(&args.sources(Invocation::Serve))
        .map_err(|problems| Failure::with(Exit::Configuration, problems.to_string()))?;
    let text = match command {
        ConfigCommand::Check(_) => checked(&config),
        ConfigCommand::Show(_) => config::show(&config.values),
    };
    output
        .write_all(text.as_bytes())
        .map_err(|error| super::output_failure(&error))?;
    Ok(Exit::Success)
}

fn checked(config: &Config) -> String {
    let nats = match &config.settings.nats {
        NatsMode::Embedded(_) => "embedded",
        NatsMode::External(_) => "external",
    };
    let notices: String = config
        .notices
        .iter()
        .map(|notice| format!("note: {notice}\n"))
        .collect();
    format!(
        "{notices}the configuration is valid: grpc at {}, nats {nats}, data in {}\n",
        config.settings.listen,
        config.settings.data_dir.display(),
    )
}
