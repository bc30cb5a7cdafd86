//! What a broker is asked for.

use strandline_client::{self as client, Client, Filter, OnTrimmed, SubscribeBuilder};

use super::super::position::{End, Start};
use super::SubscribeArgs;

/// The subscription to one partition.
pub(super) fn subscription(args: &SubscribeArgs, client: &Client, partition: u32) -> SubscribeBuilder {
    let (start, stop) = positions(args);
    let builder = client.subscribe(&args.stream).partition(partition);
    let on_trimmed = if args.fail_on_trimmed {
        OnTrimmed::Fail
    } else {
        OnTrimmed::Skip
    };
    let mut builder = builder.start(start).stop(stop).on_trimmed(on_trimmed);
    if let Some(plugin) = &args.filter {
        builder = builder.filter(Filter {
            plugin: plugin.clone(),
            settings: args.filter_settings.clone().unwrap_or_default(),
        });
    }
    if args.reverse { builder.reverse() } else { builder }
}

fn positions(args: &SubscribeArgs) -> (client::Start, client::Stop) {
    let start = args.from.unwrap_or(match (args.follow, args.reverse) {
        (true, _) => Start::New,
        (_, true) => Start::Latest,
        _ => Start::Earliest,
    });
    if args.follow || args.reverse {
        return (start.into(), client::Stop::Never);
    }
    (start.into(), args.to.unwrap_or(End::Latest).into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use strandline_client::{Start, Stop};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SubscribeArgs,
    }

    fn parsed(line: &str) -> (Start, Stop) {
        let line = ["subscribe", "s"].into_iter().chain(line.split_whitespace());
        positions(&Line::try_parse_from(line).unwrap().args)
    }

    #[test]
    fn a_replay_goes_from_the_oldest_to_the_newest_record_unless_told_otherwise() {
        assert_eq!(parsed(""), (Start::Earliest, Stop::Latest));
        assert_eq!(parsed("--follow"), (Start::New, Stop::Never));
        assert_eq!(parsed("--follow --from earliest"), (Start::Earliest, Stop::Never));
        assert_eq!(parsed("--reverse"), (Start::Latest, Stop::Never));
    }

    #[test]
    fn positions_reach_the_request() {
        assert_eq!(
            parsed("--from 3 --to time:2026-01-31"),
            (Start::Offset(3), Stop::Time(1_769_817_600_000_000_000))
        );
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            "--follow --to latest",
            "--reverse --follow",
            "--partition -1",
            "--limit 0",
            "--filter-settings {}",
            "--filter f --filter-settings {",
        ] {
            assert!(
                Line::try_parse_from(["subscribe", "s"].into_iter().chain(line.split_whitespace())).is_err(),
                "{line}"
            );
        }
    }
}
