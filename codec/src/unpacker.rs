//! Unpacking: for readers, compaction and tools.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use strandline_core::record::{
    Batch, BatchError, BatchHeader, BatchIter, Codec, Encryption, HEADER_BYTES, KeyId,
};
use strandline_core::storage::{ReadError, Run};
use strandline_core::{Offset, PartitionId};

use super::compression::{Decompressor, Problem, split_length};
use super::data_cipher::{DataCipher, associated_data};

/// Unpacks the batches of one partition, whatever each is packed with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Unpacker {
    partition: PartitionId,
    keys: Arc<[Arc<DataCipher>]>,
}

/// The part of a run that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Plain batches, and where to read on behind them.
    pub run: Run,
    /// The batches after them, as they are stored; or why the next one cannot be unpacked.
    pub rest: Result<Run, UnpackError>,
}

/// Why a batch cannot be unpacked. None of its records is handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Its data key is none of this stream's.
    #[error("the batch at offset {base} is encrypted with data key {key}, which is none of this stream's")]
    UnknownKey {
        /// The batch's first offset.
        base: Offset,
        /// The key that it names.
        key: KeyId,
    },
    /// It was changed after it was encrypted, or belongs elsewhere.
    #[error("the batch at offset {base} is not what was encrypted there with data key {key}")]
    NotAuthentic {
        /// The batch's first offset.
        base: Offset,
        /// The key that it names.
        key: KeyId,
    },
    /// It does not decompress.
    #[error("the batch at offset {base} cannot be decompressed: {problem}")]
    NotCompressed {
        /// The batch's first offset.
        base: Offset,
        /// What is wrong.
        problem: String,
    },
    /// It is no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl From<UnpackError> for ReadError {
    fn from(error: UnpackError) -> Self {
        Self::NotUnpacked {
            reason: error.to_string(),
        }
    }
}

impl Unpacker {
    /// Unpacks the batches of this partition with these keys.
    pub fn new(partition: PartitionId, keys: impl IntoIterator<Item = Arc<DataCipher>>) -> Self {
        Self {
            partition,
            keys: keys.into_iter().collect(),
        }
    }

    /// The plain form of a batch, with a checksum of its own. A plain batch is given back as it is.
    ///
    /// # Errors
    ///
    /// Says what is in the way.
    pub fn unpack(&self, batch: &Batch) -> Result<Batch, UnpackError> {
        if !batch.header().is_packed() {
            return Ok(batch.clone());
        }
        let mut plain = BytesMut::new();
        self.unpack_into(batch, &mut plain, &mut UnpackBuffers::default())?;
        let header = plain_header(batch.header());
        Ok(Batch::seal(header, plain)?)
    }

    /// Unpacks batches from the start of a run until their plain forms are at least so many bytes; more of them where nobody
    /// else has the bytes and no batch is compressed: they are decrypted where they are then. Costs a look at each header where
    /// all are plain.
    ///
    /// # Errors
    ///
    /// As [`Unpacker::unpack`], when the first batch does not unpack.
    pub fn unpack_run(&self, packed: Run, max_bytes: usize) -> Result<Unpacked, UnpackError> {
        let is_plain =
            |batch: Result<Batch, BatchError>| batch.is_ok_and(|batch| !batch.header().is_packed());
        if packed.batches().all(is_plain) {
            return Ok(Unpacked::whole(packed));
        }
        let Some(headers) = uncompressed(&packed) else {
            return self.copy_run(&packed, max_bytes);
        };
        match packed.bytes.try_into_mut() {
            Ok(bytes) => self.decrypt_run(bytes, &headers, packed.next),
            Err(bytes) => self.copy_run(&Run { bytes, ..packed }, max_bytes),
        }
    }

    /// Decrypts the batches of a whole run where they are: each moves to the end of the one before on the way.
    fn decrypt_run(
        &self,
        mut bytes: BytesMut,
        headers: &[BatchHeader],
        next: Offset,
    ) -> Result<Unpacked, UnpackError> {
        let (mut from, mut end, mut behind) = (0, 0, Offset::ZERO);
        for header in headers {
            let stored_end = from + header.bytes as usize;
            let room = bytes.get_mut(end..stored_end).unwrap_or_default();
            match self.decrypt_within(header, room, from - end) {
                Ok(length) => (from, end, behind) = (stored_end, end + length, header.end()),
                Err(error) if end == 0 => return Err(error),
                Err(error) => {
                    bytes.truncate(end);
                    let run = Run {
                        bytes: bytes.freeze(),
                        next: behind,
                    };
                    return Ok(Unpacked {
                        run,
                        rest: Err(error),
                    });
                }
            }
        }
        bytes.truncate(end);
        let bytes = bytes.freeze();
        Ok(Unpacked::whole(Run { bytes, next }))
    }

    /// Puts the plain form of a batch that is not compressed at the beginning of the room, at whose end it is stored. Returns
    /// the length of the plain form.
    fn decrypt_within(
        &self,
        header: &BatchHeader,
        room: &mut [u8],
        stored_at: usize,
    ) -> Result<usize, UnpackError> {
        let Some(encryption) = header.encryption else {
            room.copy_within(stored_at.., 0);
            return Ok(header.bytes as usize);
        };
        let payload = room.get_mut(HEADER_BYTES..).unwrap_or_default();
        let length = HEADER_BYTES + self.decrypt(header, encryption, payload, stored_at)?;
        plain_header(header).seal(room.get_mut(..length).unwrap_or_default())?;
        Ok(length)
    }

