//! The blank-separated words of a control line.

/// One more than any operation takes, so that a surplus word is seen.
const MAX_WORDS: usize = 5;
/// More digits than this cannot be a size that is allowed.
const MAX_SIZE_DIGITS: usize = 9;

/// A complete control line after its operation name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'a> {
    words: [&'a [u8]; MAX_WORDS],
    count: usize,
    /// Bytes from the first argument byte to the one after the line end.
    pub(super) line_len: usize,
}

/// The state of a control line.
pub(super) enum Line<'a> {
    Complete(Arguments<'a>),
    Incomplete,
    TooLong,
}

impl<'a> Arguments<'a> {
    /// Splits the first line of `input`, whose arguments may be at most `limit` bytes without the line end.
    pub(super) fn split(input: &'a [u8], limit: usize) -> Line<'a> {
        let mut arguments = Self {
            words: [&[]; MAX_WORDS],
            count: 0,
            line_len: 0,
        };
        let mut word_start = None;
        // Two bytes more than the limit: the line end may be CR LF.
        for (at, byte) in input.iter().enumerate().take(limit.saturating_add(2)) {
            match byte {
                b'\n' => {
                    let end = if at > 0 && input.get(at - 1) == Some(&b'\r') {
                        at - 1
                    } else {
                        at
                    };
                    if end > limit {
                        return Line::TooLong;
                    }
                    if let Some(start) = word_start {
                        arguments.add(input.get(start..end));
                    }
                    arguments.line_len = at + 1;
                    return Line::Complete(arguments);
                }
                b' ' | b'\t' => {
                    if let Some(start) = word_start.take() {
                        arguments.add(input.get(start..at));
                    }
                }
                _ if word_start.is_none() => word_start = Some(at),
                _ => {}
            }
        }
        let overlong = match input.get(limit) {
            None => false,
            Some(b'\r') => input.len() > limit + 1,
            Some(_) => true,
        };
        if overlong { Line::TooLong } else { Line::Incomplete }
    }

    fn add(&mut self, word: Option<&'a [u8]>) {
        let word = word.unwrap_or_default();
        if word.is_empty() {
            return; // A CR alone after a blank.
        }
        if let Some(slot) = self.words.get_mut(self.count) {
            *slot = word;
            self.count += 1;
        }
    }

    pub(super) fn words(&self) -> &[&'a [u8]] {
        self.words.get(..self.count).unwrap_or_default()
    }
}

/// Reads a size: decimal digits only, at most nine of them.
pub(super) fn size(word: &[u8]) -> Option<usize> {
    if word.is_empty() || word.len() > MAX_SIZE_DIGITS {
        return None;
    }
    word.iter().try_fold(0_usize, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0'))
    })
}

/// Reads the count of an `UNSUB`; what is no positive number means "at once".
pub(super) fn count(word: &[u8]) -> Option<u64> {
    size(word)
        .and_then(|count| u64::try_from(count).ok())
        .filter(|count| *count > 0)
}
