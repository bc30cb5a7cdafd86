//! How the batches of one partition are packed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use strandline_codec::{DataCipher, Nonces, Packer, Unpacker};
use strandline_core::PartitionId;
use strandline_core::record::Codec;

/// How new batches of a partition are packed, and the keys that unpack all of its batches. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    partition: PartitionId,
    codec: Arc<AtomicU8>,
    encryption: Option<(Arc<DataCipher>, Arc<Nonces>)>,
    unpacker: Unpacker,
}

impl Packing {
    /// Compresses new batches like this, encrypts them if there is a key, and unpacks with these keys.
    pub(crate) fn new(
        partition: PartitionId,
        codec: Codec,
        encryption: Option<(Arc<DataCipher>, Arc<Nonces>)>,
        keys: &[Arc<DataCipher>],
    ) -> Self {
        Self {
            partition,
            codec: Arc::new(AtomicU8::new(codec.number())),
            encryption,
            unpacker: Unpacker::new(partition, keys.iter().cloned()),
        }
    }

    /// A packer of new batches. Its nonces differ from those of every other.
    pub(crate) fn packer(&self) -> Packer {
        Packer::new(self.partition, self.codec(), self.encryption.clone())
    }

    /// What unpacks the batches of the partition, old and new.
    pub(crate) fn unpacker(&self) -> &Unpacker {
        &self.unpacker
    }

    /// How new batches are compressed.
    pub(crate) fn codec(&self) -> Codec {
        Codec::from_number(self.codec.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Compresses like this from the next batch on.
    pub(crate) fn set_codec(&self, codec: Codec) {
        self.codec.store(codec.number(), Ordering::Relaxed);
    }
}

impl Default for Packing {
    /// Plain.
    fn default() -> Self {
        Self::new(PartitionId::default(), Codec::None, None, &[])
    }
}

#[cfg(test)]
impl Packing {
    /// Encrypts with the same key whenever it is called.
    pub(crate) fn encrypting(codec: Codec) -> Self {
        use strandline_codec::{MasterKey, MasterKeys};
        use strandline_core::StreamName;
        use strandline_core::metadata::DataKey;
        use strandline_core::record::KeyId;

        let masters = MasterKeys::new(vec![MasterKey::parse("0123456789abcdef").unwrap()]);
        let stream = StreamName::new("orders").unwrap();
        let id = KeyId::new(1).unwrap();
        let wrapped = masters.create(&stream, [7; 44]).unwrap();
        let keys = masters.open(&stream, &[DataKey { id, wrapped }]).unwrap();
        let encryption = Some((Arc::clone(&keys[0]), Arc::new(Nonces::new(1, 0))));
        Self::new(PartitionId::new(0), codec, encryption, &keys)
    }
}
