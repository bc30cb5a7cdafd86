//! Which bucket, reached as a broker would reach it.

use std::path::PathBuf;

use clap::Args;
use strandline_broker::maintenance::archive::{Survey, open_archive};
use strandline_broker::settings::MasterKeys;

use crate::config::{self, Invocation, Sources};
use crate::exit::{Exit, Failure, describe};

/// Where the archive is. Credentials come from the environment or the profile, as a broker takes them.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// Bucket and prefix: s3://BUCKET/PREFIX, gs://…, az://… or file:///DIRECTORY [default: archive.url of the configuration]
    url: Option<String>,
    #[command(flatten)]
    way: WayArgs,
}

/// As [`BucketArgs`], where the words say something else.
#[derive(Debug, Args)]
pub(super) struct NamedBucketArgs {
    /// Bucket and prefix: s3://BUCKET/PREFIX, gs://…, az://… or file:///DIRECTORY [default: archive.url of the configuration]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    way: WayArgs,
}

/// How the bucket is reached.
#[derive(Debug, Args)]
struct WayArgs {
    /// The broker's configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Server of the bucket, http://HOST:PORT or https://HOST:PORT [default: archive.endpoint]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Region of the bucket [default: archive.region]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Accept certificates of these authorities, a PEM file [default: archive.ca]
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
}

impl BucketArgs {
    /// Reads flags, environment and configuration file as `serve` does.
    pub(super) fn open(&self) -> Result<Survey, Failure> {
        self.open_with_keys().map(|(survey, _)| survey)
    }

    /// As `open`, with the master keys that the configuration names.
    pub(super) fn open_with_keys(&self) -> Result<(Survey, MasterKeys), Failure> {
        self.way.open((&self.url, "URL"))
    }
}

impl NamedBucketArgs {
    /// Reads flags, environment and configuration file as `serve` does.
    pub(super) fn open(&self) -> Result<Survey, Failure> {
        self.way.open((&self.url, "--url")).map(|(survey, _)| survey)
    }
}

impl WayArgs {
    fn open(&self, (url, flag): (&Option<String>, &str)) -> Result<(Survey, MasterKeys), Failure> {
        let given = [
            ("archive.url", url, flag),
            ("archive.endpoint", &self.endpoint, "--endpoint"),
            ("archive.region", &self.region, "--region"),
            ("archive.ca", &self.ca, "--ca"),
        ];
        let flags = given.into_iter().filter_map(|(key, value, flag)| {
            let value = value.clone()?;
            Some((key.to_owned(), value, flag.to_owned()))
        });
        let sources = Sources::of_process(Invocation::Serve, self.config.clone(), flags.collect());
        let config = config::read(&sources)
            .map_err(|problems| Failure::with(Exit::Configuration, problems.to_string()))?;
        let Some(target) = config.settings.archive.target else {
            let reason = "no archive is named: give its URL, or --config FILE with archive.url";
            return Err(Failure::with(Exit::Configuration, reason));
        };
        let opened = open_archive(&target);
        let survey = opened.map_err(|error| Failure::with(Exit::Configuration, describe(&error)))?;
        Ok((survey, config.settings.master_keys))
    }
}
