//! Which data directory, and with which keys: as the broker on it would be told.

use std::path::PathBuf;

use clap::Args;
use strandline_broker::maintenance::{MaintenanceError, Target};
use strandline_broker::settings::MasterKeys;

use crate::config::{self, Invocation, Sources};
use crate::exit::{Exit, Failure, describe};

/// Where the data is.
#[derive(Debug, Args)]
pub(crate) struct DirectoryArgs {
    /// The broker's data directory; the broker must be stopped [default: where a broker keeps it]
    #[arg(long, short, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The broker's configuration file: says where the data is, and the master key of encrypted streams
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A data directory.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) masters: MasterKeys,
}

impl DirectoryArgs {
    /// Reads flags, environment and configuration file as `serve` does.
    pub(crate) fn resolve(&self) -> Result<Directory, Failure> {
        let flag = |path: &PathBuf| {
            (
                "data.dir".to_owned(),
                path.display().to_string(),
                "--data-dir".to_owned(),
            )
        };
        let flags = self.data_dir.iter().map(flag).collect();
        let sources = Sources::of_process(Invocation::Serve, self.config.clone(), flags);
        let config = config::read(&sources)
            .map_err(|problems| Failure::with(Exit::Configuration, problems.to_string()))?;
        Ok(Directory {
            // The flag as it is, text or not.
            path: self.data_dir.clone().unwrap_or(config.settings.data_dir),
            masters: config.settings.master_keys,
        })
    }
}

/// Why a tool did not do its work.
pub(crate) fn refused(what: &str, error: &MaintenanceError) -> Failure {
    let exit = match error {
        MaintenanceError::InUse { .. } | MaintenanceError::Directory { .. } => Exit::Start,
        _ => Exit::Failed,
    };
    Failure::with(exit, format!("{what}: {}", describe(error)))
}

/// Reads `NAME` or `NAME:PARTITION`. Names may hold colons: what follows the last one is the partition if it is a number.
pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    let split = text.rsplit_once(':');
    let numbered = split.and_then(|(stream, number)| Some((stream, number.parse().ok()?)));
    let (stream, partition) = match numbered {
        None => (text, None),
        Some((stream, number)) => (stream, Some(number)),
    };
    if stream.is_empty() {
        return Err("the name of the stream is missing".to_owned());
    }
    Ok(Target {
        stream: stream.to_owned(),
        partition,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_stream_or_a_partition_of_it() {
        let target = |stream: &str, partition| Target {
            stream: stream.to_owned(),
            partition,
        };
        assert_eq!(parse_target("orders"), Ok(target("orders", None)));
        assert_eq!(parse_target("orders:3"), Ok(target("orders", Some(3))));
        assert_eq!(parse_target("a:b"), Ok(target("a:b", None)));
        assert_eq!(parse_target("a:1:0"), Ok(target("a:1", Some(0))));
        assert!(parse_target("").is_err() && parse_target(":1").is_err());
    }
}
