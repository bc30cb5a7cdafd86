//! Looks for bytes in a block of them at once: sixteen with the vector instructions of WebAssembly (`-C
//! target-feature=+simd128`), else the eight of a word. A mark is a bit, the first of those of its byte.

pub(super) use width::{WIDTH, bits, marked, quotes_and_backslashes, quotes_and_brackets};

/// The block that the text begins with, filled up with zeroes, for which nobody looks.
#[inline]
fn block<const WIDTH: usize>(text: &[u8]) -> [u8; WIDTH] {
    match text.first_chunk() {
        Some(block) => *block,
        None => {
            let mut block = [0; WIDTH];
            block[..text.len()].copy_from_slice(text);
            block
        }
    }
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
mod width {
    //! A word. A mark is the highest bit of its byte.

    /// How many bytes a block has.
    pub(in crate::json) const WIDTH: usize = 8;
    /// A one in every byte.
    const LOW: u64 = 0x0101_0101_0101_0101;
    /// All bits of every byte but the highest.
    const REST: u64 = 0x7f * LOW;

    /// How many bits stand for so many bytes.
    #[inline]
    pub(in crate::json) fn bits(bytes: usize) -> usize {
        8 * bytes
    }

    /// Which byte the first mark is for.
    #[inline]
    pub(in crate::json) fn marked(marks: u64) -> usize {
        (marks.trailing_zeros() / 8) as usize
    }

    #[inline]
    pub(in crate::json) fn quotes_and_backslashes(text: &[u8]) -> u64 {
        let word = word(text);
        !(other(word, b'"') & other(word, b'\\'))
    }

    #[inline]
    pub(in crate::json) fn quotes_and_brackets(text: &[u8]) -> u64 {
        let word = word(text);
        // With bit 5 set, square brackets are like curly ones.
        let folded = word | (LOW * 0x20);
        !(other(word, b'"') & other(folded, b'{') & other(folded, b'}'))
    }

    #[inline]
    fn word(text: &[u8]) -> u64 {
        u64::from_le_bytes(super::block(text))
    }

    /// All bits set, but the highest of every byte that is `byte`: adding to the rest of such a byte carries nothing
    /// into it.
    #[inline]
    fn other(word: u64, byte: u8) -> u64 {
        let difference = word ^ (LOW * u64::from(byte));
        ((difference & REST) + REST) | difference | REST
    }
}

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod width {
    //! A vector. A mark is one bit.

    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128, v128_or};

    /// How many bytes a block has.
    pub(in crate::json) const WIDTH: usize = 16;

    /// How many bits stand for so many bytes.
    #[inline]
    pub(in crate::json) fn bits(bytes: usize) -> usize {
        bytes
    }

    /// Which byte the first mark is for.
    #[inline]
    pub(in crate::json) fn marked(marks: u64) -> usize {
        marks.trailing_zeros() as usize
    }

    #[inline]
    pub(in crate::json) fn quotes_and_backslashes(text: &[u8]) -> u64 {
        let vector = vector(text);
        marks(v128_or(equal(vector, b'"'), equal(vector, b'\\')))
    }

    #[inline]
    pub(in crate::json) fn quotes_and_brackets(text: &[u8]) -> u64 {
        let vector = vector(text);
        // With bit 5 set, square brackets are like curly ones.
        let folded = v128_or(vector, u8x16_splat(0x20));
        marks(v128_or(
            equal(vector, b'"'),
            v128_or(equal(folded, b'{'), equal(folded, b'}')),
        ))
    }

    #[inline]
    fn vector(text: &[u8]) -> v128 {
        let both = u128::from_le_bytes(super::block(text));
        u64x2(both as u64, (both >> 64) as u64)
    }

    #[inline]
    fn equal(vector: v128, byte: u8) -> v128 {
        u8x16_eq(vector, u8x16_splat(byte))
    }

    #[inline]
    fn marks(vector: v128) -> u64 {
        u64::from(u8x16_bitmask(vector))
    }
}
