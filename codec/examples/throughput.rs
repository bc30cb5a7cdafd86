//! Measures what packing and unpacking cost on one core, beside the checksum that every batch has anyway. Unpacking begins with a
//! copy, which stands for the read: what it costs alone is the unpacking of a plain batch.
//!
//! ```text
//! cargo run --release -p strandline-codec --example throughput -- [RECORDS A BATCH] [BYTES A RECORD]
//! ```

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use strandline_codec::{MasterKey, MasterKeys, Nonces, PackBuffers, Packer, Unpacker};
use strandline_core::metadata::DataKey;
use strandline_core::record::{Batch, BatchBuilder, Codec, Fields, KeyId, RecordIter, append_record, crc32c};
use strandline_core::storage::Run;
use strandline_core::{LeaderEpoch, Offset, PartitionId, StreamName, Timestamp};

const MEASURED: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse());
    let records = numbers.next().transpose()?.unwrap_or(1000);
    let bytes = numbers.next().transpose()?.unwrap_or(256);
    let batches = [
        ("json", batch(records, |at| json(at, bytes))?),
        ("noise", batch(records, |at| noise(at, bytes))?),
    ];
    let stream = StreamName::new("measured")?;
    let masters = MasterKeys::new(vec![MasterKey::parse("0123456789abcdef")?]);
    let wrapped = masters.create(&stream, [7; 44])?;
    let id = KeyId::new(1).ok_or("0 is no key")?;
    let keys = masters.open(&stream, &[DataKey { id, wrapped }])?;
    let nonces = Arc::new(Nonces::new(1, 0));
    let partition = PartitionId::new(0);
    let unpacker = Unpacker::new(partition, keys.clone());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{records} records of {bytes} bytes; MB/s of plain batches")?;
    for (name, plain) in &batches {
        let checksum = rate(plain, || crc32c(plain.bytes()));
        writeln!(out, "{name:5} checksum alone   {checksum:6.0}")?;
        for codec in Codec::ALL {
            for key in [None, keys.first()] {
                let encryption = key.map(|key| (Arc::clone(key), Arc::clone(&nonces)));
                let packer = Packer::new(partition, codec, encryption);
                let mut buffers = PackBuffers::default();
                let packed = packer.pack(plain, &mut buffers)?;
                let next = packed.header().end();
                let packing = rate(plain, || packer.pack(plain, &mut buffers));
                let unpacking = rate(plain, || {
                    let bytes = Bytes::copy_from_slice(packed.bytes());
                    unpacker.unpack_run(Run { bytes, next }, usize::MAX)
                });
                let cipher = if key.is_some() { "aes" } else { "" };
                let share = 100.0 * packed.bytes().len() as f64 / plain.bytes().len() as f64;
                writeln!(
                    out,
                    "{name:5} {codec:4} {cipher:3} pack {packing:6.0} unpack {unpacking:6.0} size {share:3.0} %"
                )?;
            }
        }
    }
    Ok(())
}

fn batch(records: usize, value: impl Fn(usize) -> Vec<u8>) -> Result<Batch, Box<dyn Error>> {
    let mut builder = BatchBuilder::new();
    for at in 0..records {
        let mut bytes = BytesMut::new();
        let value = value(at);
        let fields = Fields {
            key: None,
            value: &value,
            subject: "orders.new",
            reply: "",
        };
        append_record(&mut bytes, &fields, [])?;
        let record = RecordIter::new(&bytes).next().ok_or("a record was appended")?;
        builder.push(
            &record,
            LeaderEpoch::new(1),
            Offset::new(at as u64),
            Timestamp::from_nanos(1),
        );
    }
    builder.finish().ok_or_else(|| "there are no records".into())
}

/// What services send to one another: the same names over and over, other numbers.
fn json(at: usize, bytes: usize) -> Vec<u8> {
    let mixed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text = format!(
        r#"{{"order":{at},"customer":"{mixed:016x}","amount":{},"currency":"EUR","status":"created","items":[{{"sku":"A-{}","quantity":{}}}]}}"#,
        mixed % 100_000,
        mixed % 977,
        mixed % 9
    );
    text.bytes().cycle().take(bytes).collect()
}

fn noise(at: usize, bytes: usize) -> Vec<u8> {
    let mut state = at as u64 + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Megabytes of the batch a second.
fn rate<T>(batch: &Batch, mut work: impl FnMut() -> T) -> f64 {
    let (begun, mut rounds) = (Instant::now(), 0);
    while begun.elapsed() < MEASURED {
        std::hint::black_box(work());
        rounds += 1;
    }
    (rounds * batch.bytes().len()) as f64 / begun.elapsed().as_secs_f64() / 1e6
}
