//! `strandline subscribe`.

mod output;
mod request;

use clap::Args;
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{Message, SubscribeRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::connection::{ConnectionArgs, refused};
use super::position::{End, Start};
use super::record_format::Format;
use super::{now, position, stream};
use crate::exit::{Exit, Failure};

use self::output::Output;
use self::request::request;

/// Records that may wait for the output.
const QUEUE: usize = 1_024;
/// What a broker says with RESOURCE_EXHAUSTED when there is nothing more to read; other causes are errors.
const ENDS: [&str; 3] = [
    "Stop offset reached",
    "Stream is empty",
    "End of readonly partition",
];

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
    #[arg(long = "partition", visible_alias = "partitions", short, value_name = "A,B", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
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
    let mut client = args.connection.connect().await?;
    let known = stream::one(&mut client, &args.stream).await?;
    let mut partitions: Vec<i32> = if args.partitions.is_empty() {
        known.partitions.into_keys().collect()
    } else {
        args.partitions.clone()
    };
    partitions.sort_unstable();
    partitions.dedup();
    let mut output = Output::new(&args);
    if args.follow {
        follow(&args, client, &partitions, &mut output).await?;
    } else {
        for partition in partitions {
            if output.is_full() {
                break;
            }
            replay(&args, &mut client, partition, &mut output).await?;
        }
    }
    output.flush()?;
    Ok(Exit::Success)
}

/// Reads one partition to its end, so that a replay has the same order each time.
async fn replay(
    args: &SubscribeArgs,
    client: &mut ApiClient<Channel>,
    partition: i32,
    output: &mut Output,
) -> Result<(), Failure> {
    let failed = |status: Status| refused(&format!("read partition {partition} of {}", args.stream), &status);
    let mut messages = match client.subscribe(request(args, partition)).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            return if is_end(args, &status) {
                Ok(())
            } else {
                Err(failed(status))
            };
        }
    };
    while !output.is_full() {
        match messages.message().await {
            // The first message of a subscription says that it stands.
            Ok(Some(message)) if is_handshake(&message) => {}
            Ok(Some(message)) => output.write(&message)?,
            Ok(None) => return Ok(()),
            Err(status) if is_end(args, &status) => return Ok(()),
            Err(status) => return Err(failed(status)),
        }
    }
    Ok(())
}

/// Reads all partitions at once, in whatever order records come, until interrupted.
async fn follow(
    args: &SubscribeArgs,
    client: ApiClient<Channel>,
    partitions: &[i32],
    output: &mut Output,
) -> Result<(), Failure> {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    for &partition in partitions {
        let (mut client, sender) = (client.clone(), sender.clone());
        let request = request(args, partition);
        let what = format!("follow partition {partition} of {}", args.stream);
        tasks.spawn(async move {
            let failure = forward(&mut client, request, &sender).await;
            let _ = sender
                .send(failure.map_err(|status| refused(&what, &status)).map(|()| None))
                .await;
        });
    }
    drop(sender);
    while !output.is_full() {
        // Nobody should wait for a record that is here.
        if queue.is_empty() {
            output.flush()?;
        }
        tokio::select! {
            received = queue.recv() => match received {
                Some(Ok(Some(message))) => output.write(&message)?,
                Some(Ok(None)) => {}
                Some(Err(failure)) => return Err(failure),
                None => return Ok(()),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
    Ok(())
}

async fn forward(
    client: &mut ApiClient<Channel>,
    request: SubscribeRequest,
    sender: &mpsc::Sender<Result<Option<Message>, Failure>>,
) -> Result<(), Status> {
    let mut messages = client.subscribe(request).await?.into_inner();
    while let Some(message) = messages.message().await? {
        if !is_handshake(&message) && sender.send(Ok(Some(message))).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn is_handshake(message: &Message) -> bool {
    message.stream.is_empty()
}

/// Whether a subscription is over as it should be: the stop position was reached, there is nothing to replay, the first
/// record to replay is yet to come, or a reverse read has come to the oldest record, which Liftbridge tells as `EOF`.
fn is_end(args: &SubscribeArgs, status: &Status) -> bool {
    let says = |code, text: &str| status.code() == code && status.message().contains(text);
    ENDS.iter().any(|text| says(Code::ResourceExhausted, text))
        || (args.to.is_none() && says(Code::InvalidArgument, "before start offset"))
        || (args.reverse && says(Code::Unknown, "EOF"))
}
