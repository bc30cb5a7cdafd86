//! Between the wire's values and core's.

use strandline_core::Offset;
use strandline_core::stream::{AckPolicy, ExpectedOffset};

mod metadata;
mod nullable;
mod position;
mod stream;

pub use metadata::{
    PartitionProgress, broker, partition_metadata, stream_metadata, unknown_group, unknown_stream,
};
pub use position::{StartAt, StopAt, UnknownPosition, start_at, stop_at};
pub use stream::{NegativeSetting, stream_settings};

/// The wire's number for "none".
pub const NONE: i64 = -1;

/// An exclusive end as the wire's inclusive last offset: HW and LEO of an empty partition are -1.
pub fn inclusive(end: Offset) -> i64 {
    end.before()
        .map_or(NONE, |last| i64::try_from(last.get()).unwrap_or(i64::MAX))
}

/// An offset as the wire's number.
pub fn wire_offset(offset: Offset) -> i64 {
    i64::try_from(offset.get()).unwrap_or(i64::MAX)
}

/// The offset in an ack: -1 when a filter kept the message out of the stream.
pub fn wire_ack_offset(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, wire_offset)
}

/// The policy with this number on the wire, if there is one.
pub fn ack_policy(number: i32) -> Option<AckPolicy> {
    match number {
        0 => Some(AckPolicy::Leader),
        1 => Some(AckPolicy::All),
        2 => Some(AckPolicy::None),
        _ => None,
    }
}

/// A policy's number on the wire.
pub fn ack_policy_number(policy: AckPolicy) -> i32 {
    match policy {
        AckPolicy::Leader => 0,
        AckPolicy::All => 1,
        AckPolicy::None => 2,
    }
}

/// The wire's expected offset, where -1 means "any".
pub fn expected_offset(number: i64) -> ExpectedOffset {
    if number == NONE {
        ExpectedOffset::Any
    } else {
        ExpectedOffset::Exactly(number)
    }
}

/// An expectation as the wire's number.
pub fn expected_offset_number(expected: ExpectedOffset) -> i64 {
    match expected {
        ExpectedOffset::Any => NONE,
        ExpectedOffset::Exactly(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_empty_partition_is_minus_one_on_the_wire() {
        assert_eq!(inclusive(Offset::ZERO), -1);
        assert_eq!(inclusive(Offset::new(5)), 4);
    }

    #[test]
    fn policies_keep_their_numbers() {
        for number in 0..3 {
            assert_eq!(ack_policy(number).map(ack_policy_number), Some(number));
        }
        assert_eq!(ack_policy(3), None);
        assert_eq!(ack_policy(-1), None);
    }
}
