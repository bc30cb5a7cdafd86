//! `strandline demo`: the whole job in one terminal.

mod broker;
mod nats;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use clap::Args;
use tokio::process::Command;

use crate::exit::{Exit, Failure};

use self::broker::DemoBroker;

const STREAM: &str = "demo";
const SUBJECT: &str = "demo.*";
/// Messages that are published unless another number is asked for.
const MESSAGES: u32 = 5;

/// What the demonstration is told.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Messages to publish
    #[arg(long, value_name = "NUMBER", default_value_t = MESSAGES, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    messages: u32,
}

/// Runs the demonstration. It uses free ports and a directory of its own and leaves nothing behind, also when it is
/// interrupted.
pub(crate) async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let directory = tempfile::Builder::new()
        .prefix("strandline-demo-")
        .tempdir()
        .map_err(|error| Failure::new(format!("cannot create a temporary directory: {error}")))?;
    let outcome = tokio::select! {
        outcome = show(directory.path(), args.messages) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::with(Exit::Interrupted, "interrupted")),
    };
    let path = directory.path().to_owned();
    directory
        .close()
        .map_err(|error| Failure::new(format!("cannot remove {}: {error}", path.display())))?;
    outcome?;
    say(&format!(
        "Everything in {} is removed again. Now try it for real: {}",
        path.display(),
        crate::program()
    ))?;
    Ok(Exit::Success)
}

async fn show(directory: &Path, messages: u32) -> Result<(), Failure> {
    say("1. A broker with an embedded NATS server starts on free ports.")?;
    let broker = DemoBroker::start(directory).await?;
    say(&format!(
        "   grpc {}, nats {}, data in {}",
        broker.grpc(),
        broker.nats(),
        broker.data_dir().display()
    ))?;

    say(&format!("\n2. A stream is attached to the subject {SUBJECT}."))?;
    strandline(&broker, &["stream", "create", STREAM, "--subject", SUBJECT]).await?;

    say(&format!(
        "\n3. A plain NATS client publishes messages, {messages} in all; the last one asks for an ack."
    ))?;
    let ack = nats::publish(broker.nats(), messages).await?;
    say(&format!("   the broker answers: {ack}"))?;

    say("\n4. The stream is replayed.")?;
    let first = strandline(&broker, &["subscribe", STREAM, "--from", "earliest"]).await?;

    say(&format!("\n5. The broker is killed: kill -9 {}", broker.pid()))?;
    broker.kill().await?;

    say("\n6. It starts again on the same data.")?;
    let broker = DemoBroker::start(directory).await?;
    say(&format!("   grpc {}, nats {}", broker.grpc(), broker.nats()))?;

    say("\n7. The stream is replayed again.")?;
    let second = strandline(&broker, &["subscribe", STREAM, "--from", "earliest"]).await?;
    compare(&first, &second, messages)?;
    say(&format!(
        "\n8. Every message is there ({messages} of {messages}), with the same offset and time. The broker stops."
    ))?;
    broker.stop().await
}

fn compare(first: &str, second: &str, messages: u32) -> Result<(), Failure> {
    let records = first.lines().count();
    if records != messages as usize {
        return Err(Failure::new(format!(
            "{messages} messages were published and {records} replayed"
        )));
    }
    if first != second {
        return Err(Failure::new("the second replay differs from the first one"));
    }
    Ok(())
}

/// Runs a command of this program as a user would, shows it with its output, and returns the output.
async fn strandline(broker: &DemoBroker, args: &[&str]) -> Result<String, Failure> {
    say(&format!(
        "   $ strandline {} --servers {}",
        args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" "),
        broker.grpc()
    ))?;
    let output = Command::new(broker::executable()?)
        .args(args)
        .args(["--servers", broker.grpc()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Failure::new(format!("cannot run {}: {error}", args.join(" "))))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in text.lines() {
        say(&format!("   {line}"))?;
    }
    if !output.status.success() {
        return Err(Failure::new(format!(
            "{} failed: {}",
            args.join(" "),
            output.status
        )));
    }
    Ok(text)
}

/// An argument as it is typed: a shell would take a wildcard for file names.
fn quoted(argument: &str) -> String {
    if argument.contains('*') {
        format!("'{argument}'")
    } else {
        argument.to_owned()
    }
}

fn say(line: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(|error| super::output_failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_that_lost_or_changed_a_record_fails_the_demonstration() {
        assert!(compare("a\nb\n", "a\nb\n", 2).is_ok());
        assert!(compare("a\n", "a\n", 2).is_err());
        assert!(compare("a\nb\n", "a\nc\n", 2).is_err());
    }
}
