//! Where frames go that are made on a thread which must not wait for the client.

use bytes::{Bytes, BytesMut};

use super::super::frame_buffers::{FRAMES_MAX_BYTES, FrameBuffers};
use super::super::frames::FrameQueue;
use super::QUEUE_MAX_BYTES;

/// Collects frames and queues them, many together, while the queue has room; keeps them when it has none.
#[derive(Debug)]
pub(super) struct Outlet<'a> {
    queue: &'a FrameQueue,
    buffers: &'a mut FrameBuffers,
    /// Room to ask for in a buffer.
    expected: usize,
    out: BytesMut,
    left: Vec<Bytes>,
}

impl<'a> Outlet<'a> {
    /// For frames of about so many bytes.
    pub(super) fn new(queue: &'a FrameQueue, buffers: &'a mut FrameBuffers, expected: usize) -> Self {
        Self {
            queue,
            buffers,
            expected,
            out: BytesMut::new(),
            left: Vec::new(),
        }
    }

    /// Where the next frame goes.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        if self.out.len() >= FRAMES_MAX_BYTES {
            self.flush();
        }
        if self.out.capacity() == 0 {
            self.out = self.buffers.take(self.expected);
        }
        &mut self.out
    }

    /// Whether the client has to be waited for, or has gone.
    pub(super) fn is_full(&self) -> bool {
        !self.left.is_empty() || !self.queue.has_room(QUEUE_MAX_BYTES)
    }

    /// Queues what was collected. What there was no room for comes back, in order.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        self.left
    }

    /// Queues what was collected, unless the client has to be waited for.
    pub(super) fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let frames = self.buffers.seal(std::mem::take(&mut self.out));
        // Only this subscription queues frames, so that nothing overtakes.
        if self.is_full() {
            self.left.push(frames);
        } else {
            self.queue.push(frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::QueueNumbers;

    #[test]
    fn frames_are_queued_in_order_while_there_is_room_and_come_back_when_there_is_none() {
        let queue = FrameQueue::new(QueueNumbers::default());
        let mut buffers = FrameBuffers::default();
        let mut outlet = Outlet::new(&queue, &mut buffers, 100);
        let pieces = 2 + QUEUE_MAX_BYTES / FRAMES_MAX_BYTES;
        for number in 0..=pieces {
            assert_eq!(outlet.is_full(), number == pieces, "piece {number}");
            outlet.room().resize(FRAMES_MAX_BYTES, number as u8);
        }
        let left = outlet.finish();
        let first = |frames: &Bytes| usize::from(frames[0]);
        assert_eq!(
            left.iter().map(first).collect::<Vec<_>>(),
            [pieces - 1, pieces],
            "all before were queued"
        );
    }
}
