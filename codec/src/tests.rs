//! What is packed is unpacked again, and nothing else is.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use strandline_core::metadata::{DataKey, WrappedKey};
use strandline_core::record::{
    Batch, BatchBuilder, BatchHeader, Codec, Encryption, Fields, HEADER_BYTES, KeyId, MAX_BATCH_BYTES,
    RecordIter, append_record,
};
use strandline_core::storage::Run;
use strandline_core::{LeaderEpoch, Offset, PartitionId, StreamName, Timestamp};

use super::*;

const PARTITION: PartitionId = PartitionId::new(3);

fn stream() -> StreamName {
    StreamName::new("orders").unwrap()
}

fn masters(texts: &[&str]) -> MasterKeys {
    MasterKeys::new(texts.iter().map(|text| MasterKey::parse(text).unwrap()).collect())
}

const MASTER: &str = "t7w!z%C*F-JaNcRf";

fn data_key(id: u32, master: &str) -> DataKey {
    let random = std::array::from_fn(|at| (at as u8).wrapping_mul(31).wrapping_add(id as u8));
    DataKey {
        id: KeyId::new(id).unwrap(),
        wrapped: masters(&[master]).create(&stream(), random).unwrap(),
    }
}

fn cipher(id: u32) -> std::sync::Arc<DataCipher> {
    masters(&[MASTER])
        .open(&stream(), &[data_key(id, MASTER)])
        .unwrap()
        .remove(0)
}

fn packer(codec: Codec, key: Option<u32>) -> Packer {
    let encryption = key.map(|id| (cipher(id), Nonces::new(1, 77).into()));
    Packer::new(PARTITION, codec, encryption)
}

fn unpacker(keys: &[u32]) -> Unpacker {
    Unpacker::new(PARTITION, keys.iter().map(|&id| cipher(id)))
}

fn batch_at(base: u64, values: &[Vec<u8>]) -> Batch {
    let mut builder = BatchBuilder::new();
    for (index, value) in (0..).zip(values) {
        let mut bytes = BytesMut::new();
        let fields = Fields {
            key: Some(b"key"),
            value,
            subject: "orders.new",
            reply: "",
        };
        append_record(&mut bytes, &fields, [("header", &b"value"[..])]).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let (offset, time) = (
            Offset::new(base + index),
            Timestamp::from_nanos(1000 + index as i64),
        );
        builder.push(&record, LeaderEpoch::new(5), offset, time);
    }
    builder.finish().unwrap()
}

fn pack(packer: &Packer, batch: &Batch) -> Batch {
    packer.pack(batch, &mut PackBuffers::default()).unwrap()
}

/// Text that compresses to less than half.
fn text(bytes: usize) -> Vec<u8> {
    b"the tide leaves a line of weed on the strand; "
        .iter()
        .copied()
        .cycle()
        .take(bytes)
        .collect()
}

fn ways() -> Vec<Packer> {
    let keys = [None, Some(7)];
    let ways = Codec::ALL
        .into_iter()
        .flat_map(|codec| keys.map(|key| packer(codec, key)));
    ways.collect()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..300), (0..3000_usize).prop_map(text)]
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(values in vec(value(), 1..20), base in 0..1_u64 << 50) {
        let plain = batch_at(base, &values);
        let mut buffers = PackBuffers::default();
        for packer in ways() {
            let packed = packer.pack(&plain, &mut buffers).unwrap();
            let stored = Batch::parse(packed.bytes()).unwrap();
            prop_assert_eq!(&stored, &packed);
            let header = BatchHeader { bytes: plain.header().bytes, codec: Codec::None, encryption: None, ..*stored.header() };
            prop_assert_eq!(&header, plain.header(), "what is outside says the same");
            let unpacked = unpacker(&[7]).unpack(&stored).unwrap();
            prop_assert_eq!(&unpacked, &plain);
            prop_assert_eq!(Batch::parse(unpacked.bytes()).unwrap(), unpacked);
        }
    }

    #[test]
    fn a_run_that_is_decrypted_where_it_is_gives_what_a_shared_one_gives(
        kinds in vec((0..4_u8, 0..3000_usize), 1..8),
    ) {
        let (aes, other) = (packer(Codec::None, Some(7)), packer(Codec::None, Some(8)));
        let stored: Vec<_> = (0..)
            .zip(&kinds)
            .map(|(at, &(kind, length))| {
                let plain = batch_at(at, &[text(length)]);
                match kind {
                    0 => plain,
                    3 if at > 0 => pack(&other, &plain),
                    _ => pack(&aes, &plain),
                }
            })
            .collect();
        let shared = run_of(&stored);
        let own = Run { bytes: bytes::Bytes::copy_from_slice(&shared.bytes), ..shared };
        let kept = shared.bytes.clone();
        let unpacker = unpacker(&[7]);
        let unpacked = unpacker.unpack_run(own, usize::MAX);
        prop_assert_eq!(&unpacked, &unpacker.unpack_run(shared, usize::MAX));
        prop_assert_eq!(kept, run_of(&stored).bytes, "what others have stays as it is");
        for batch in unpacked.unwrap().run.batches() {
            prop_assert!(Batch::parse(batch.unwrap().bytes()).is_ok());
        }
    }

    #[test]
    fn arbitrary_payloads_are_refused_without_a_panic(
        payload in vec(any::<u8>(), 0..200),
        length in 0..300_u32,
        codec in prop::sample::select(vec![Codec::Lz4, Codec::Zstd]),
    ) {
        let payload = [&length.to_le_bytes()[..], &payload].concat();
        if let Ok(plain) = unpacker(&[]).unpack(&foreign(codec, &payload)) {
            prop_assert_eq!(plain.payload().len(), length as usize);
            let _ = Batch::parse(plain.bytes());
        }
    }
}

