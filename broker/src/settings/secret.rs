//! Text that is not for logs.

use std::fmt;

/// A password or token. It is shown by [`Secret::expose`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have {min} to {max} characters of ASCII without blanks", min = Secret::MIN_BEARER_BYTES, max = Secret::MAX_BEARER_BYTES)]
pub struct InvalidBearer;

impl Secret {
    /// Shortest bearer token, in bytes: shorter ones are guessed.
    pub const MIN_BEARER_BYTES: usize = 16;
    /// Longest bearer token, in bytes.
    pub const MAX_BEARER_BYTES: usize = 256;

    /// A token that travels in a header.
    ///
    /// # Errors
    ///
    /// The text is too short, too long, or cannot stand in a header.
    pub fn bearer(text: impl Into<String>) -> Result<Self, InvalidBearer> {
        let text = text.into();
        let fits = (Self::MIN_BEARER_BYTES..=Self::MAX_BEARER_BYTES).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidBearer);
        }
        Ok(Self(text))
    }

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_long_enough_and_fits_a_header() {
        assert!(Secret::bearer("0123456789abcdef").is_ok());
        for text in [
            "",
            "0123456789abcde",
            "0123456789 abcdef",
            "0123456789abcdef\n",
            "0123456789abcdeé",
        ] {
            assert!(Secret::bearer(text).is_err(), "{text:?}");
        }
        assert!(Secret::bearer("x".repeat(257)).is_err());
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
