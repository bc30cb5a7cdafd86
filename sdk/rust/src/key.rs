//! What a key extractor says of a record.

use std::borrow::Cow;
use std::fmt::Display;

/// A key. One that is borrowed from the record costs nothing: the host is told where it stands. One that the plugin
/// made is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'r>(Cow<'r, [u8]>);

impl Key<'_> {
    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'r> From<&'r [u8]> for Key<'r> {
    #[inline]
    fn from(bytes: &'r [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl<'r> From<&'r str> for Key<'r> {
    #[inline]
    fn from(text: &'r str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Key<'_> {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl From<String> for Key<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl<'r> From<Cow<'r, str>> for Key<'r> {
    #[inline]
    fn from(text: Cow<'r, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'r> From<Cow<'r, [u8]>> for Key<'r> {
    #[inline]
    fn from(bytes: Cow<'r, [u8]>) -> Self {
        Self(bytes)
    }
}

/// What a key extractor function may return: a key of any kind, an `Option` of one (`None`: the record stays without a
/// key), or a `Result` of those, whose error lets the attachment's error policy decide.
pub trait IntoKey<'r> {
    /// As a key; the error is what the log says.
    ///
    /// # Errors
    ///
    /// The key cannot be told.
    fn into_key(self) -> Result<Option<Key<'r>>, String>;
}

impl<'r, K: Into<Key<'r>>> IntoKey<'r> for K {
    #[inline]
    fn into_key(self) -> Result<Option<Key<'r>>, String> {
        Ok(Some(self.into()))
    }
}

impl<'r, K: Into<Key<'r>>> IntoKey<'r> for Option<K> {
    #[inline]
    fn into_key(self) -> Result<Option<Key<'r>>, String> {
        Ok(self.map(Into::into))
    }
}

impl<'r, K: IntoKey<'r>, E: Display> IntoKey<'r> for Result<K, E> {
    #[inline]
    fn into_key(self) -> Result<Option<Key<'r>>, String> {
        self.map_err(|error| error.to_string())?.into_key()
    }
}