    fn copy_run(&self, packed: &Run, max_bytes: usize) -> Result<Unpacked, UnpackError> {
        let (mut plain, mut buffers) = (BytesMut::new(), UnpackBuffers::default());
        let (mut next, mut taken, mut failure) = (packed.next, 0, None);
        for batch in BatchIter::new(packed.bytes.clone()) {
            if plain.len() >= max_bytes {
                break;
            }
            match batch
                .map_err(UnpackError::from)
                .and_then(|batch| self.append_plain(&batch, &mut plain, &mut buffers))
            {
                Ok(header) => (next, taken) = (header.end(), taken + header.bytes as usize),
                Err(error) if taken == 0 => return Err(error),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let run = Run {
            bytes: plain.freeze(),
            next,
        };
        let rest = Run {
            bytes: packed.bytes.slice(taken..),
            next: packed.next,
        };
        Ok(Unpacked {
            run,
            rest: failure.map_or(Ok(rest), Err),
        })
    }

    /// Appends the plain form of a batch; `out` is as before after an error. Returns the header of the stored form.
    fn append_plain(
        &self,
        batch: &Batch,
        out: &mut BytesMut,
        buffers: &mut UnpackBuffers,
    ) -> Result<BatchHeader, UnpackError> {
        if !batch.header().is_packed() {
            out.put_slice(batch.bytes());
            return Ok(*batch.header());
        }
        let start = out.len();
        let appended = self.unpack_into(batch, out, buffers).and_then(|()| {
            let whole = out.get_mut(start..).unwrap_or_default();
            Ok(plain_header(batch.header()).seal(whole)?)
        });
        match appended {
            Ok(_) => Ok(*batch.header()),
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    /// Appends room for a header and the records of a packed batch.
    fn unpack_into(
        &self,
        batch: &Batch,
        out: &mut BytesMut,
        buffers: &mut UnpackBuffers,
    ) -> Result<(), UnpackError> {
        let header = batch.header();
        let UnpackBuffers {
            decompressor,
            decrypted,
        } = buffers;
        let Some(encryption) = header.encryption else {
            return decompress(header, batch.payload(), out, decompressor);
        };
        if header.codec == Codec::None {
            let start = out.len() + HEADER_BYTES;
            out.extend_from_slice(batch.bytes());
            let payload = out.get_mut(start..).unwrap_or_default();
            let length = self.decrypt(header, encryption, payload, 0)?;
            out.truncate(start + length);
            return Ok(());
        }
        decrypted.clear();
        decrypted.extend_from_slice(batch.payload());
        let length = self.decrypt(header, encryption, decrypted, 0)?;
        decompress(
            header,
            decrypted.get(..length).unwrap_or_default(),
            out,
            decompressor,
        )
    }

    /// Decrypts a payload that is stored at the end of the room to its beginning; returns the payload's length.
    fn decrypt(
        &self,
        header: &BatchHeader,
        Encryption { key, nonce }: Encryption,
        room: &mut [u8],
        stored_at: usize,
    ) -> Result<usize, UnpackError> {
        let base = header.base;
        let cipher = self.keys.iter().find(|cipher| cipher.id() == key);
        let cipher = cipher.ok_or(UnpackError::UnknownKey { base, key })?;
        let opened = cipher.open(nonce, associated_data(header, self.partition), room, stored_at);
        opened.map_err(|_| UnpackError::NotAuthentic { base, key })
    }
}

/// What the batches of a run are unpacked with.
#[derive(Default)]
struct UnpackBuffers {
    decompressor: Decompressor,
    /// Decrypted and still compressed.
    decrypted: Vec<u8>,
}

impl Unpacked {
    /// Nothing of the run is left.
    fn whole(run: Run) -> Self {
        let rest = Run {
            next: run.next,
            ..Run::default()
        };
        Self { run, rest: Ok(rest) }
    }
}

/// The headers of all batches of a run, if none is damaged or compressed.
fn uncompressed(run: &Run) -> Option<Vec<BatchHeader>> {
    let header = |batch: Result<Batch, BatchError>| {
        let header = *batch.ok()?.header();
        (header.codec == Codec::None).then_some(header)
    };
    run.batches().map(header).collect()
}

fn decompress(
    header: &BatchHeader,
    payload: &[u8],
    out: &mut BytesMut,
    decompressor: &mut Decompressor,
) -> Result<(), UnpackError> {
    let failed = |problem: Problem| UnpackError::NotCompressed {
        base: header.base,
        problem: problem.to_string(),
    };
    let (length, compressed) = split_length(header.codec, payload).map_err(failed)?;
    let start = out.len() + HEADER_BYTES;
    out.resize(start + length, 0);
    let records = out.get_mut(start..).unwrap_or_default();
    decompressor
        .decompress(header.codec, compressed, records)
        .map_err(failed)
}

fn plain_header(header: &BatchHeader) -> BatchHeader {
    BatchHeader {
        codec: Codec::None,
        encryption: None,
        ..*header
    }
}
