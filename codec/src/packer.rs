//! Packing: on the leader, and by compaction.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use strandline_core::PartitionId;
use strandline_core::record::{Batch, BatchError, BatchHeader, Codec, Encryption, HEADER_BYTES};

use super::compression::{Compressor, LENGTH_BYTES};
use super::data_cipher::{DataCipher, TAG_BYTES, associated_data};
use super::nonces::Nonces;

/// Packs the batches of one partition.
#[derive(Clone, Debug)]
pub struct Packer {
    partition: PartitionId,
    codec: Codec,
    encryption: Option<(Arc<DataCipher>, Arc<Nonces>)>,
}

/// Memory that one thread packs with, for any number of partitions.
#[derive(Debug, Default)]
pub struct PackBuffers {
    compressor: Compressor,
    packed: BytesMut,
}

/// Why a batch was not packed. It must not be stored then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// It is packed: a mistake of the caller.
    #[error("the batch is packed already")]
    Packed,
    /// The cipher refused it.
    #[error("the batch cannot be encrypted")]
    Cipher,
    /// It does not fit the format.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl Packer {
    /// Packs the batches of this partition: compressed where that makes them shorter, encrypted if there is a key.
    pub fn new(
        partition: PartitionId,
        codec: Codec,
        encryption: Option<(Arc<DataCipher>, Arc<Nonces>)>,
    ) -> Self {
        Self {
            partition,
            codec,
            encryption,
        }
    }

    /// Whether it gives every batch back as it is.
    pub fn is_plain(&self) -> bool {
        self.codec == Codec::None && self.encryption.is_none()
    }

    /// Compresses like this from now on.
    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    /// Packs a batch under a fresh nonce. The bytes are shared with the given batch where nothing is to be done.
    ///
    /// # Errors
    ///
    /// The batch must not be stored: it would not be encrypted.
    pub fn pack(&self, plain: &Batch, buffers: &mut PackBuffers) -> Result<Batch, PackError> {
        if plain.header().is_packed() {
            return Err(PackError::Packed);
        }
        let records = plain.payload();
        let PackBuffers { compressor, packed } = buffers;
        let compressed = compressor.compress(self.codec, records);
        if compressed.is_none() && self.encryption.is_none() {
            return Ok(plain.clone());
        }
        let codec = compressed.map_or(Codec::None, |_| self.codec);
        packed.clear();
        packed.reserve(HEADER_BYTES + LENGTH_BYTES + compressed.unwrap_or(records).len() + TAG_BYTES);
        packed.put_bytes(0, HEADER_BYTES);
        match compressed {
            Some(compressed) => {
                packed.put_u32_le(records.len() as u32);
                packed.put_slice(compressed);
            }
            None => packed.put_slice(records),
        }
        let header = BatchHeader {
            codec,
            ..*plain.header()
        };
        let header = self.encrypt(header, packed)?;
        Ok(Batch::seal(header, packed.split())?)
    }

    fn encrypt(&self, header: BatchHeader, packed: &mut BytesMut) -> Result<BatchHeader, PackError> {
        let Some((cipher, nonces)) = &self.encryption else {
            return Ok(header);
        };
        let nonce = nonces.next();
        let header = BatchHeader {
            bytes: (packed.len() + TAG_BYTES) as u32,
            encryption: Some(Encryption {
                key: cipher.id(),
                nonce,
            }),
            ..header
        };
        let aad = associated_data(&header, self.partition);
        let payload = packed.get_mut(HEADER_BYTES..).unwrap_or_default();
        let tag = cipher.seal(nonce, aad, payload).map_err(|_| PackError::Cipher)?;
        packed.put_slice(&tag);
        Ok(header)
    }
}
