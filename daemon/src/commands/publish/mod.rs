//! `strandline publish`.

mod input;
mod to_stream;
mod to_subject;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use strandline_client::{Ack, AckPolicy, Message};
use tokio::sync::mpsc;

use super::connection::ConnectionArgs;
use super::output_failure;
use crate::exit::{Exit, Failure};

use self::input::Messages;

/// Messages that are read ahead.
const READ_AHEAD: usize = 256;

/// What to publish, and where.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Stream to publish to; with --subject, the subject
    target: String,
    /// Messages; without any, each line of the standard input is one
    #[arg(conflicts_with_all = ["file", "whole"])]
    messages: Vec<String>,
    /// Publish to a NATS subject, for every stream and subscriber on it
    #[arg(long, conflicts_with_all = ["partition", "expected_offset"])]
    subject: bool,
    /// Read messages from a file instead of the standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The whole input is one message
    #[arg(long)]
    whole: bool,
    /// Key of the messages
    #[arg(long, short, value_name = "TEXT")]
    key: Option<String>,
    /// Header of the messages, as often as needed
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Partition to publish to
    #[arg(long, short, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// When a message counts as published
    #[arg(long, value_enum, default_value_t = Policy::Leader)]
    ack: Policy,
    /// Publish each message that many times
    #[arg(long, short = 'C', value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Offset that the first message has to get, on streams with concurrency control; the others follow it
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    expected_offset: Option<i64>,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// Once it is durable on the leader
    Leader,
    /// Once it is committed
    All,
    /// As soon as it is sent
    None,
}

impl From<Policy> for AckPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Leader => Self::Leader,
            Policy::All => Self::All,
            Policy::None => Self::None,
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("takes NAME=VALUE".to_owned()),
    }
}

impl PublishArgs {
    /// A message as it is to be published.
    fn message(&self, value: Bytes) -> Message {
        let mut message = Message::new(value).ack_policy(self.ack.into());
        if let Some(key) = &self.key {
            message = message.key(key.clone());
        }
        self.headers.iter().fold(message, |message, (name, value)| {
            message.header(name, value.clone())
        })
    }

    /// Whether somebody waits for each message to be published.
    fn waits(&self) -> bool {
        self.ack != Policy::None
    }
}

/// Runs the command.
pub(crate) async fn run(args: PublishArgs) -> Result<Exit, Failure> {
    let messages = open(&args)?;
    let client = args.connection.connect().await?;
    let messages = read_ahead(messages, args.count);
    if args.subject {
        to_subject::publish(&args, client, messages).await?;
    } else {
        to_stream::publish(&args, client, messages).await?;
    }
    Ok(Exit::Success)
}

fn open(args: &PublishArgs) -> Result<Messages<Box<dyn std::io::BufRead + Send>>, Failure> {
    if !args.messages.is_empty() {
        return Ok(Messages::arguments(args.messages.clone()));
    }
    let input: Box<dyn Read + Send> = match &args.file {
        None => {
            if std::io::stdin().is_terminal() {
                hint();
            }
            Box::new(std::io::stdin())
        }
        Some(path) => Box::new(
            File::open(path)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?,
        ),
    };
    let input: Box<dyn std::io::BufRead + Send> = Box::new(BufReader::new(input));
    Ok(if args.whole {
        Messages::Whole(Some(input))
    } else {
        Messages::Lines(input)
    })
}

/// Says why nothing happens. Whoever closed the error output does not want to read it.
fn hint() {
    let _ = writeln!(std::io::stderr().lock(), "each line is a message; Ctrl-D ends");
}

/// Reads on a thread of its own: nothing else can wait for the standard input without being held up by it.
fn read_ahead(
    mut messages: Messages<Box<dyn std::io::BufRead + Send>>,
    count: u64,
) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        while let Some(message) = messages.next().transpose() {
            match message.map(Bytes::from) {
                Ok(message) => {
                    // The receiver goes when the command is over.
                    if (0..count).any(|_| sender.blocking_send(Ok(message.clone())).is_err()) {
                        return;
                    }
                }
                Err(error) => {
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    receiver
}

fn input_failure(error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read the messages: {error}"))
}

/// Where a message is stored, if it is.
fn place(ack: &Ack) -> String {
    ack.offset.map_or_else(
        || "kept out by a filter".to_owned(),
        |offset| format!("offset {offset}"),
    )
}

/// Says what became of a message, unless nobody wants to know.
fn tell(args: &PublishArgs, line: &str) -> Result<(), Failure> {
    if args.quiet {
        return Ok(());
    }
    writeln!(std::io::stdout().lock(), "{line}").map_err(|error| output_failure(&error))
}
