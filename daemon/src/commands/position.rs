//! Where a subscription starts and ends, as it is said on the command line.

use strandline_client as client;
use strandline_client::admin::TrimBefore;

use crate::time;

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the oldest record.
    Earliest,
    /// At the newest record.
    Latest,
    /// After the newest record.
    New,
    /// At this offset.
    Offset(i64),
    /// At the first record that is not older; nanoseconds since 1970.
    Time(i64),
}

/// Where a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At what is the newest record when it begins.
    Latest,
    /// After this offset.
    Offset(i64),
    /// After the last record that is not younger; nanoseconds since 1970.
    Time(i64),
}

impl From<Start> for client::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Earliest => Self::Earliest,
            Start::Latest => Self::Latest,
            Start::New => Self::New,
            Start::Offset(offset) => Self::Offset(u64::try_from(offset).unwrap_or(0)),
            Start::Time(nanos) => Self::Time(nanos),
        }
    }
}

impl From<End> for client::Stop {
    fn from(end: End) -> Self {
        match end {
            End::Latest => Self::Latest,
            End::Offset(offset) => Self::Offset(u64::try_from(offset).unwrap_or(0)),
            End::Time(nanos) => Self::Time(nanos),
        }
    }
}

/// Reads `earliest`, `latest`, `new`, an offset, `offset:N` or `time:T`.
pub(crate) fn start(text: &str, now: i64) -> Result<Start, String> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        "new" => Ok(Start::New),
        _ => match point(text, now) {
            Some(Ok(Point::Offset(offset))) => Ok(Start::Offset(offset)),
            Some(Ok(Point::Time(nanos))) => Ok(Start::Time(nanos)),
            Some(Err(reason)) => Err(reason),
            None => Err("takes earliest, latest, new, an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)".to_owned()),
        },
    }
}

/// Reads `latest`, an offset, `offset:N` or `time:T`.
pub(crate) fn end(text: &str, now: i64) -> Result<End, String> {
    match text {
        "latest" => Ok(End::Latest),
        _ => match point(text, now) {
            Some(Ok(Point::Offset(offset))) => Ok(End::Offset(offset)),
            Some(Ok(Point::Time(nanos))) => Ok(End::Time(nanos)),
            Some(Err(reason)) => Err(reason),
            None => Err(
                "takes latest, an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)"
                    .to_owned(),
            ),
        },
    }
}

/// Reads an offset, `offset:N` or `time:T`.
pub(crate) fn before(text: &str, now: i64) -> Result<TrimBefore, String> {
    match point(text, now) {
        Some(Ok(Point::Offset(offset))) => Ok(TrimBefore::Offset(offset.unsigned_abs())),
        Some(Ok(Point::Time(nanos))) => Ok(TrimBefore::Time(nanos)),
        Some(Err(reason)) => Err(reason),
        None => {
            Err("takes an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)".to_owned())
        }
    }
}

enum Point {
    Offset(i64),
    Time(i64),
}

/// None if the text has neither form.
fn point(text: &str, now: i64) -> Option<Result<Point, String>> {
    if let Some(when) = text.strip_prefix("time:") {
        return Some(time::parse(when, now).map(Point::Time));
    }
    let offset: i64 = text.strip_prefix("offset:").unwrap_or(text).parse().ok()?;
    Some(if offset < 0 {
        Err("an offset cannot be negative".to_owned())
    } else {
        Ok(Point::Offset(offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_start_is_read() {
        let cases = [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("new", Start::New),
            ("7", Start::Offset(7)),
            ("offset:7", Start::Offset(7)),
            ("time:1970-01-01T00:00:01Z", Start::Time(1_000_000_000)),
            ("time:1s", Start::Time(9_000_000_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(start(text, 10_000_000_000), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_way_to_end_is_read() {
        let cases = [
            ("latest", End::Latest),
            ("offset:0", End::Offset(0)),
            ("time:0", End::Time(0)),
        ];
        for (text, expected) in cases {
            assert_eq!(end(text, 0), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_point_to_trim_before_is_read() {
        assert_eq!(before("7", 0), Ok(TrimBefore::Offset(7)));
        assert_eq!(before("offset:0", 0), Ok(TrimBefore::Offset(0)));
        assert_eq!(
            before("time:1s", 10_000_000_000),
            Ok(TrimBefore::Time(9_000_000_000))
        );
        for text in ["", "-1", "latest", "earliest", "time:soon"] {
            assert!(before(text, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "first",
            "-1",
            "offset:x",
            "time:",
            "time:soon",
            "99999999999999999999",
        ] {
            assert!(start(text, 0).is_err() && end(text, 0).is_err(), "{text}");
        }
        assert!(end("earliest", 0).is_err());
    }
}