/// A batch with a right checksum that no packer has made.
fn foreign(codec: Codec, payload: &[u8]) -> Batch {
    let header = BatchHeader {
        codec,
        ..*batch_at(4, &[text(10)]).header()
    };
    let buffer = BytesMut::from(&[&[0; HEADER_BYTES][..], payload].concat()[..]);
    Batch::seal(header, buffer).unwrap()
}

#[test]
fn what_does_not_shrink_is_not_compressed() {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let noise = batch_at(0, &[(0..4000).map(|_| noise()).collect()]);
    for codec in [Codec::Lz4, Codec::Zstd] {
        assert_eq!(pack(&packer(codec, None), &noise), noise);
        let encrypted = pack(&packer(codec, Some(7)), &noise);
        assert_eq!(encrypted.header().codec, Codec::None);
        let shrinks = batch_at(0, &[text(4000)]);
        let packed = pack(&packer(codec, None), &shrinks);
        assert_eq!(packed.header().codec, codec);
        assert!(packed.bytes().len() * 2 < shrinks.bytes().len());
    }
}

#[test]
fn an_encrypted_batch_shows_nothing_of_its_records() {
    let plain = batch_at(0, &[b"attack at dawn".to_vec()]);
    let packed = pack(&packer(Codec::None, Some(7)), &plain);
    for word in ["attack at dawn", "orders.new", "key", "header", "value"] {
        let shows = |batch: &Batch| {
            batch
                .bytes()
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        assert!(shows(&plain) && !shows(&packed), "{word}");
    }
}

#[test]
fn no_two_batches_have_the_same_nonce() {
    let (packer, plain) = (packer(Codec::Lz4, Some(7)), batch_at(0, &[text(500)]));
    let nonce = |batch: &Batch| batch.header().encryption.unwrap().nonce;
    let (first, second) = (pack(&packer, &plain), pack(&packer, &plain));
    assert_ne!(nonce(&first), nonce(&second));
    assert_ne!(first.payload(), second.payload());
}

fn resealed(bytes: Vec<u8>) -> Result<Batch, strandline_core::record::BatchError> {
    let mut bytes = bytes;
    let crc = strandline_core::record::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    Batch::checked(&bytes.into())
}

#[test]
fn every_flipped_bit_of_an_encrypted_batch_is_refused_even_with_a_right_checksum() {
    let packed = pack(&packer(Codec::Lz4, Some(7)), &batch_at(9, &[text(300), text(20)]));
    let unpacker = unpacker(&[7, 8]);
    for bit in 4 * 8..packed.bytes().len() * 8 {
        let mut bytes = packed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(batch) = resealed(bytes) {
            assert!(unpacker.unpack(&batch).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_batch_is_worth_nothing_in_another_place() {
    let (first, second) = (batch_at(1, &[text(200)]), batch_at(2, &[text(200)]));
    let packer = packer(Codec::None, Some(7));
    let (first, second) = (pack(&packer, &first), pack(&packer, &second));
    let swapped = [&first.bytes()[..HEADER_BYTES], second.payload()].concat();
    let error = unpacker(&[7]).unpack(&resealed(swapped).unwrap()).unwrap_err();
    assert!(matches!(error, UnpackError::NotAuthentic { .. }));
    let elsewhere = Unpacker::new(PartitionId::new(4), [cipher(7)]);
    let error = elsewhere.unpack(&first).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the batch at offset 1 is not what was encrypted there with data key 7"
    );
    let error = unpacker(&[8]).unpack(&first).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the batch at offset 1 is encrypted with data key 7, which is none of this stream's"
    );
    let same_number = data_key(8, MASTER).wrapped;
    let other = DataKey {
        id: KeyId::new(7).unwrap(),
        wrapped: same_number,
    };
    let other = masters(&[MASTER]).open(&stream(), &[other]).unwrap();
    assert!(Unpacker::new(PARTITION, other).unpack(&first).is_err());
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let claim = |bytes: usize, rest: &[u8]| [&(bytes as u32).to_le_bytes()[..], rest].concat();
    let refused = |codec, payload: &[u8]| {
        unpacker(&[])
            .unpack(&foreign(codec, payload))
            .unwrap_err()
            .to_string()
    };
    for codec in [Codec::Lz4, Codec::Zstd] {
        let text = refused(codec, &claim(MAX_BATCH_BYTES + 1, b"small"));
        assert!(text.contains("more than any batch"), "{text}");
        assert!(refused(codec, b"ab").contains("its length is missing"));
    }
    assert!(refused(Codec::Lz4, &claim(1 << 20, b"small")).contains("more than can be in it"));
    let zeroes = vec![0; 1 << 20];
    let bomb = zstd::bulk::compress(&zeroes, 1).unwrap();
    for wrong in [0, 1000, (1 << 20) - 1, (1 << 20) + 1] {
        assert!(
            refused(Codec::Zstd, &claim(wrong, &bomb)).contains("no zstd data"),
            "{wrong}"
        );
    }
    let bomb = lz4_flex::block::compress(&zeroes);
    for wrong in [0, 1000, (1 << 20) - 1] {
        assert!(
            refused(Codec::Lz4, &claim(wrong, &bomb)).contains("no lz4 data"),
            "{wrong}"
        );
    }
}

#[test]
fn a_packed_batch_is_not_packed_again() {
    let packer = packer(Codec::Lz4, Some(7));
    let packed = pack(&packer, &batch_at(0, &[text(100)]));
    let again = packer.pack(&packed, &mut PackBuffers::default());
    assert_eq!(again, Err(PackError::Packed));
}

#[test]
fn encrypted_batches_that_are_too_short_for_a_tag_are_refused() {
    let good = pack(&packer(Codec::None, Some(7)), &batch_at(0, &[text(100)]));
    for length in 0..32 {
        let header = BatchHeader {
            base: Offset::new(1),
            last: Offset::new(1),
            ..*good.header()
        };
        let buffer = BytesMut::zeroed(HEADER_BYTES + length);
        let short = Batch::seal(header, buffer).unwrap();
        let refused = UnpackError::NotAuthentic {
            base: header.base,
            key: KeyId::new(7).unwrap(),
        };
        assert_eq!(unpacker(&[7]).unpack(&short), Err(refused.clone()));
        let unpacked = unpacker(&[7])
            .unpack_run(run_of(&[good.clone(), good.clone(), short]), usize::MAX)
            .unwrap();
        assert_eq!(unpacked.rest, Err(refused));
    }
}

fn run_of(batches: &[Batch]) -> Run {
    let bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
    Run {
        bytes: bytes.into(),
        next: batches.last().unwrap().header().end(),
    }
}

#[test]
fn a_run_of_mixed_batches_is_unpacked_piece_by_piece() {
    let plain: Vec<_> = (0..6).map(|base| batch_at(10 * base, &[text(400)])).collect();
    let stored: Vec<_> = ways()
        .iter()
        .zip(&plain)
        .map(|(way, batch)| pack(way, batch))
        .collect();
    let (mut rest, mut found) = (run_of(&stored), Vec::new());
    let mut pieces = 0;
    while !rest.bytes.is_empty() {
        let Unpacked { run, rest: left } = unpacker(&[7]).unpack_run(rest.clone(), 600).unwrap();
        let batches: Vec<_> = run.batches().map(Result::unwrap).collect();
        assert_eq!(run.next, batches.last().unwrap().header().end());
        found.extend(batches);
        rest = left.unwrap();
        pieces += 1;
    }
    assert_eq!(found, plain);
    assert!((2..6).contains(&pieces), "{pieces}");
    let whole = run_of(&plain);
    let place = whole.bytes.as_ptr();
    let same = unpacker(&[]).unpack_run(whole, 600).unwrap();
    assert_eq!(same.run.bytes.as_ptr(), place, "nothing to do");
    assert!(same.rest.unwrap().bytes.is_empty());
}

#[test]
fn records_before_a_batch_that_cannot_be_unpacked_are_handed_out() {
    let (good, bad) = (batch_at(0, &[text(100)]), batch_at(1, &[text(100)]));
    let stored = [
        pack(&packer(Codec::Lz4, Some(7)), &good),
        pack(&packer(Codec::Lz4, Some(8)), &bad),
    ];
    let Unpacked { run, rest } = unpacker(&[7]).unpack_run(run_of(&stored), usize::MAX).unwrap();
    assert_eq!((&run.bytes, run.next), (good.bytes(), Offset::new(1)));
    assert!(matches!(rest, Err(UnpackError::UnknownKey { .. })), "{rest:?}");
}

#[test]
fn master_keys_are_read_in_the_forms_that_people_have_them_in() {
    let id = |text: &str| MasterKey::parse(text).map(|key| key.id());
    let raw = "0123456789abcdef0123456789abcdef";
    let as_hex = "3031323334353637383961626364656630313233343536373839616263646566";
    let as_base64 = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    assert_eq!(id(raw).unwrap(), id(as_hex).unwrap());
    assert_eq!(id(raw).unwrap(), id(as_base64).unwrap());
    assert_ne!(id(raw).unwrap(), id(&raw[..16]).unwrap());
    for bad in [
        "",
        "something-in-correct",
        &as_hex[1..],
        &"g".repeat(64),
        &"*".repeat(44),
    ] {
        let error = id(bad).unwrap_err();
        assert_eq!(error.bytes, bad.len());
    }
    let shown = format!("{:?}", MasterKey::parse(MASTER).unwrap());
    assert!(shown.contains("MasterKey") && !shown.contains(MASTER), "{shown}");
}

#[test]
fn a_data_key_opens_with_its_master_key_and_stream_only() {
    let (key, other) = (data_key(7, MASTER), "the other key...");
    let opened = |keys: &MasterKeys| keys.open(&stream(), std::slice::from_ref(&key)).map(|_| ());
    assert_eq!(opened(&masters(&[MASTER])), Ok(()));
    assert_eq!(opened(&masters(&[other, MASTER])), Ok(()));
    let error = opened(&masters(&[other])).unwrap_err().to_string();
    let named = |text: &str| MasterKey::parse(text).unwrap().id().to_string();
    assert!(
        error.contains(&named(MASTER)) && error.contains(&named(other)),
        "{error}"
    );
    let error = opened(&MasterKeys::default()).unwrap_err().to_string();
    assert!(error.contains("this broker has none"), "{error}");
    let elsewhere = StreamName::new("else").unwrap();
    let moved = masters(&[MASTER]).open(&elsewhere, std::slice::from_ref(&key));
    assert!(matches!(moved, Err(KeyError::Damaged { .. })));
    for text in ["", "00", "zz", &key.wrapped.text[2..]] {
        let wrapped = WrappedKey {
            text: text.to_owned(),
            ..key.wrapped.clone()
        };
        let damaged = DataKey {
            wrapped,
            ..key.clone()
        };
        let error = masters(&[MASTER]).open(&stream(), &[damaged]).unwrap_err();
        assert!(matches!(error, KeyError::Damaged { .. }), "{text}");
    }
    assert_eq!(
        MasterKeys::default().create(&stream(), [0; 44]),
        Err(KeyError::NoMasterKey)
    );
}

#[test]
fn a_data_key_that_is_wrapped_anew_is_the_same_key() {
    let (old, new) = (MASTER, "the other key...");
    let key = data_key(7, old);
    let packed = pack(&packer(Codec::None, Some(7)), &batch_at(0, &[text(50)]));
    let both = masters(&[new, old]);
    let wrap = both.rewrap(&stream(), &key, [5; 12]).unwrap().unwrap();
    assert_eq!((wrap.key, wrap.from), (key.id, key.wrapped.master));
    let moved = DataKey {
        wrapped: wrap.wrapped,
        ..key
    };
    assert_eq!(both.rewrap(&stream(), &moved, [6; 12]), Ok(None));
    let opened = masters(&[new]).open(&stream(), &[moved]).unwrap();
    assert!(Unpacker::new(PARTITION, opened).unpack(&packed).is_ok());
    let key = data_key(7, old);
    assert!(matches!(
        masters(&[new]).rewrap(&stream(), &key, [5; 12]),
        Err(KeyError::OtherMasterKey { .. })
    ));
}

#[test]
fn the_header_names_the_data_key() {
    let packed = pack(&packer(Codec::Zstd, Some(7)), &batch_at(0, &[text(500)]));
    let header = packed.header();
    assert_eq!(header.codec, Codec::Zstd);
    assert!(matches!(header.encryption, Some(Encryption { key, .. }) if key.get() == 7));
}
