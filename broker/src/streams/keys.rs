//! Data keys of streams: made when a stream first needs one, opened whenever it is opened, wrapped anew when the master key has
//! changed.

use std::sync::Arc;

use strandline_codec::{DataCipher, KeyError, MasterKeys, Nonces};
use strandline_core::PartitionId;
use strandline_core::metadata::{StreamEntry, WrappedKey};
use strandline_core::record::Codec;
use strandline_core::stream::StreamSettings;

use crate::metadata::{ChangeError, MetadataHandle};
use crate::partition::Packing;
use crate::settings::PackingDefaults;

/// The keys that this broker can open, and how streams are packed that do not say otherwise.
#[derive(Debug)]
pub(crate) struct Keys {
    masters: MasterKeys,
    defaults: PackingDefaults,
    metadata: MetadataHandle,
    nonces: Arc<Nonces>,
}

/// How the partitions of one stream are packed.
#[derive(Clone, Debug)]
pub(crate) struct StreamPacking {
    codec: Codec,
    encryption: Option<(Arc<DataCipher>, Arc<Nonces>)>,
    keys: Vec<Arc<DataCipher>>,
}

impl StreamPacking {
    /// For this partition.
    pub(crate) fn of(&self, partition: PartitionId) -> Packing {
        Packing::new(partition, self.codec, self.encryption.clone(), &self.keys)
    }
}

/// Why the keys of a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFailure {
    /// A master key is missing, wrong or cannot open what it wrapped.
    #[error("the stream is encrypted: {0}")]
    Key(#[from] KeyError),
    /// A new key could not be recorded.
    #[error("the stream's data key could not be recorded")]
    Change(#[from] ChangeError),
    /// The operating system gives no random numbers.
    #[error("no random numbers for a key: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },
}

impl Keys {
    /// With these master keys.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(crate) fn new(
        masters: MasterKeys,
        defaults: PackingDefaults,
        metadata: MetadataHandle,
    ) -> Result<Self, KeyFailure> {
        let start = u64::from_le_bytes(random()?);
        let nonces = Arc::new(Nonces::new(metadata.process(), start));
        Ok(Self {
            masters,
            defaults,
            metadata,
            nonces,
        })
    }

    /// How streams are packed that do not say otherwise.
    pub(crate) fn defaults(&self) -> PackingDefaults {
        self.defaults
    }

    /// How new batches of a stream with these settings are compressed.
    pub(crate) fn codec(&self, settings: &StreamSettings) -> Codec {
        settings.compression.unwrap_or(self.defaults.compression)
    }

    /// Whether a stream with these settings can have a data key if it needs one.
    ///
    /// # Errors
    ///
    /// It needs one and there is no master key.
    pub(crate) fn check(&self, settings: &StreamSettings) -> Result<(), KeyError> {
        if self.encrypts(settings) && self.masters.current().is_none() {
            return Err(KeyError::NoMasterKey);
        }
        Ok(())
    }

    /// How the batches of a stream are packed. A stream that is to be encrypted and has no data key gets one.
    ///
    /// # Errors
    ///
    /// One of its keys cannot be opened, or a new one not be recorded: the stream must not be opened then.
    pub(crate) async fn packing(&self, entry: &StreamEntry) -> Result<StreamPacking, KeyFailure> {
        let definition = &entry.definition;
        let encrypts = self.encrypts(&definition.settings);
        let mut stored = entry.keys.clone();
        if encrypts && stored.is_empty() {
            let wrapped = self.masters.create(&definition.name, random()?)?;
            stored.clone_from(&self.metadata.add_data_key(entry, wrapped).await?.keys);
        }
        let keys = self.masters.open(&definition.name, &stored)?;
        let newest = keys.last().filter(|_| encrypts);
        Ok(StreamPacking {
            codec: self.codec(&definition.settings),
            encryption: newest.map(|key| (Arc::clone(key), Arc::clone(&self.nonces))),
            keys,
        })
    }

    /// The data key that a stream from another cluster's archive needs for new batches; none if it is not encrypted. Its own
    /// keys can be opened then.
    ///
    /// # Errors
    ///
    /// One of its keys cannot be opened.
    pub(crate) fn for_restored(&self, entry: &StreamEntry) -> Result<Option<WrappedKey>, KeyFailure> {
        if entry.keys.is_empty() {
            return Ok(None);
        }
        let name = &entry.definition.name;
        self.masters.open(name, &entry.keys)?;
        Ok(Some(self.masters.create(name, random()?)?))
    }

    /// Wraps every data key with the current master key that has another wrap and can be opened. The rest is left as it is:
    /// its streams say what they need when they are opened.
    pub(crate) async fn rewrap(&self) {
        match self.try_rewrap().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, master = ?self.masters.current(),
                "data keys are wrapped with the current master key now"),
            Err(error) => tracing::warn!(error = %super::describe(&error),
                "data keys could not be wrapped with the current master key; keep the earlier ones"),
        }
    }

    async fn try_rewrap(&self) -> Result<u64, KeyFailure> {
        if self.masters.current().is_none() {
            return Ok(0);
        }
        let mut wraps = Vec::new();
        for entry in self.metadata.state().streams() {
            for key in &entry.keys {
                if let Ok(Some(wrap)) = self.masters.rewrap(&entry.definition.name, key, random()?) {
                    wraps.push(wrap);
                }
            }
        }
        Ok(self.metadata.rewrap_data_keys(wraps).await?)
    }

    fn encrypts(&self, settings: &StreamSettings) -> bool {
        settings.encryption.unwrap_or(self.defaults.encryption)
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], KeyFailure> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| KeyFailure::Random {
        reason: error.to_string(),
    })?;
    Ok(bytes)
}
