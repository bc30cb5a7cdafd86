//! Public user keys and signatures.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};

/// First byte of a public user key.
const USER_PREFIX: u8 = 20 << 3;
const KEY_BYTES: usize = 32;

/// The key in a text such as `UABC...`: base32 of a prefix, the key and a CRC-16.
pub(crate) fn user_key(text: &str) -> Option<VerifyingKey> {
    let raw = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let (body, crc) = raw.split_last_chunk::<2>()?;
    let (prefix, key) = body.split_first()?;
    let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
    let whole = *prefix == USER_PREFIX && u16::from_le_bytes(*crc) == crc16(body);
    VerifyingKey::from_bytes(key).ok().filter(|_| whole)
}

/// Whether `signature`, in base64url or standard base64, is the key's signature of the nonce's text.
pub(crate) fn is_signed(key: &VerifyingKey, nonce: &str, signature: &str) -> bool {
    let decoded = URL_SAFE_NO_PAD
        .decode(signature)
        .or_else(|_| STANDARD.decode(signature));
    let signature = decoded.ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
    signature.is_some_and(|signature| key.verify_strict(nonce.as_bytes(), &signature).is_ok())
}

/// CRC-16/XMODEM, as in nkeys.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_the_nkeys_library_are_accepted_in_both_alphabets() {
        let pair = nkeys::KeyPair::new_user();
        let key = user_key(&pair.public_key()).unwrap();
        let signature = pair.sign(b"nonce").unwrap();
        for text in [URL_SAFE_NO_PAD.encode(&signature), STANDARD.encode(&signature)] {
            assert!(is_signed(&key, "nonce", &text));
            assert!(!is_signed(&key, "other", &text));
        }
        assert!(!is_signed(&key, "nonce", "garbage"));
    }

    #[test]
    fn keys_of_another_kind_or_with_a_typing_error_are_refused() {
        assert!(user_key(&nkeys::KeyPair::new_account().public_key()).is_none());
        let mut text = nkeys::KeyPair::new_user().public_key();
        let last = if text.ends_with('A') { "B" } else { "A" };
        text.replace_range(text.len() - 1.., last);
        assert!(user_key(&text).is_none());
        assert!(user_key("").is_none() && user_key("U").is_none());
    }
}
