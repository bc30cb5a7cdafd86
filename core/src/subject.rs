//! NATS subjects as stream definitions use them.
//!
//! Tokens joined by dots. `*` as a whole token matches one token; `>` as the whole last token matches one or more.
//! Anywhere else these two are literal characters, as in nats-server.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest subject that a stream may have, in bytes; keeps every control line under NATS' limit of 4096.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// Most tokens in a stream's subject.
pub const MAX_SUBJECT_TOKENS: usize = 64;

/// The subject of a stream: valid, wildcards allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectFilter(String);

impl SubjectFilter {
    /// Checks and wraps a subject.
    ///
    /// # Errors
    ///
    /// Says which rule the subject breaks.
    pub fn new(subject: impl Into<String>) -> Result<Self, InvalidSubject> {
        let subject = subject.into();
        check(&subject)?;
        Ok(Self(subject))
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a token is a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.0.split('.').any(|token| token == "*" || token == ">")
    }

    /// Whether a message on `subject` belongs to this filter. `subject` is taken literally.
    pub fn matches(&self, subject: &str) -> bool {
        matches(&self.0, subject)
    }

    /// The subject that partition `partition` of a stream with this subject listens to: the subject itself for
    /// partition 0, with `.N` appended for partition N.
    pub fn for_partition(&self, partition: u32) -> String {
        match partition {
            0 => self.0.clone(),
            n => format!("{}.{n}", self.0),
        }
    }
}

impl fmt::Display for SubjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for SubjectFilter {
    type Error = InvalidSubject;

    fn try_from(subject: String) -> Result<Self, InvalidSubject> {
        Self::new(subject)
    }
}

impl From<SubjectFilter> for String {
    fn from(subject: SubjectFilter) -> Self {
        subject.0
    }
}

/// Why a text cannot be a stream's subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// There is no text.
    #[error("subject cannot be empty")]
    Empty,
    /// A token between two dots, or at an end, is empty.
    #[error("subject has an empty token: {subject:?}")]
    EmptyToken {
        /// The refused text.
        subject: String,
    },
    /// A blank or a control character.
    #[error("subject must not contain {character:?}: {subject:?}")]
    Character {
        /// The refused text.
        subject: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// `>` stands before the last token.
    #[error("the wildcard > must be the last token: {subject:?}")]
    TailWildcardInside {
        /// The refused text.
        subject: String,
    },
    /// Over [`MAX_SUBJECT_BYTES`] or [`MAX_SUBJECT_TOKENS`].
    #[error(
        "subject is over {MAX_SUBJECT_BYTES} bytes or {MAX_SUBJECT_TOKENS} tokens: {bytes} bytes, {tokens} tokens"
    )]
    TooLong {
        /// Length of the refused text.
        bytes: usize,
        /// Its tokens.
        tokens: usize,
    },
}

/// Checks that a literal subject can be published on: no empty token, blank or control character. `*` and `>` are
/// taken as the literal characters that they are in a publish.
///
/// # Errors
///
/// Says which rule the subject breaks.
pub fn check_literal(subject: &str) -> Result<(), InvalidSubject> {
    if subject.is_empty() {
        return Err(InvalidSubject::Empty);
    }
    let tokens = subject.split('.').count();
    if subject.len() > MAX_SUBJECT_BYTES || tokens > MAX_SUBJECT_TOKENS {
        return Err(InvalidSubject::TooLong {
            bytes: subject.len(),
            tokens,
        });
    }
    if let Some(character) = subject.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidSubject::Character {
            subject: subject.to_owned(),
            character,
        });
    }
    if subject.split('.').any(str::is_empty) {
        return Err(InvalidSubject::EmptyToken {
            subject: subject.to_owned(),
        });
    }
    Ok(())
}

/// Whether a message on the literal `subject` matches `filter`. Empty tokens match nothing.
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let mut wanted = filter.split('.').peekable();
    while let Some(want) = wanted.next() {
        let Some(token) = tokens.next().filter(|t| !t.is_empty()) else {
            return false;
        };
        if want == ">" && wanted.peek().is_none() {
            return tokens.all(|t| !t.is_empty());
        }
        if want != "*" && want != token {
            return false;
        }
    }
    tokens.next().is_none()
}

fn check(subject: &str) -> Result<(), InvalidSubject> {
    check_literal(subject)?;
    let tokens = subject.split('.').count();
    if subject.split('.').take(tokens - 1).any(|token| token == ">") {
        return Err(InvalidSubject::TailWildcardInside {
            subject: subject.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_nats_server() {
        let cases = [
            ("foo", "foo", true),
            ("foo", "foo.bar", false),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo", false),
            ("foo.*", "foo.bar.baz", false),
            ("foo.>", "foo", false),
            ("foo.>", "foo.bar.baz", true),
            ("*.bar", "foo.bar", true),
            (">", "a.b.c", true),
            (">", "a..c", false),
            ("*", "", false),
            ("foo*", "foo*", true),
            ("foo*", "foox", false),
        ];
        for (filter, subject, expected) in cases {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn subjects_with_blanks_empty_tokens_or_an_inner_tail_wildcard_are_refused() {
        for subject in ["", ".", "a..b", "a.", ".a", "a b", "a\tb", "a\r", "a.>.b", "a\0b"] {
            assert!(SubjectFilter::new(subject).is_err(), "{subject:?}");
        }
        assert!(SubjectFilter::new("x".repeat(10_000)).is_err());
    }

    #[test]
    fn a_partition_above_zero_has_its_number_appended() {
        let subject = SubjectFilter::new("foo.bar").unwrap();
        assert_eq!(subject.for_partition(0), "foo.bar");
        assert_eq!(subject.for_partition(2), "foo.bar.2");
    }
}
