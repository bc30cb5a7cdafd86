//! What a filter says of a record.

use std::fmt::Display;

use crate::reasons;

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict(Kind);

/// The four verdicts of the contract, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Drop = 0,
    Pass = 1,
    DeadLetter = 2,
    Fail = 3,
}

impl Verdict {
    /// The record goes on to the next plugin, or into the stream, or to the subscriber.
    #[inline]
    pub const fn pass() -> Self {
        Self(Kind::Pass)
    }

    /// The record is not stored, or not delivered. Nothing went wrong.
    #[inline]
    pub const fn drop() -> Self {
        Self(Kind::Drop)
    }

    /// The record goes to the stream's dead letters instead. On the way out of a stream this is the same as to drop it.
    #[inline]
    pub const fn dead_letter() -> Self {
        Self(Kind::DeadLetter)
    }

    /// The record cannot be judged: the error policy of the attachment says what becomes of it.
    #[inline]
    pub const fn fail() -> Self {
        Self(Kind::Fail)
    }

    /// Pass if that holds, else drop.
    #[inline]
    pub const fn pass_if(holds: bool) -> Self {
        Self(if holds { Kind::Pass } else { Kind::Drop })
    }

    /// Says why, for the person who asks why records are dropped. The text is only made while somebody does, so
    /// nothing is lost on the way there if it is written as `format_args!`:
    ///
    /// ```
    /// # use strandline_plugin::Verdict;
    /// # let level = "info";
    /// Verdict::drop().because(format_args!("its level is {level}"))
    /// # ;
    /// ```
    #[inline]
    pub fn because(self, reason: impl Display) -> Self {
        reasons::give(reason);
        self
    }

    /// Whether the record goes on.
    #[inline]
    pub const fn passes(self) -> bool {
        matches!(self.0, Kind::Pass)
    }

    /// Its byte in the answer of `judge`.
    #[inline]
    pub(crate) const fn byte(self) -> u8 {
        self.0 as u8
    }

    /// The verdict that a byte stands for.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Kind::Drop, Kind::Pass, Kind::DeadLetter, Kind::Fail]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
            .map(Self)
    }
}

/// What a filter function may return: a [`Verdict`], a `bool` (pass or drop), or a `Result` of one, whose error is the
/// reason of the verdict *fail*.
pub trait IntoVerdict {
    /// As a verdict.
    fn into_verdict(self) -> Verdict;
}

impl IntoVerdict for Verdict {
    #[inline]
    fn into_verdict(self) -> Verdict {
        self
    }
}

impl IntoVerdict for bool {
    #[inline]
    fn into_verdict(self) -> Verdict {
        Verdict::pass_if(self)
    }
}

impl<V: IntoVerdict, E: Display> IntoVerdict for Result<V, E> {
    #[inline]
    fn into_verdict(self) -> Verdict {
        match self {
            Ok(verdict) => verdict.into_verdict(),
            Err(error) => Verdict::fail().because(error),
        }
    }
}
