//! A batch as it comes from a file or a peer, with a checksum that is right: it is refused, or its records can be read.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use strandline_core::record::{Batch, BatchIter, crc32c};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if let Some(length) = bytes.get(4..8).and_then(|field| field.first_chunk()) {
        let end = (u32::from_le_bytes(*length) as usize).min(bytes.len());
        let crc = bytes.get(4..end).map(crc32c).unwrap_or_default();
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
    }
    let bytes = Bytes::from(bytes);
    if let Ok(batch) = Batch::parse(&bytes) {
        // What is packed has no records before it is unpacked.
        if !batch.header().is_packed() {
            let records = batch.records().inspect(|record| {
                let fields = (record.key(), record.value(), record.subject(), record.reply());
                assert!(fields.1.len() <= record.bytes());
            });
            assert_eq!(records.count(), batch.header().records as usize);
        }
        assert!(batch.header().end() > batch.header().base);
        batch.first_at_or_after(batch.header().last_time);
    }
    let read: usize = BatchIter::new(bytes.clone())
        .filter_map(Result::ok)
        .map(|batch| batch.bytes().len())
        .sum();
    assert!(read <= bytes.len());
});
