//! The text of strings, whose escapes are resolved.

use std::borrow::Cow;
use std::str::{self, Chars};

use super::scan::Quoted;

/// Whether the string means that text.
#[inline]
pub(super) fn equals(string: &Quoted<'_>, text: &str) -> bool {
    if string.is_escaped {
        escaped_equals(string.inside, text)
    } else {
        string.inside == text.as_bytes()
    }
}

#[cold]
fn escaped_equals(inside: &[u8], text: &str) -> bool {
    let Ok(inside) = str::from_utf8(inside) else {
        return false;
    };
    Unescaped(inside.chars()).eq(text.chars().map(Some))
}

/// The text of a string.
#[inline]
pub(super) fn decode<'v>(string: &Quoted<'v>) -> Option<Cow<'v, str>> {
    let text = str::from_utf8(string.inside).ok()?;
    if string.is_escaped {
        Unescaped(text.chars())
            .collect::<Option<String>>()
            .map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(text))
    }
}

/// The characters that a string means; `None` in place of an escape that means none.
struct Unescaped<'v>(Chars<'v>);

impl Iterator for Unescaped<'_> {
    type Item = Option<char>;

    fn next(&mut self) -> Option<Option<char>> {
        match self.0.next()? {
            '\\' => Some(self.escape()),
            char => Some(Some(char)),
        }
    }
}

impl Unescaped<'_> {
    fn escape(&mut self) -> Option<char> {
        match self.0.next()? {
            char @ ('"' | '\\' | '/') => Some(char),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.unicode(),
            _ => None,
        }
    }

    /// Four digits, or twice as many with `\u` between them: a pair of surrogates.
    fn unicode(&mut self) -> Option<char> {
        let first = self.digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if (self.0.next()?, self.0.next()?) != ('\\', 'u') {
            return None;
        }
        let second = self.digits()?;
        let low = (0xdc00..0xe000).contains(&second).then(|| second - 0xdc00)?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
    }

    fn digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| Some(number * 16 + self.0.next()?.to_digit(16)?))
    }
}
