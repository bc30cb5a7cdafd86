//! Which blocks are fetched in one request, and which before anybody asks for them.

use std::ops::Range;

/// Which way a reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::tiered) enum Direction {
    /// To newer records.
    Forward,
    /// To older records.
    Backward,
}

/// The blocks of an object as these decisions see them.
pub(super) struct Row<L, A> {
    /// How many there are.
    pub(super) count: usize,
    /// Bytes of one.
    pub(super) length: L,
    /// Whether one is neither at hand nor on its way.
    pub(super) is_absent: A,
}

impl<L: Fn(usize) -> u64, A: Fn(usize) -> bool> Row<L, A> {
    /// The blocks to fetch in one request: an absent one and those that follow it, as many as are absent and are no more than so
    /// many bytes together.
    pub(super) fn window(&self, first: usize, direction: Direction, max_bytes: u64) -> Range<usize> {
        let (mut last, mut bytes) = (first, (self.length)(first));
        for number in self.after(first, direction) {
            bytes += (self.length)(number);
            if bytes > max_bytes || !(self.is_absent)(number) {
                break;
            }
            last = number;
        }
        first.min(last)..first.max(last) + 1
    }

    /// The first absent block behind the one that is read, unless so many bytes are there before it.
    pub(super) fn frontier(&self, at: usize, direction: Direction, enough: u64) -> Option<usize> {
        let mut bytes = 0;
        for number in self.after(at, direction) {
            if (self.is_absent)(number) {
                return Some(number);
            }
            bytes += (self.length)(number);
            if bytes > enough {
                return None;
            }
        }
        None
    }

    /// Whether no more than so many bytes follow a block.
    pub(super) fn is_near_the_end(&self, at: usize, direction: Direction, bytes: u64) -> bool {
        let mut left = 0;
        self.after(at, direction).all(|number| {
            left += (self.length)(number);
            left <= bytes
        })
    }

    fn after(&self, at: usize, direction: Direction) -> Box<dyn Iterator<Item = usize>> {
        match direction {
            Direction::Forward => Box::new(at + 1..self.count),
            Direction::Backward => Box::new((0..at).rev()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{Backward, Forward};
    use super::*;

    /// Twenty blocks of 10 bytes of which these are there.
    fn row(there: &[usize]) -> Row<impl Fn(usize) -> u64, impl Fn(usize) -> bool> {
        Row {
            count: 20,
            length: |_| 10,
            is_absent: move |number| !there.contains(&number),
        }
    }

    #[test]
    fn a_request_takes_what_follows_up_to_its_size_the_end_and_what_is_there() {
        let window = |there: &[usize], first, direction, bytes| row(there).window(first, direction, bytes);
        assert_eq!(window(&[], 3, Forward, 40), 3..7);
        assert_eq!(window(&[], 3, Forward, 49), 3..7);
        assert_eq!(window(&[], 3, Forward, 0), 3..4, "one comes always");
        assert_eq!(window(&[], 18, Forward, 80), 18..20);
        assert_eq!(window(&[5, 6], 3, Forward, 80), 3..5);
        assert_eq!(window(&[], 9, Backward, 30), 7..10);
        assert_eq!(window(&[7], 9, Backward, 80), 8..10);
        assert_eq!(window(&[], 1, Backward, 80), 0..2);
    }

    #[test]
    fn a_reader_has_at_least_one_request_ahead_and_no_more_than_two() {
        let mut there: Vec<usize> = vec![0];
        let mut requests = Vec::new();
        for at in 0..20 {
            loop {
                let Some(first) = row(&there).frontier(at, Forward, 40) else {
                    break;
                };
                let range = row(&there).window(first, Forward, 40);
                requests.push((at, range.clone()));
                there.extend(range);
            }
            let ahead = there.iter().filter(|&&number| number > at).count();
            assert!(
                ahead <= 8 && (ahead >= 4 || there.len() == 20),
                "{ahead} ahead of {at}"
            );
        }
        let expected = [(0, 1..5), (0, 5..9), (4, 9..13), (8, 13..17), (12, 17..20)];
        assert_eq!(requests, expected);
    }

    #[test]
    fn a_segment_of_256_mib_costs_32_requests_in_a_row_and_33_at_the_start() {
        const MIB: u64 = 1 << 20;
        for (read_first, expected) in [(0, 32), (1, 33)] {
            let row = Row {
                count: 256,
                length: |_| MIB,
                is_absent: |number| number >= read_first,
            };
            let (mut next, mut requests) = (read_first, read_first);
            while next < 256 {
                next = row.window(next, Forward, 8 * MIB).end;
                requests += 1;
            }
            // With a footer for each segment that is below 150 for a GiB.
            assert_eq!(requests, expected);
        }
    }

    #[test]
    fn the_end_is_near_when_less_than_a_request_is_left() {
        let near = |at, direction| row(&[]).is_near_the_end(at, direction, 40);
        assert_eq!([14, 15, 19].map(|at| near(at, Forward)), [false, true, true]);
        assert_eq!([5, 4, 0].map(|at| near(at, Backward)), [false, true, true]);
    }
}
