//! Documents: text that people can read, with a checksum that finds every flipped bit.
//!
//! ```text
//! strandline-archive 1 head          <- what it is, and the version of its form
//! {"place":…}                        <- one line of JSON; fields that this version does not know are passed over
//! crc32c 0123abcd                    <- CRC-32C of everything before this line
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strandline_core::record::crc32c;

/// What every document begins with.
const MAGIC: &str = "strandline-archive";
/// The version of the form that this code writes, and the newest that it reads.
const VERSION: u32 = 1;
/// Length of the last line, its newline included.
const SUM_BYTES: usize = "crc32c 01234567\n".len();

/// Why bytes are not a document; completes "… is damaged: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are something else, or changed.
    #[error("{reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// A newer version wrote it.
    #[error(
        "it was written in version {found} of the form, and this program knows up to {VERSION}: use a newer one"
    )]
    Version {
        /// The version that it names.
        found: String,
    },
}

fn damaged(reason: impl Into<String>) -> DocumentError {
    let reason = reason.into();
    DocumentError::Damaged { reason }
}

/// The document of a kind (a word) with this content.
///
/// # Errors
///
/// The content is not what JSON can hold; a mistake of the caller.
pub fn encode(kind: &str, content: &impl Serialize) -> Result<Bytes, DocumentError> {
    let json = serde_json::to_string(content).map_err(|error| damaged(error.to_string()))?;
    let mut text = format!("{MAGIC} {VERSION} {kind}\n{json}\n");
    let sum = crc32c(text.as_bytes());
    text.push_str(&format!("crc32c {sum:08x}\n"));
    Ok(text.into())
}

/// The content of a document of this kind.
///
/// # Errors
///
/// The bytes are no such document, any byte of it was changed, or it is of a newer version.
pub fn decode<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, DocumentError> {
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let (first, _) = text.split_once('\n').ok_or_else(|| damaged("it has no lines"))?;
    let rest = first
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(|| damaged(format!("it does not begin with {MAGIC:?}")))?;
    let (version, found) = rest
        .split_once(' ')
        .ok_or_else(|| damaged("its first line is incomplete"))?;
    let at = bytes
        .len()
        .checked_sub(SUM_BYTES)
        .ok_or_else(|| damaged("it is too short"))?;
    let (covered, sum) = bytes.split_at(at);
    if sum != format!("crc32c {:08x}\n", crc32c(covered)).as_bytes() {
        return Err(damaged("its checksum is wrong"));
    }
    if version != VERSION.to_string() {
        return Err(DocumentError::Version {
            found: version.to_owned(),
        });
    }
    if found != kind {
        return Err(damaged(format!("it is a {found:?} instead of a {kind:?}")));
    }
    let json = covered.get(first.len() + 1..).unwrap_or_default();
    serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_document_comes_back_as_it_was(content: Vec<(String, u64)>) {
            let bytes = encode("test", &content).unwrap();
            prop_assert_eq!(decode::<Vec<(String, u64)>>("test", &bytes).unwrap(), content);
        }

        #[test]
        fn bytes_from_elsewhere_are_refused(bytes: Vec<u8>) {
            prop_assert!(decode::<serde_json::Value>("test", &bytes).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = encode("test", &["some", "content"]).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << bit;
                assert!(
                    decode::<Vec<String>>("test", &changed).is_err(),
                    "byte {at} bit {bit}"
                );
            }
            assert!(
                decode::<Vec<String>>("test", &bytes[..at]).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_newer_version_and_another_kind_are_named() {
        let newer = format!("{MAGIC} 2 test\n[]\n");
        let newer = format!("{newer}crc32c {:08x}\n", crc32c(newer.as_bytes()));
        let error = decode::<Vec<String>>("test", newer.as_bytes()).unwrap_err();
        assert!(matches!(error, DocumentError::Version { .. }));
        let other = encode("page", &["x"]).unwrap();
        let error = decode::<Vec<String>>("head", &other).unwrap_err().to_string();
        assert!(error.contains("page") && error.contains("head"), "{error}");
    }

    #[test]
    fn fields_of_later_versions_are_passed_over() {
        #[derive(serde::Deserialize)]
        struct Known {
            known: u32,
        }
        let bytes = encode("test", &serde_json::json!({"known": 1, "later": [1, 2]})).unwrap();
        assert_eq!(decode::<Known>("test", &bytes).unwrap().known, 1);
    }
}
