//! Buffers that are used again, a few per thread, so that idle connections own none.

use std::cell::RefCell;

/// Bytes of a pooled buffer.
pub(crate) const BUFFER_SIZE: usize = 64 * 1024;
/// Larger ones, grown by a large message, are given back to the allocator.
const MAX_POOLED_SIZE: usize = 4 * BUFFER_SIZE;
/// Buffers kept by one thread.
const MAX_POOLED: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer of at least [`BUFFER_SIZE`].
pub(crate) fn take() -> Vec<u8> {
    POOL.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| Vec::with_capacity(BUFFER_SIZE))
}

/// Gives a buffer back. Small and very large ones are freed.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if !(BUFFER_SIZE..=MAX_POOLED_SIZE).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    POOL.with_borrow_mut(|pool| {
        if pool.len() < MAX_POOLED {
            pool.push(buffer);
        }
    });
}
