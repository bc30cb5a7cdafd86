//! The body of an answer, in the buffers that its reader wants.

use bytes::Bytes;
use futures_util::stream::TryStreamExt as _;
use object_store::{GetResult, GetResultPayload};

use super::BucketError;
use super::call::Failure;

/// The whole body. One that is shorter than it was announced to be is a lost connection, to try again.
pub(super) async fn whole(result: GetResult, length: u64, key: &str) -> Result<Bytes, Failure> {
    let mut pieces = pieces(result, &[length], key).await?;
    Ok(pieces.pop().unwrap_or_default())
}

/// As [`whole`], in pieces of these lengths. Each has memory of its own: who keeps one does not keep the others.
pub(super) async fn pieces(result: GetResult, lengths: &[u64], key: &str) -> Result<Vec<Bytes>, Failure> {
    let mut body = Body::new(lengths);
    match result.payload {
        // As a stream it would come eight kilobytes at a time.
        GetResultPayload::File(..) => body.add(result.bytes().await?),
        GetResultPayload::Stream(mut stream) => {
            while let Some(chunk) = stream.try_next().await? {
                body.add(chunk);
            }
        }
    }
    body.finish()
        .map_err(|reason| Failure::Answer(BucketError::unreachable("read", key, reason)))
}

/// A body that comes in chunks of any lengths. Each byte is copied once, to where it stays.
struct Body<'l> {
    lengths: &'l [u64],
    whole: Vec<Bytes>,
    /// The piece that is being filled.
    open: Vec<u8>,
    bytes: u64,
}

impl<'l> Body<'l> {
    fn new(lengths: &'l [u64]) -> Self {
        Self {
            lengths,
            whole: Vec::with_capacity(lengths.len()),
            open: Vec::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, mut chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        while !chunk.is_empty()
            && let Some(&length) = self.lengths.get(self.whole.len())
        {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if chunk.len() == length && self.lengths.len() == 1 {
                // There is nothing that it could keep.
                self.whole.push(std::mem::take(&mut chunk));
                break;
            }
            if self.open.capacity() == 0 {
                self.open.reserve_exact(length);
            }
            let wanted = (length - self.open.len()).min(chunk.len());
            self.open.extend_from_slice(&chunk.split_to(wanted));
            if self.open.len() == length {
                self.whole.push(std::mem::take(&mut self.open).into());
            }
        }
    }

    fn finish(mut self) -> Result<Vec<Bytes>, String> {
        let announced: u64 = self.lengths.iter().sum();
        if self.bytes != announced {
            return Err(format!(
                "the answer has {} bytes instead of {announced}",
                self.bytes
            ));
        }
        // Pieces without a byte at the end.
        self.whole.resize(self.lengths.len(), Bytes::new());
        Ok(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(lengths: &[u64], chunks: &[&[u8]]) -> Result<Vec<Bytes>, String> {
        let mut body = Body::new(lengths);
        for chunk in chunks {
            body.add(Bytes::copy_from_slice(chunk));
        }
        body.finish()
    }

    #[test]
    fn a_body_of_another_length_than_was_announced_is_refused() {
        assert_eq!(filled(&[3], &[b"abc"]).unwrap(), ["abc"]);
        assert_eq!(filled(&[2, 2], &[b"abc", b"d"]).unwrap(), ["ab", "cd"]);
        for (lengths, chunks) in [
            (&[3][..], &[&b"ab"[..]]),
            (&[3], &[b"abcd"]),
            (&[2, 2], &[b"abc"]),
            (&[1, 1], &[b"abc"]),
        ] {
            let error = filled(lengths, chunks).unwrap_err();
            assert!(error.starts_with("the answer has "), "{error}");
        }
        assert_eq!(filled(&[], &[]).unwrap(), Vec::<Bytes>::new());
        assert_eq!(filled(&[0, 1, 0], &[b"a"]).unwrap(), ["", "a", ""]);
    }

    proptest! {
        #[test]
        fn however_a_body_comes_its_pieces_are_those_that_were_asked_for(
            lengths in prop::collection::vec(1_u64..20, 1..10),
            cuts in prop::collection::vec(0_usize..200, 0..10),
        ) {
            let total = usize::try_from(lengths.iter().sum::<u64>()).unwrap();
            let all: Vec<u8> = (0..total).map(|number| number as u8).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(total)).chain([0, total]).collect();
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &all[cut[0]..cut[1]]).collect();
            let pieces = filled(&lengths, &chunks).unwrap();
            prop_assert_eq!(pieces.iter().map(|piece| piece.len() as u64).collect::<Vec<_>>(), lengths);
            prop_assert_eq!(pieces.concat(), all);
        }
    }
}
