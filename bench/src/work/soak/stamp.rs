//! Records that tell who published them and when in turn.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::error::BenchError;
use crate::message::Template;

/// Bits of a stamp that number the records of one publisher.
const NUMBER_BITS: u32 = 56;
/// The stamp of the record that is published when all others are acked.
const LAST: u64 = u64::MAX;

/// Records of a publisher, stamped and ready for the socket.
pub(super) fn stamped(template: &Template, publisher: usize, numbers: Range<u64>) -> Bytes {
    let mut bytes = BytesMut::new();
    for number in numbers {
        let stamp = ((publisher as u64) << NUMBER_BITS) | number;
        template.put_stamped(&mut bytes, &stamp.to_be_bytes());
    }
    bytes.freeze()
}

/// The last record of all.
pub(super) fn last(template: &Template) -> Bytes {
    let mut bytes = BytesMut::new();
    template.put_stamped(&mut bytes, &LAST.to_be_bytes());
    bytes.freeze()
}

/// One reader's account of what has come back.
#[derive(Debug)]
pub(super) struct ReadBack {
    /// What every record holds behind its stamp.
    content: Vec<u8>,
    /// For each publisher, the number that comes next.
    pub(super) next: Vec<u64>,
    pub(super) is_over: bool,
}

impl ReadBack {
    pub(super) fn new(value: &[u8], publishers: usize) -> Self {
        Self {
            content: value.get(size_of::<u64>()..).unwrap_or_default().to_vec(),
            next: vec![0; publishers],
            is_over: false,
        }
    }

    /// Takes the next record: the one that follows the publisher's last, or the last of all.
    pub(super) fn take(&mut self, value: &[u8]) -> Result<(), BenchError> {
        let wrong = |reason: String| BenchError::WrongRecord { reason };
        let Some((stamp, content)) = value.split_first_chunk() else {
            return Err(wrong(format!("one has {} bytes only", value.len())));
        };
        if content != self.content {
            return Err(wrong(format!("the content of {stamp:02x?} has changed")));
        }
        let stamp = u64::from_be_bytes(*stamp);
        if self.is_over {
            return Err(wrong(format!("{stamp:#x} comes after the last")));
        }
        if stamp == LAST {
            self.is_over = true;
            return Ok(());
        }
        let (publisher, number) = (stamp >> NUMBER_BITS, stamp & ((1 << NUMBER_BITS) - 1));
        let next = usize::try_from(publisher)
            .ok()
            .and_then(|publisher| self.next.get_mut(publisher));
        match next {
            Some(next) if *next == number => {
                *next += 1;
                Ok(())
            }
            Some(next) => Err(wrong(format!(
                "number {number} of publisher {publisher} comes where {next} should"
            ))),
            None => Err(wrong(format!("there is no publisher {publisher}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &[u8] = b"--------content";

    fn template() -> Template {
        Template {
            bytes: VALUE.to_vec(),
            value_at: 0,
        }
    }

    fn read(records: &[Bytes]) -> Result<ReadBack, String> {
        let mut back = ReadBack::new(VALUE, 2);
        for value in records.iter().flat_map(|bytes| bytes.chunks(VALUE.len())) {
            back.take(value).map_err(|error| error.to_string())?;
        }
        Ok(back)
    }

    #[test]
    fn publishers_may_interleave_and_their_own_records_come_in_turn() {
        let t = template();
        let records = [
            stamped(&t, 0, 0..3),
            stamped(&t, 1, 0..2),
            stamped(&t, 0, 3..4),
            last(&t),
        ];
        let back = read(&records).unwrap();
        assert_eq!((back.next, back.is_over), (vec![4, 2], true));
    }

    #[test]
    fn a_record_that_is_missing_twice_there_foreign_changed_or_late_is_told() {
        let t = template();
        let changed = Template {
            bytes: b"--------Content".to_vec(),
            ..t
        };
        for (records, says) in [
            (
                vec![stamped(&t, 0, 0..2), stamped(&t, 0, 3..4)],
                "number 3 of publisher 0 comes where 2 should",
            ),
            (
                vec![stamped(&t, 1, 0..2), stamped(&t, 1, 1..2)],
                "number 1 of publisher 1 comes where 2 should",
            ),
            (vec![stamped(&t, 7, 0..1)], "there is no publisher 7"),
            (vec![stamped(&changed, 0, 0..1)], "has changed"),
            (vec![Bytes::from_static(b"short")], "5 bytes only"),
            (vec![last(&t), stamped(&t, 0, 0..1)], "after the last"),
        ] {
            let said = read(&records).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
