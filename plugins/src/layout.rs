//! The bytes of `docs/plugin-contract.md` by name.

/// Length of what stands before the records of a batch.
pub(crate) const HEAD_BYTES: usize = 8;
/// Length of the fixed part of a record.
pub(crate) const RECORD_BYTES: usize = 24;
/// A length that says that there is no key.
pub(crate) const NO_KEY: u32 = u32::MAX;
/// Length of a span.
pub(crate) const SPAN_BYTES: usize = 8;
/// The span of a record that has no key: its start and its end.
pub(crate) const NO_KEY_SPAN: (u32, u32) = (u32::MAX, u32::MAX);
/// The span of a record that the plugin fails.
pub(crate) const FAIL_SPAN: (u32, u32) = (u32::MAX, 0);

/// The head of a batch of so many records.
pub(crate) fn head(records: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&records.to_le_bytes());
    head[4..].copy_from_slice(&(RECORD_BYTES as u32).to_le_bytes());
    head
}

/// The fixed part of a record: the lengths of all of it, of its key, subject, headers and value as packed, and of the value that
/// the stream has.
pub(crate) fn record_head(lengths: [u32; RECORD_BYTES / 4]) -> [u8; RECORD_BYTES] {
    let mut head = [0; RECORD_BYTES];
    for (place, length) in head.chunks_exact_mut(4).zip(lengths) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    head
}
