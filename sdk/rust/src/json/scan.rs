//! Steps over JSON, a block of bytes at a time.

use super::block::{WIDTH, bits, marked};

/// Where one is in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'v> {
    text: &'v [u8],
    at: usize,
    /// Where the block begins that has been looked at last, and which of its bytes are quotes or backslashes and not
    /// yet passed.
    block: usize,
    marks: u64,
}

/// A string of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'v> {
    /// What stands between its quotes, escapes as they are.
    pub(super) inside: &'v [u8],
    /// Whether there are any.
    pub(super) is_escaped: bool,
}

impl<'v> Scanner<'v> {
    /// At the start of a text.
    #[inline]
    pub(super) fn new(text: &'v [u8]) -> Self {
        // The last block is at the end, so that the first string looks at its own.
        Self {
            text,
            at: 0,
            block: text.len(),
            marks: 0,
        }
    }

    /// What is left of the text.
    #[inline]
    pub(super) fn rest(&self) -> &'v [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over white space.
    #[inline]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over this byte, if it is next.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Steps over a string.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Quoted<'v>> {
        self.eat(b'"')?;
        let start = self.at;
        let mut is_escaped = false;
        self.pass_marks_before(start);
        loop {
            let hit = self.next_mark()?;
            if *self.text.get(hit)? == b'"' {
                self.at = hit + 1;
                return Some(Quoted {
                    inside: self.text.get(start..hit)?,
                    is_escaped,
                });
            }
            // A backslash and what it escapes, whatever that is.
            is_escaped = true;
            self.pass_marks_before(hit + 2);
        }
    }

    /// Steps over a value. Values in it are not looked at beyond their quotes and brackets.
    #[inline]
    pub(super) fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.container(),
            _ => self.scalar(),
        }
    }

    /// Steps over an object or array, whose brackets are only counted.
    fn container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.at += bracket_or_quote(self.rest())?;
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Steps over a number, `true`, `false` or `null`, or whatever stands in that place, of which there is at least
    /// one byte.
    #[inline]
    fn scalar(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(byte) = self.peek()
            && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
        {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Forgets marks before that place, and looks at the block that begins there if the last one ends before it.
    #[inline]
    fn pass_marks_before(&mut self, at: usize) {
        let offset = at.wrapping_sub(self.block);
        if offset < WIDTH {
            self.marks &= u64::MAX << bits(offset);
        } else {
            self.look(at);
        }
    }

    /// Where the next quote or backslash is.
    #[inline]
    fn next_mark(&mut self) -> Option<usize> {
        while self.marks == 0 {
            let next = self.block + WIDTH;
            if next >= self.text.len() {
                return None;
            }
            self.look(next);
        }
        let hit = self.block + marked(self.marks);
        self.marks &= self.marks - 1;
        Some(hit)
    }

    #[inline]
    fn look(&mut self, at: usize) {
        self.block = at;
        self.marks = super::block::quotes_and_backslashes(self.text.get(at..).unwrap_or_default());
    }
}

/// How far it is to the next bracket of any kind, or quote.
#[inline]
fn bracket_or_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let marks = super::block::quotes_and_brackets(text.get(at..)?);
        if marks != 0 {
            return Some(at + marked(marks));
        }
        at += WIDTH;
    }
    None
}
