//! Where readers are who may go on.

use std::collections::HashMap;

use strandline_core::{LogId, Offset};

use super::ahead::Direction;
use super::order::{Order, Turn};

/// Readers that are known; whoever was not heard of for the longest time is forgotten, and known again with his second read.
const MAX_READERS: usize = 4096;

/// Where a reader would read on.
pub(super) type Track = (LogId, Direction, Offset);

/// Where reads ended. A read that begins there is taken for one of a reader who goes through the log, and for nothing else is
/// more fetched than asked for.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    known: HashMap<Track, Turn>,
    order: Order<Track>,
}

impl Tracks {
    /// Whether a read ended here.
    pub(super) fn is_known(&self, track: &Track) -> bool {
        self.known.contains_key(track)
    }

    /// A read from one place ended at another.
    pub(super) fn moved(&mut self, from: &Track, to: Track) {
        for track in [from, &to] {
            if let Some(turn) = self.known.remove(track) {
                self.order.remove(turn);
            }
        }
        while self.order.len() >= MAX_READERS {
            if let Some(oldest) = self.order.pop_oldest() {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(to, self.order.add(to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(offset: u64) -> Track {
        (LogId::new(1), Direction::Forward, Offset::new(offset))
    }

    #[test]
    fn a_reader_is_known_where_it_is_and_not_where_it_was() {
        let mut tracks = Tracks::default();
        tracks.moved(&track(0), track(5));
        tracks.moved(&track(5), track(9));
        assert_eq!(
            [0, 5, 9].map(|at| tracks.is_known(&track(at))),
            [false, false, true]
        );
        let (log, _, offset) = track(9);
        assert!(!tracks.is_known(&(log, Direction::Backward, offset)));
    }

    #[test]
    fn only_so_many_are_known() {
        let mut tracks = Tracks::default();
        for offset in 0..2 * MAX_READERS as u64 {
            tracks.moved(&track(u64::MAX), track(offset));
        }
        assert_eq!(tracks.known.len(), MAX_READERS);
        assert_eq!(tracks.order.len(), MAX_READERS);
        assert!(!tracks.is_known(&track(0)));
    }
}
