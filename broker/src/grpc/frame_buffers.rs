//! Memory for the frames of one subscription.

use bytes::{Bytes, BytesMut};

/// Frames that are handed over together.
pub(super) const FRAMES_MAX_BYTES: usize = 256 << 10;
/// Room in a buffer: the last frame may go beyond the limit by its length.
const BUFFER_BYTES: usize = FRAMES_MAX_BYTES + (16 << 10);
/// Buffers that are kept: as many as a subscription has on the way to its client.
const KEPT: usize = 6;

/// Large buffers that are used again once their frames are sent. A subscription that replays needs hundreds of them a second;
/// one that tails needs none, and keeps none.
#[derive(Debug, Default)]
pub(super) struct FrameBuffers {
    /// The one that has been away for the longest time comes first.
    away: std::collections::VecDeque<BytesMut>,
}

impl FrameBuffers {
    /// An empty buffer for about so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> BytesMut {
        if bytes < BUFFER_BYTES / 4 {
            self.away.clear();
            return BytesMut::with_capacity(bytes);
        }
        if let Some(mut buffer) = self.away.pop_front() {
            if buffer.try_reclaim(BUFFER_BYTES) {
                return buffer;
            }
            self.away.push_front(buffer);
        }
        BytesMut::with_capacity(BUFFER_BYTES)
    }

    /// The frames in a buffer, ready to be sent. A few are copied: they would keep a large buffer from being used.
    pub(super) fn seal(&mut self, mut buffer: BytesMut) -> Bytes {
        if buffer.capacity() >= BUFFER_BYTES && buffer.len() < BUFFER_BYTES / 4 {
            let frames = Bytes::copy_from_slice(&buffer);
            buffer.clear();
            self.away.truncate(KEPT - 1);
            self.away.push_front(buffer);
            return frames;
        }
        let frames = buffer.split().freeze();
        if frames.len() >= BUFFER_BYTES / 4 && self.away.len() < KEPT {
            self.away.push_back(buffer);
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_frames_are_sent() {
        let mut buffers = FrameBuffers::default();
        let fill = |buffers: &mut FrameBuffers| {
            let mut buffer = buffers.take(BUFFER_BYTES);
            buffer.resize(FRAMES_MAX_BYTES, 1);
            let place = buffer.as_ptr();
            (place, buffers.seal(buffer))
        };
        let (first, frames) = fill(&mut buffers);
        let (second, more) = fill(&mut buffers);
        assert_ne!(first, second, "the first is still on its way");
        drop(frames);
        assert_eq!(fill(&mut buffers).0, first);
        assert!(more.iter().all(|&byte| byte == 1));
    }

    #[test]
    fn a_few_frames_leave_a_large_buffer_for_the_next() {
        let mut buffers = FrameBuffers::default();
        let mut buffer = buffers.take(BUFFER_BYTES);
        buffer.extend_from_slice(b"few");
        let place = buffer.as_ptr();
        let frames = buffers.seal(buffer);
        assert_eq!(frames, "few");
        assert_eq!(
            buffers.take(BUFFER_BYTES).as_ptr(),
            place,
            "while they are on their way"
        );
    }

    #[test]
    fn a_subscription_that_tails_keeps_nothing() {
        let mut buffers = FrameBuffers::default();
        let mut buffer = buffers.take(BUFFER_BYTES);
        buffer.resize(FRAMES_MAX_BYTES, 1);
        drop(buffers.seal(buffer));
        let mut small = buffers.take(100);
        small.extend_from_slice(b"x");
        drop(buffers.seal(small));
        assert!(buffers.away.is_empty());
    }
}
