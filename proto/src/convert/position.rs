//! Where subscriptions begin and end.

use strandline_core::Timestamp;

use crate::api::{StartPosition, StopPosition, SubscribeRequest};

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// After the newest record.
    #[default]
    NewOnly,
    /// At this offset as the client sent it; may be negative or beyond the end.
    Offset(i64),
    /// At the oldest record.
    Earliest,
    /// At the newest record.
    Latest,
    /// At the first record at or after this time.
    Time(Timestamp),
}

/// Where a subscription ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopAt {
    /// When the client ends it.
    #[default]
    OnCancel,
    /// After this offset as the client sent it; may be negative or beyond the end.
    Offset(i64),
    /// After the record that is the newest when the subscription begins.
    Latest,
    /// After the last record at or before this time.
    Time(Timestamp),
}

/// A number that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPosition {
    /// It was to be a start position.
    #[error("Unknown StartPosition {0}")]
    Start(i32),
    /// It was to be a stop position.
    #[error("Unknown StopPosition {0}")]
    Stop(i32),
}

/// Where a request wants its subscription to begin. Fields that do not belong to the position are not looked at: clients
/// leave noise in them.
///
/// # Errors
///
/// The position is none that is known.
pub fn start_at(request: &SubscribeRequest) -> Result<StartAt, UnknownPosition> {
    let position = StartPosition::try_from(request.start_position);
    match position.map_err(|_| UnknownPosition::Start(request.start_position))? {
        StartPosition::NewOnly => Ok(StartAt::NewOnly),
        StartPosition::Offset => Ok(StartAt::Offset(request.start_offset)),
        StartPosition::Earliest => Ok(StartAt::Earliest),
        StartPosition::Latest => Ok(StartAt::Latest),
        StartPosition::Timestamp => Ok(StartAt::Time(Timestamp::from_nanos(request.start_timestamp))),
    }
}

/// Where a request wants its subscription to end, see [`start_at`].
///
/// # Errors
///
/// The position is none that is known.
pub fn stop_at(request: &SubscribeRequest) -> Result<StopAt, UnknownPosition> {
    let position = StopPosition::try_from(request.stop_position);
    match position.map_err(|_| UnknownPosition::Stop(request.stop_position))? {
        StopPosition::StopOnCancel => Ok(StopAt::OnCancel),
        StopPosition::StopOffset => Ok(StopAt::Offset(request.stop_offset)),
        StopPosition::StopLatest => Ok(StopAt::Latest),
        StopPosition::StopTimestamp => Ok(StopAt::Time(Timestamp::from_nanos(request.stop_timestamp))),
    }
}

impl StartAt {
    /// Writes the position into a request.
    pub fn set(self, request: &mut SubscribeRequest) {
        let position = match self {
            Self::NewOnly => StartPosition::NewOnly,
            Self::Offset(offset) => {
                request.start_offset = offset;
                StartPosition::Offset
            }
            Self::Earliest => StartPosition::Earliest,
            Self::Latest => StartPosition::Latest,
            Self::Time(time) => {
                request.start_timestamp = time.nanos();
                StartPosition::Timestamp
            }
        };
        request.set_start_position(position);
    }
}

impl StopAt {
    /// Writes the position into a request.
    pub fn set(self, request: &mut SubscribeRequest) {
        let position = match self {
            Self::OnCancel => StopPosition::StopOnCancel,
            Self::Offset(offset) => {
                request.stop_offset = offset;
                StopPosition::StopOffset
            }
            Self::Latest => StopPosition::StopLatest,
            Self::Time(time) => {
                request.stop_timestamp = time.nanos();
                StopPosition::StopTimestamp
            }
        };
        request.set_stop_position(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_the_wire() {
        let time = Timestamp::from_nanos(-7);
        let starts = [
            StartAt::NewOnly,
            StartAt::Offset(-5),
            StartAt::Earliest,
            StartAt::Latest,
            StartAt::Time(time),
        ];
        for (number, start) in (0..).zip(starts) {
            let mut request = SubscribeRequest::default();
            start.set(&mut request);
            assert_eq!((request.start_position, start_at(&request)), (number, Ok(start)));
        }
        let stops = [
            StopAt::OnCancel,
            StopAt::Offset(9),
            StopAt::Latest,
            StopAt::Time(time),
        ];
        for (number, stop) in (0..).zip(stops) {
            let mut request = SubscribeRequest::default();
            stop.set(&mut request);
            assert_eq!((request.stop_position, stop_at(&request)), (number, Ok(stop)));
        }
    }

    #[test]
    fn noise_in_fields_of_other_positions_does_not_matter() {
        let noise = i64::MIN + 5;
        let request = SubscribeRequest {
            start_position: StartPosition::Earliest.into(),
            start_offset: noise,
            start_timestamp: noise,
            stop_offset: noise,
            stop_timestamp: noise,
            ..SubscribeRequest::default()
        };
        assert_eq!(start_at(&request), Ok(StartAt::Earliest));
        assert_eq!(stop_at(&request), Ok(StopAt::OnCancel));
    }

    #[test]
    fn unknown_positions_are_refused_with_liftbridges_texts() {
        let request = SubscribeRequest {
            start_position: 5,
            stop_position: -1,
            ..SubscribeRequest::default()
        };
        assert_eq!(
            start_at(&request).unwrap_err().to_string(),
            "Unknown StartPosition 5"
        );
        assert_eq!(
            stop_at(&request).unwrap_err().to_string(),
            "Unknown StopPosition -1"
        );
    }
}
