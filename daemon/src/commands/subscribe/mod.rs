//! `strandline subscribe`.

mod output;
mod request;

use std::io::Write;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use strandline_client::{Client, Error, ErrorKind};

use super::connection::{ConnectionArgs, refused};
use super::position::{End, Start};
use super::record_format::Format;
use super::{now, position, stream};
use crate::exit::{Exit, Failure};

use self::output::Output;
use self::request::subscription;

/// What to read, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// Stream to read
    stream: String,
    /// First record: earliest, latest, new, an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)
    /// [default: earliest; latest with --reverse; new with --follow]
    #[arg(long, value_name = "POSITION", value_parser = |text: &str| position::start(text, now()))]
    from: Option<Start>,
    /// Last record: latest, an offset, or time:T [default: latest]
    #[arg(long, value_name = "POSITION", conflicts_with = "follow", value_parser = |text: &str| position::end(text, now()))]
    to: Option<End>,
    /// Go on with records as they come, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// From the first record back to the oldest
    #[arg(long, conflicts_with_all = ["follow", "to"])]
    reverse: bool,
    /// Partitions to read, with commas or repeated [default: all]
    #[arg(long = "partition", visible_alias = "partitions", short, value_name = "A,B", value_delimiter = ',', value_parser = clap::value_parser!(u32))]
    partitions: Vec<u32>,
    /// Fail when a record that is to come next was removed by retention, instead of going on at the oldest that is kept
    #[arg(long)]
    fail_on_trimmed: bool,
    /// Show only what this plugin passes, a filter that was pushed
    #[arg(long, value_name = "NAME[@VERSION]")]
    filter: Option<String>,
    /// Settings of that filter, as JSON
    #[arg(long, value_name = "JSON", requires = "filter", value_parser = super::plugin::json)]
    filter_settings: Option<String>,
    /// Stop after this many records
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Form of the output
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) async fn run(args: SubscribeArgs) -> Result<Exit, Failure> {
    let client = args.connection.connect().await?;
    let known = stream::one(&client, &args.stream).await?;
    let mut partitions: Vec<u32> = if args.partitions.is_empty() {
        known.partitions.into_keys().collect()
    } else {
        args.partitions.clone()
    };
    partitions.sort_unstable();
    partitions.dedup();
    let mut output = Output::new(&args);
    if args.follow {
        follow(&args, &client, &partitions, &mut output).await?;
    } else {
        for partition in partitions {
            if output.is_full() {
                break;
            }
            replay(&args, &client, partition, &mut output).await?;
        }
    }
    output.flush()?;
    Ok(Exit::Success)
}

/// Reads one partition to its end, so that a replay has the same order each time.
async fn replay(
    args: &SubscribeArgs,
    client: &Client,
    partition: u32,
    output: &mut Output,
) -> Result<(), Failure> {
    let failed = |error: Error| refused(&format!("read partition {partition} of {}", args.stream), &error);
    let mut records = match subscription(args, client, partition).open().await {
        Ok(records) => records,
        Err(error) if is_ahead(args, &error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    while !output.is_full()
        && let Some(record) = records.next().await
    {
        output.write(&record.map_err(failed)?)?;
    }
    Ok(())
}

/// Reads all partitions at once, in whatever order records come, until interrupted. A broker that goes away is waited for.
async fn follow(
    args: &SubscribeArgs,
    client: &Client,
    partitions: &[u32],
    output: &mut Output,
) -> Result<(), Failure> {
    let mut subscriptions = SelectAll::new();
    for &partition in partitions {
        let builder = subscription(args, client, partition).resume_for(Duration::MAX);
        let builder = builder.on_loss(move |error| {
            // Whoever closed the error output does not want to read it.
            let _ = writeln!(
                std::io::stderr().lock(),
                "partition {partition}: {error}; connecting again"
            );
        });
        let what = format!("follow partition {partition} of {}", args.stream);
        let records = builder.open().await.map_err(|error| refused(&what, &error))?;
        subscriptions.push(records.map(move |record| (partition, record)));
    }
    while !output.is_full() {
        let next = tokio::select! {
            biased;
            next = subscriptions.next() => next,
            // Nobody should wait for a record that is here.
            () = std::future::ready(()) => {
                output.flush()?;
                tokio::select! {
                    next = subscriptions.next() => next,
                    _ = tokio::signal::ctrl_c() => return Ok(()),
                }
            }
        };
        let Some((partition, record)) = next else {
            return Ok(());
        };
        let what = format!("follow partition {partition} of {}", args.stream);
        output.write(&record.map_err(|error| refused(&what, &error))?)?;
    }
    Ok(())
}

/// Whether the first record to replay is yet to come.
fn is_ahead(args: &SubscribeArgs, error: &Error) -> bool {
    args.to.is_none()
        && error.kind() == ErrorKind::InvalidRequest
        && error.to_string().contains("before start offset")
}
