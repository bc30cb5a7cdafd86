//! What a filtered subscription does in one go on a thread that may block.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::filtered::{FilterFailure, Question};
use super::outlet::Outlet;
use super::{FrameQueue, Reader, Subscription};
use crate::plugins::NotReady;
use crate::reader::ReadEnd;

/// How long a turn goes on reading. Each costs two switches between threads, which are worth a hundred records.
const TURN_MAX: Duration = Duration::from_millis(10);
/// Who reads less at once has caught up, and gets what passed at once: frames wait for no more than would fill a buffer otherwise.
const TAIL_BYTES: usize = 64 << 10;

/// How a turn ended.
#[derive(Debug)]
pub(super) struct Turn {
    /// Frames that the queue had no room for, in order.
    pub(super) left: Vec<Bytes>,
    pub(super) end: TurnEnd,
}

/// Why a turn ended.
#[derive(Debug)]
pub(super) enum TurnEnd {
    /// There is nothing to read, the client has to be waited for, or it was long enough.
    Pause,
    /// The subscription is over.
    Over(ReadEnd),
    /// A filter does not work, and has not been asked this.
    NotReady(NotReady, Question),
}

impl Subscription {
    /// Asks the filters, reads on and asks again. Blocks, for the length of a turn and of one question.
    pub(super) fn turn(&mut self, mut question: Question, queue: &FrameQueue) -> Turn {
        let Self {
            reader,
            framer,
            buffers,
            outbound,
            tells_progress,
        } = self;
        let since = Instant::now();
        let expected = question.bytes() + question.bytes() / 4;
        let mut outlet = Outlet::new(queue, buffers, expected);
        let end = loop {
            match question.ask(outbound, framer, *tells_progress, &mut outlet) {
                Err(not_ready) => break TurnEnd::NotReady(not_ready, question),
                Ok(Some(FilterFailure { offset, reason })) => {
                    break TurnEnd::Over(ReadEnd::FilterFailed { offset, reason });
                }
                Ok(None) => {}
            }
            if question.bytes() < TAIL_BYTES {
                outlet.flush();
            }
            let Reader::Forward(reader) = &mut *reader else {
                break TurnEnd::Pause;
            };
            if outlet.is_full() || since.elapsed() >= TURN_MAX || !outbound.is_active() {
                break TurnEnd::Pause;
            }
            question = match reader.next_at_once() {
                Ok(Some(records)) => Question::forward(&records),
                Ok(None) => break TurnEnd::Pause,
                Err(end) => break TurnEnd::Over(end),
            };
        };
        Turn {
            left: outlet.finish(),
            end,
        }
    }
}
