//! The bytes of a client that are not understood yet.

use super::pool;
use crate::server::Share;

/// More unread bytes than this are accounted for while the connection waits for the rest.
const FREE_UNREAD: usize = 8 * 1024;
/// Bytes of a share of the memory for unfinished operations are counted in these.
pub(crate) const ALLOWANCE_UNIT: usize = 1024;

/// A connection's read buffer. An idle connection has none; one that waits for the rest of a small operation has a small
/// one; a large payload gets a buffer of its size, paid for from what the server has for unfinished operations.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    buffer: Vec<u8>,
    start: usize,
    /// Unread bytes from which parsing can bring news.
    needed: usize,
    paid: Option<Share>,
}

impl Intake {
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Whether parsing can bring news.
    pub(crate) fn is_ripe(&self) -> bool {
        let unread = self.unread().len();
        unread > 0 && unread >= self.needed
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.buffer.len());
        self.needed = 0;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// The parser wants to see this many unread bytes.
    pub(crate) fn require(&mut self, needed: usize) {
        self.needed = needed;
    }

    /// Units of [`ALLOWANCE_UNIT`] to be paid before more is read: the size of an operation whose beginning waits for
    /// its end, unless it is small. What was paid before is given back.
    pub(crate) fn unpaid(&mut self) -> Option<u32> {
        let size = self.needed.max(self.unread().len());
        if self.unread().is_empty() || size <= FREE_UNREAD {
            return None;
        }
        let units = u32::try_from(size.div_ceil(ALLOWANCE_UNIT)).unwrap_or(u32::MAX);
        let paid = self.paid.as_ref().map_or(0, Share::units);
        if units <= paid {
            return None;
        }
        self.paid = None;
        Some(units)
    }

    pub(crate) fn pay(&mut self, share: Share) {
        self.paid = Some(share);
    }

    /// The buffer with room for more; what is read is appended to it.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        let unread = self.unread().len();
        let wanted = self.needed.max(unread + 1);
        let missing = wanted - unread;
        if self.buffer.capacity() < wanted.max(pool::BUFFER_SIZE) {
            let mut larger = if wanted <= pool::BUFFER_SIZE {
                pool::take()
            } else {
                Vec::with_capacity(wanted)
            };
            larger.extend_from_slice(self.unread());
            pool::give(std::mem::replace(&mut self.buffer, larger));
            self.start = 0;
        } else if self.start > 0
            && self.buffer.capacity() - self.buffer.len() < missing.max(pool::BUFFER_SIZE / 4)
        {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        &mut self.buffer
    }

    /// Gives up what an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        let unread = self.unread().len();
        if unread > FREE_UNREAD {
            return;
        }
        if unread == 0 || self.needed <= FREE_UNREAD {
            let kept = self.unread().to_vec();
            pool::give(std::mem::replace(&mut self.buffer, kept));
            self.start = 0;
            self.paid = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_intake_owns_no_buffer() {
        let mut intake = Intake::default();
        intake.room().extend_from_slice(b"PING\r\nPI");
        intake.consume(6);
        assert_eq!(intake.unread(), b"PI");
        intake.rest();
        assert!(intake.buffer.capacity() <= 8 && intake.unread() == b"PI");
        intake.room().extend_from_slice(b"NG\r\n");
        intake.consume(6);
        intake.rest();
        assert_eq!(intake.buffer.capacity(), 0);
    }

    #[test]
    fn a_large_payload_gets_room_once_and_must_be_paid_for() {
        let mut intake = Intake::default();
        intake.room().extend_from_slice(b"PUB a 300000\r\n");
        assert!(intake.unpaid().is_none());
        intake.require(300_016);
        assert_eq!(intake.unpaid(), Some(293));
        assert!(!intake.is_ripe());
        assert!(intake.room().capacity() >= 300_016);
        assert_eq!(intake.unread(), b"PUB a 300000\r\n");
    }

    #[test]
    fn bytes_stay_in_order_however_the_buffer_moves() {
        let mut intake = Intake::default();
        let (mut sent, mut seen) = (0_u8, 0_u8);
        for round in 0..5000_usize {
            let room = intake.room();
            let free = (room.capacity() - room.len()).min(round % 97 * 64 + 1);
            (0..free).for_each(|_| {
                room.push(sent);
                sent = sent.wrapping_add(1);
            });
            let take = intake.unread().len() * (round % 3) / 2;
            for byte in intake.unread().iter().take(take) {
                assert_eq!(*byte, seen);
                seen = seen.wrapping_add(1);
            }
            intake.consume(take);
            if round % 7 == 0 {
                intake.rest();
            }
        }
    }
}
