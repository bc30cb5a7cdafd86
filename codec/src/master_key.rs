//! Master keys, and the data keys that they wrap.

use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use strandline_core::StreamName;
use strandline_core::metadata::{DataKey, MasterKeyId, Rewrap, WrappedKey};
use strandline_core::record::{KeyId, NONCE_BYTES};

use super::data_cipher::{DataCipher, SECRET_BYTES};

/// A key that wraps data keys. Its bytes are not kept: only what follows from them.
#[derive(Clone)]
pub struct MasterKey {
    id: MasterKeyId,
    wrapping: LessSafeKey,
}

/// A text that is no master key. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a master key is 16 or 32 characters as they are, or 32 bytes as 64 hexadecimal digits or 44 characters of base64: {bytes} bytes"
)]
pub struct InvalidMasterKey {
    /// Length of the text in bytes.
    pub bytes: usize,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKey").field(&self.id.to_string()).finish()
    }
}

impl MasterKey {
    /// Reads a master key. A text of 16 or 32 bytes is the key itself, as Liftbridge's variable holds it; one of 64 or 44 is 32
    /// bytes in hexadecimal digits or base64.
    ///
    /// # Errors
    ///
    /// The text is none of these.
    pub fn parse(text: &str) -> Result<Self, InvalidMasterKey> {
        let invalid = InvalidMasterKey { bytes: text.len() };
        let secret = match text.len() {
            16 | 32 => text.as_bytes().to_vec(),
            64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| invalid)?,
            44 => BASE64.decode(text.as_bytes()).map_err(|_| invalid)?,
            _ => return Err(invalid),
        };
        if !matches!(secret.len(), 16 | 32) {
            return Err(invalid);
        }
        Self::derive(&secret).ok_or(invalid)
    }

    /// The key's name: follows from it, and gives nothing of it away.
    pub fn id(&self) -> MasterKeyId {
        self.id
    }

    fn derive(secret: &[u8]) -> Option<Self> {
        let root = Salt::new(HKDF_SHA256, b"strandline master key").extract(secret);
        let mut id = [0; 8];
        root.expand(&[b"id"], IdLength)
            .and_then(|okm| okm.fill(&mut id))
            .ok()?;
        let wrapping = UnboundKey::from(root.expand(&[b"wrap"], &AES_256_GCM).ok()?);
        Some(Self {
            id: MasterKeyId::new(u64::from_be_bytes(id)),
            wrapping: LessSafeKey::new(wrapping),
        })
    }

    fn wrap(&self, stream: &StreamName, mut secret: Vec<u8>, nonce: [u8; NONCE_BYTES]) -> Option<WrappedKey> {
        let unique = Nonce::assume_unique_for_key(nonce);
        self.wrapping
            .seal_in_place_append_tag(unique, Aad::from(context(stream)), &mut secret)
            .ok()?;
        let text = HEXLOWER.encode(&[&nonce[..], &secret].concat());
        Some(WrappedKey {
            master: self.id,
            text,
        })
    }

    fn unwrap(&self, stream: &StreamName, wrapped: &WrappedKey) -> Option<Vec<u8>> {
        let mut bytes = HEXLOWER.decode(wrapped.text.as_bytes()).ok()?;
        let (nonce, _) = bytes.split_first_chunk()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let rest = bytes.get_mut(NONCE_BYTES..)?;
        let secret = self
            .wrapping
            .open_in_place(nonce, Aad::from(context(stream)), rest)
            .ok()?;
        Some(secret.to_vec()).filter(|secret| secret.len() == SECRET_BYTES)
    }
}

struct IdLength;

impl KeyType for IdLength {
    fn len(&self) -> usize {
        8
    }
}

/// A wrapped key belongs to the stream of this name.
fn context(stream: &StreamName) -> Vec<u8> {
    [b"strandline data key of ", stream.as_str().as_bytes()].concat()
}

