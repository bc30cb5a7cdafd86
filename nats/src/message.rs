//! A message while it is handed on.

/// A message. All parts are borrowed from the publisher's buffer.
///
/// Subjects are bytes: the protocol allows any byte in them but blanks and line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The subject it was published to, without wildcards (or with them as literal text).
    pub subject: &'a [u8],
    /// Where an answer is expected.
    pub reply: Option<&'a [u8]>,
    /// The raw `NATS/1.0` header block with its blank line, or empty.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}
