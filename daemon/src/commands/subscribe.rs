//! `strandline subscribe`.

use std::io::{BufWriter, Write};

use clap::Args;
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{Message, StartPosition, StopPosition, SubscribeRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::connection::{ConnectionArgs, refused};
use super::position::{End, Start};
use super::record_format::{Format, Record};
use super::{now, output_failure, position, stream};
use crate::exit::{Exit, Failure};

/// Records that may wait for the output.
const QUEUE: usize = 1_024;
/// Headers that the broker adds to what the publisher set; they repeat fields of the record.
const RESERVED_HEADERS: [&str; 2] = ["subject", "reply"];
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

fn request(args: &SubscribeArgs, partition: i32) -> SubscribeRequest {
    let start = args.from.unwrap_or(match (args.follow, args.reverse) {
        (true, _) => Start::New,
        (_, true) => Start::Latest,
        _ => Start::Earliest,
    });
    let mut request = SubscribeRequest {
        stream: args.stream.clone(),
        partition,
        ..SubscribeRequest::default()
    };
    request.reverse = args.reverse;
    request.set_start_position(match start {
        Start::Earliest => StartPosition::Earliest,
        Start::Latest => StartPosition::Latest,
        Start::New => StartPosition::NewOnly,
        Start::Offset(_) => StartPosition::Offset,
        Start::Time(_) => StartPosition::Timestamp,
    });
    match start {
        Start::Offset(offset) => request.start_offset = offset,
        Start::Time(nanos) => request.start_timestamp = nanos,
        _ => {}
    }
    if args.follow || args.reverse {
        return request;
    }
    let end = args.to.unwrap_or(End::Latest);
    request.set_stop_position(match end {
        End::Latest => StopPosition::StopLatest,
        End::Offset(_) => StopPosition::StopOffset,
        End::Time(_) => StopPosition::StopTimestamp,
    });
    match end {
        End::Offset(offset) => request.stop_offset = offset,
        End::Time(nanos) => request.stop_timestamp = nanos,
        End::Latest => {}
    }
    request
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

/// Where records go.
struct Output {
    format: Format,
    left: Option<u64>,
    writer: BufWriter<std::io::Stdout>,
}

impl Output {
    fn new(args: &SubscribeArgs) -> Self {
        Self {
            format: args.format,
            left: args.limit,
            writer: BufWriter::new(std::io::stdout()),
        }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    fn write(&mut self, message: &Message) -> Result<(), Failure> {
        let own = |(name, _): &(&String, &bytes::Bytes)| !RESERVED_HEADERS.contains(&name.as_str());
        let mut headers: Vec<_> = message
            .headers
            .iter()
            .filter(own)
            .map(|(name, value)| (name.as_str(), value.as_ref()))
            .collect();
        headers.sort_unstable();
        let record = Record {
            stream: &message.stream,
            partition: message.partition,
            offset: message.offset,
            timestamp: message.timestamp,
            subject: &message.subject,
            key: Some(message.key.as_ref()).filter(|key| !key.is_empty()),
            headers,
            value: &message.value,
        };
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.format
            .write(&record, &mut self.writer)
            .map_err(|error| output_failure(&error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| output_failure(&error))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SubscribeArgs,
    }

    fn parsed(line: &str) -> SubscribeRequest {
        let args = Line::try_parse_from(["subscribe", "s"].into_iter().chain(line.split_whitespace()))
            .unwrap()
            .args;
        request(&args, 0)
    }

    #[test]
    fn a_replay_goes_from_the_oldest_to_the_newest_record_unless_told_otherwise() {
        let positions = |line| (parsed(line).start_position(), parsed(line).stop_position());
        assert_eq!(positions(""), (StartPosition::Earliest, StopPosition::StopLatest));
        assert_eq!(
            positions("--follow"),
            (StartPosition::NewOnly, StopPosition::StopOnCancel)
        );
        assert_eq!(
            positions("--follow --from earliest"),
            (StartPosition::Earliest, StopPosition::StopOnCancel)
        );
        assert_eq!(
            positions("--reverse"),
            (StartPosition::Latest, StopPosition::StopOnCancel)
        );
        assert!(parsed("--reverse").reverse);
    }

    #[test]
    fn positions_reach_the_request() {
        let request = parsed("--from 3 --to time:2026-01-31");
        assert_eq!(
            (request.start_position(), request.start_offset),
            (StartPosition::Offset, 3)
        );
        assert_eq!(
            (request.stop_position(), request.stop_timestamp),
            (StopPosition::StopTimestamp, 1_769_817_600_000_000_000)
        );
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            "--follow --to latest",
            "--reverse --follow",
            "--partition -1",
            "--limit 0",
        ] {
            assert!(
                Line::try_parse_from(["subscribe", "s"].into_iter().chain(line.split_whitespace())).is_err(),
                "{line}"
            );
        }
    }
}
