//! What a broker is asked for.

use strandline_proto::api::{StartPosition, StopPosition, SubscribeRequest};

use super::super::position::{End, Start};
use super::SubscribeArgs;

/// The request for one partition.
pub(super) fn request(args: &SubscribeArgs, partition: i32) -> SubscribeRequest {
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
