//! Cuts a gRPC byte stream into messages.

use bytes::Bytes;

/// Bytes before each message: a flag and its length.
pub const FRAME_PREFIX_BYTES: usize = 5;

/// Room that is kept for the next message that comes in pieces; more is given back.
const KEEP_BYTES: usize = 64 << 10;

/// Takes the DATA frames of a call as they come and hands out whole messages. A message that lies whole in one DATA frame
/// is not copied; only one that is cut by a border is.
#[derive(Debug)]
pub struct FrameReader {
    max_message_bytes: usize,
    data: Bytes,
    at: usize,
    partial: Vec<u8>,
    partial_is_whole: bool,
}

/// Why a byte stream is not a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message announces more bytes than are allowed.
    #[error("message of {bytes} bytes is over the limit of {max_bytes} bytes")]
    TooLarge {
        /// Announced length.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The flag byte says that a message is compressed, which was not agreed on.
    #[error("message is compressed, which this server does not accept")]
    Compressed,
}

impl FrameReader {
    /// A reader that refuses messages over this length.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            data: Bytes::new(),
            at: 0,
            partial: Vec::new(),
            partial_is_whole: false,
        }
    }

    /// Takes the next DATA frame.
    pub fn push(&mut self, data: Bytes) {
        let rest = self.data.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            self.data = data;
        } else {
            self.data = [rest, &data].concat().into();
        }
        self.at = 0;
    }

    /// The next whole message; none until more data comes.
    ///
    /// # Errors
    ///
    /// The stream cannot be read on; every later call says the same.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if std::mem::take(&mut self.partial_is_whole) {
            self.partial.clear();
            self.partial.shrink_to(KEEP_BYTES);
        }
        if !self.partial.is_empty() {
            return self.finish_partial();
        }
        let rest = self.data.get(self.at..).unwrap_or_default();
        match self.whole_length(rest)? {
            Some(length) if length <= rest.len() => {
                let start = self.at + FRAME_PREFIX_BYTES;
                self.at += length;
                Ok(self.data.get(start..self.at))
            }
            _ => {
                self.partial
                    .extend_from_slice(self.data.get(self.at..).unwrap_or_default());
                self.drop_data();
                Ok(None)
            }
        }
    }

    /// Whether a message has begun that is not whole yet.
    pub fn is_mid_frame(&self) -> bool {
        (!self.partial.is_empty() && !self.partial_is_whole) || self.at < self.data.len()
    }

    fn finish_partial(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.fill_partial(FRAME_PREFIX_BYTES);
        let Some(length) = self.whole_length(&self.partial)? else {
            return Ok(None);
        };
        self.fill_partial(length);
        if self.partial.len() < length {
            return Ok(None);
        }
        self.partial_is_whole = true;
        Ok(self.partial.get(FRAME_PREFIX_BYTES..))
    }

    /// Moves data to the partial message until it has this length.
    fn fill_partial(&mut self, length: usize) {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let missing = length.saturating_sub(self.partial.len()).min(rest.len());
        self.partial
            .extend_from_slice(rest.get(..missing).unwrap_or_default());
        self.at += missing;
        if self.at == self.data.len() {
            self.drop_data();
        }
    }

    /// Lets go of the connection's buffer while waiting for more.
    fn drop_data(&mut self) {
        self.data = Bytes::new();
        self.at = 0;
    }

    /// Length of the frame that these bytes begin, once they say so.
    fn whole_length(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(([flag, length @ ..], _)) = bytes.split_first_chunk::<FRAME_PREFIX_BYTES>() else {
            return Ok(None);
        };
        if *flag != 0 {
            return Err(FrameError::Compressed);
        }
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes > self.max_message_bytes {
            return Err(FrameError::TooLarge {
                bytes,
                max_bytes: self.max_message_bytes,
            });
        }
        Ok(Some(FRAME_PREFIX_BYTES + bytes))
    }
}
