//! Batches that no packer has made, with a right checksum: they unpack to what they say they are or are refused, and never
//! ask for more memory than a batch may have.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

use strandline_codec::{MasterKey, MasterKeys, Nonces, PackBuffers, Packer, Unpacker};
use strandline_core::metadata::DataKey;
use strandline_core::record::{Batch, BatchHeader, Codec, Encryption, HEADER_BYTES, KeyId, MAX_BATCH_BYTES};
use strandline_core::storage::Run;
use strandline_core::{LeaderEpoch, Offset, PartitionId, StreamName, Timestamp};

const PARTITION: PartitionId = PartitionId::new(1);

fuzz_target!(|data: &[u8]| {
    let Some((&[how, nonce], payload)) = data.split_first_chunk() else {
        return;
    };
    let masters = MasterKeys::new(vec![
        MasterKey::parse("0123456789abcdef").expect("it has 16 bytes"),
    ]);
    let stream = StreamName::new("fuzz").expect("it is a name");
    let id = KeyId::new(1).expect("it is not 0");
    let wrapped = masters.create(&stream, [3; 44]).expect("there is a master key");
    let keys = masters
        .open(&stream, &[DataKey { id, wrapped }])
        .expect("it was just made");
    let unpacker = Unpacker::new(PARTITION, keys.clone());
    let codec = Codec::from_number(how % 3).expect("there are three");
    let header = BatchHeader {
        records: 1,
        epoch: LeaderEpoch::new(1),
        base: Offset::new(u64::from(how)),
        last: Offset::new(u64::from(how)),
        first_time: Timestamp::from_nanos(1),
        last_time: Timestamp::from_nanos(1),
        codec,
        encryption: (how & 8 != 0).then_some(Encryption {
            key: id,
            nonce: [nonce; 12],
        }),
        ..BatchHeader::default()
    };
    let buffer = BytesMut::from(&[&[0; HEADER_BYTES], payload].concat()[..]);
    let batch = Batch::seal(header, buffer).expect("the payload is short");
    let run = Run {
        bytes: Bytes::copy_from_slice(batch.bytes()),
        next: batch.header().end(),
    };
    let unpacked = unpacker.unpack(&batch);
    let as_run = unpacker.unpack_run(run, usize::MAX);
    assert_eq!(
        unpacked.as_ref().ok().map(Batch::bytes),
        as_run.as_ref().ok().map(|unpacked| &unpacked.run.bytes)
    );
    let Ok(plain) = unpacked else { return };
    assert!(!plain.header().is_packed() && plain.bytes().len() <= MAX_BATCH_BYTES);
    assert!(
        !batch.header().is_packed() || header.encryption.is_none(),
        "a forgery"
    );
    let _ = Batch::parse(plain.bytes());
    let encryption = Some((keys[0].clone(), Nonces::new(1, 1).into()));
    let packer = Packer::new(PARTITION, codec, encryption);
    if let Ok(packed) = packer.pack(&plain, &mut PackBuffers::default()) {
        assert_eq!(unpacker.unpack(&packed).as_ref(), Ok(&plain));
    }
});
