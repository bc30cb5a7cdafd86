//! A data key at work.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;

use strandline_core::PartitionId;
use strandline_core::record::{BatchHeader, HEADER_BYTES, KeyId, NONCE_BYTES};

/// Bytes that encryption adds to a payload.
pub(crate) const TAG_BYTES: usize = 16;
/// Length of a data key.
pub(crate) const SECRET_BYTES: usize = 32;

/// Encrypts and decrypts the payloads of a stream with one data key. Its bytes are not shown.
pub struct DataCipher {
    id: KeyId,
    key: LessSafeKey,
}

impl fmt::Debug for DataCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCipher")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl DataCipher {
    pub(crate) fn new(id: KeyId, secret: &[u8]) -> Result<Self, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret)?);
        Ok(Self { id, key })
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts a payload where it is and returns its tag. `aad` is that of the header which goes before it.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: [u8; HEADER_BYTES],
        payload: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), payload)?;
        tag.as_ref().try_into().map_err(|_| Unspecified)
    }

    /// Decrypts a payload and the tag behind it, which lie in the room from `stored_at` to its end, to the room's beginning.
    /// Returns the payload's length. The room holds nothing of use after an error.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: [u8; HEADER_BYTES],
        room: &mut [u8],
        stored_at: usize,
    ) -> Result<usize, Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let payload = self.key.open_within(nonce, Aad::from(aad), room, stored_at..)?;
        Ok(payload.len())
    }
}

/// What is authenticated beside the payload: the whole header, with the number of the partition in place of the checksum. So a
/// batch cannot be relabelled, and not be moved to another partition; to another stream it cannot for its data key.
pub(crate) fn associated_data(header: &BatchHeader, partition: PartitionId) -> [u8; HEADER_BYTES] {
    let mut aad = header.encode();
    aad[..4].copy_from_slice(&partition.get().to_le_bytes());
    aad
}
