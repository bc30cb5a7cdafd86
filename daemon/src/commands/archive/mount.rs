//! `strandline archive mount`: a broker that serves a bucket and writes nothing to it.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Invocation, Sources};
use crate::exit::{Exit, Failure};
use crate::serve;

/// What is served, and where. Everything else comes from the configuration file, as of a broker.
#[derive(Debug, Args)]
pub(crate) struct MountArgs {
    /// Bucket and prefix: s3://BUCKET/PREFIX, gs://…, az://… or file:///DIRECTORY [default: archive.url of the configuration]
    url: Option<String>,
    /// The cluster whose streams are served [default: the only one in the bucket]
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// A broker's configuration file: the bucket, the master key of encrypted streams, TLS and so on
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the gRPC API listens [default: as of a broker, port 9292]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where numbers and health are answered over HTTP [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// Directory of the mount, which keeps its cache of the archive [default: a temporary one that is removed]
    #[arg(long, short, value_name = "DIR")]
    data_dir: Option<String>,
    /// How often it is looked what the cluster has archived since [default: 5s]
    #[arg(long, value_name = "DURATION")]
    every: Option<String>,
    /// File that says where the mount listens once it serves
    #[arg(long, value_name = "FILE")]
    ready_file: Option<String>,
    /// Any setting by its name, as often as needed
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl MountArgs {
    fn sources(&self) -> Result<Sources, Failure> {
        let given = [
            ("archive.url", &self.url, "URL"),
            ("archive.mount.cluster", &self.cluster, "--cluster"),
            ("listen", &self.listen, "--listen"),
            ("http.listen", &self.http_listen, "--http-listen"),
            ("archive.mount.dir", &self.data_dir, "--data-dir"),
            ("archive.mount.interval", &self.every, "--every"),
            ("ready.file", &self.ready_file, "--ready-file"),
        ];
        let mut flags: Vec<_> = given
            .into_iter()
            .filter_map(|(key, value, flag)| Some((key.to_owned(), value.clone()?, flag.to_owned())))
            .collect();
        flags.push((
            "archive.mount".to_owned(),
            "true".to_owned(),
            "archive mount".to_owned(),
        ));
        for setting in &self.set {
            let Some((name, value)) = setting.split_once('=') else {
                return Err(Failure::with(
                    Exit::Configuration,
                    format!("--set takes KEY=VALUE, not {setting:?}"),
                ));
            };
            flags.push((
                name.trim().to_owned(),
                value.to_owned(),
                format!("--set {}", name.trim()),
            ));
        }
        Ok(Sources::of_process(Invocation::Serve, self.config.clone(), flags))
    }
}

/// Runs the mount until it is asked to stop.
pub(crate) fn run(args: &MountArgs) -> Result<Exit, Failure> {
    serve::run_with(&args.sources()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: MountArgs,
    }

    #[test]
    fn what_the_command_line_says_becomes_settings_of_a_broker() {
        let line = "mount s3://b/p --cluster c --listen 127.0.0.1:0 --every 1s --set archive.cache.disk=5";
        let args = Line::try_parse_from(line.split_whitespace()).unwrap().args;
        let flags = args.sources().unwrap().flags;
        let found = |key: &str| {
            flags
                .iter()
                .find(|(name, ..)| name == key)
                .map(|(_, value, _)| value.as_str())
        };
        assert_eq!(found("archive.url"), Some("s3://b/p"));
        assert_eq!(found("archive.mount"), Some("true"));
        assert_eq!(found("archive.mount.cluster"), Some("c"));
        assert_eq!(found("archive.mount.interval"), Some("1s"));
        assert_eq!(found("archive.cache.disk"), Some("5"));
        assert_eq!(found("archive.mount.dir"), None);
    }
}