/// The master keys that a broker has: one that wraps new data keys, and earlier ones that still open what they wrapped.
#[derive(Clone, Debug, Default)]
pub struct MasterKeys {
    /// The current one first.
    keys: Vec<MasterKey>,
}

/// Why the data keys of a stream cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no master key at all.
    #[error(
        "encryption needs a master key: set encryption.key.file or encryption.key and restart the broker"
    )]
    NoMasterKey,
    /// The data key was wrapped with another master key.
    #[error(
        "data key {key} is wrapped with master key {master}, and this broker has {has}: add that master key to the file that encryption.key.file names and restart the broker"
    )]
    OtherMasterKey {
        /// The data key.
        key: KeyId,
        /// The master key that is needed.
        master: MasterKeyId,
        /// What there is instead.
        has: String,
    },
    /// The right master key does not open it.
    #[error(
        "data key {key} is damaged in the metadata: master key {master}, which wrapped it, does not open it"
    )]
    Damaged {
        /// The data key.
        key: KeyId,
        /// The master key.
        master: MasterKeyId,
    },
    /// The cipher refused.
    #[error("the data key cannot be wrapped")]
    Cipher,
}

impl MasterKeys {
    /// These keys, the current one first. None = nothing can be encrypted.
    pub fn new(keys: Vec<MasterKey>) -> Self {
        Self { keys }
    }

    /// The key that wraps new data keys.
    pub fn current(&self) -> Option<&MasterKey> {
        self.keys.first()
    }

    /// A new data key for a stream, made of random bytes.
    ///
    /// # Errors
    ///
    /// There is no master key.
    pub fn create(&self, stream: &StreamName, random: [u8; 44]) -> Result<WrappedKey, KeyError> {
        let master = self.current().ok_or(KeyError::NoMasterKey)?;
        let (secret, nonce) = random.split_at(SECRET_BYTES);
        let nonce = nonce.try_into().map_err(|_| KeyError::Cipher)?;
        master
            .wrap(stream, secret.to_vec(), nonce)
            .ok_or(KeyError::Cipher)
    }

    /// Makes the data keys of a stream ready for use.
    ///
    /// # Errors
    ///
    /// Names the key that cannot be opened and the master key that it needs.
    pub fn open(&self, stream: &StreamName, keys: &[DataKey]) -> Result<Vec<Arc<DataCipher>>, KeyError> {
        let open = |key: &DataKey| {
            let secret = self.unwrap(stream, key)?;
            let cipher = DataCipher::new(key.id, &secret).map_err(|_| KeyError::Cipher)?;
            Ok(Arc::new(cipher))
        };
        keys.iter().map(open).collect()
    }

    /// The wrap of a data key by the current master key, made with a random nonce; none when it has that already.
    ///
    /// # Errors
    ///
    /// As [`MasterKeys::open`].
    pub fn rewrap(
        &self,
        stream: &StreamName,
        key: &DataKey,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Option<Rewrap>, KeyError> {
        let current = self.current().ok_or(KeyError::NoMasterKey)?;
        let from = key.wrapped.master;
        if from == current.id {
            return Ok(None);
        }
        let secret = self.unwrap(stream, key)?;
        let wrapped = current.wrap(stream, secret, nonce).ok_or(KeyError::Cipher)?;
        let key = key.id;
        Ok(Some(Rewrap { key, from, wrapped }))
    }

    fn unwrap(&self, stream: &StreamName, key: &DataKey) -> Result<Vec<u8>, KeyError> {
        let master = key.wrapped.master;
        let Some(found) = self.keys.iter().find(|known| known.id == master) else {
            return Err(KeyError::OtherMasterKey {
                key: key.id,
                master,
                has: self.names(),
            });
        };
        let secret = found.unwrap(stream, &key.wrapped);
        secret.ok_or(KeyError::Damaged { key: key.id, master })
    }

    fn names(&self) -> String {
        if self.keys.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self.keys.iter().map(|key| key.id.to_string()).collect();
        names.join(", ")
    }
}
