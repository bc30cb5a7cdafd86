//! Replacing HEAD by its next state.

use bytes::Bytes;

use super::super::page::PageDocument;
use super::super::{ArchiveError, Entry, Head, PageRef, Place, document};
use super::{Archiver, Held, State};

/// HEAD is kept at about this size: above it the older entries go into a page.
const HEAD_BYTES: usize = 64 << 10;
/// Fewer entries are not worth a page.
const LEAST_SPILLED: usize = 8;
/// How often the same state is tried while the answers are lost.
const TRIES: u32 = 4;

/// What became of a write whose answer was lost or was a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// HEAD is what was written.
    Worked,
    /// HEAD is what it was before.
    NotYet,
    /// HEAD is ours but another state: an earlier write of ours arrived late. Sequence numbers do not tell it from what was
    /// written, only the content does.
    Moved,
    /// HEAD is another leader's.
    Fenced,
}

/// Judges by what is in HEAD now.
pub(super) fn judge(found: &Head, tried: &Head, before: Option<&Head>) -> Outcome {
    if found == tried {
        Outcome::Worked
    } else if Some(found) == before {
        Outcome::NotYet
    } else if found.writer == tried.writer {
        Outcome::Moved
    } else {
        Outcome::Fenced
    }
}

impl Archiver {
    /// Replaces the HEAD that we hold by a changed one. False when HEAD had moved: nothing was changed then, and what to do has
    /// to be decided anew.
    pub(super) async fn publish(&mut self, held: Held, mut next: Head) -> Result<bool, ArchiveError> {
        next.sequence = held.head.sequence.saturating_add(1);
        self.spill(&mut next).await?;
        let bytes = self.encoded(&next)?;
        let key = self.archive.place().key(Place::HEAD);
        let mut version = held.version;
        let mut tries = TRIES;
        // Whoever drops this future finds out later what became of the write.
        self.state = State::Doubt;
        loop {
            let replaced = self.archive.bucket().replace(&key, bytes.clone(), &version).await;
            let doubt = match replaced {
                Ok(version) => {
                    self.hold(next, version);
                    return Ok(true);
                }
                Err(error) if error.leaves_doubt() => error,
                Err(error) => {
                    self.state = State::Held(Box::new(Held {
                        head: held.head,
                        version,
                    }));
                    return Err(error.into());
                }
            };
            let (found, now) = self.archive.read_head().await?;
            tries -= 1;
            match judge(&found, &next, Some(&held.head)) {
                Outcome::Worked => {
                    self.hold(found, now);
                    return Ok(true);
                }
                Outcome::NotYet if tries == 0 => return Err(doubt.into()),
                Outcome::NotYet => version = now,
                Outcome::Moved => {
                    self.hold(found, now);
                    return Ok(false);
                }
                Outcome::Fenced => return Err(self.lose(&found)),
            }
        }
    }

    pub(super) fn encoded(&self, head: &Head) -> Result<Bytes, ArchiveError> {
        self.archive.encode_head(head)
    }

    /// Moves the older entries into a page when HEAD has become large. The page is there before HEAD names it.
    async fn spill(&self, next: &mut Head) -> Result<(), ArchiveError> {
        if self.encoded(next)?.len() <= HEAD_BYTES {
            return Ok(());
        }
        // What is to be deleted passes by itself.
        let lasting = Head {
            gone: Vec::new(),
            ..next.clone()
        };
        if self.encoded(&lasting)?.len() <= HEAD_BYTES {
            return Ok(());
        }
        let name = PageRef::new_name(next.sequence)?;
        let Some(entries) = spilled(next, name.clone()) else {
            return Ok(());
        };
        self.write_page(&name, entries).await
    }

    /// Writes a page. HEAD may name it once it is there.
    pub(super) async fn write_page(&self, name: &str, entries: Vec<Entry>) -> Result<(), ArchiveError> {
        let place = self.archive.place();
        let key = place.key(name);
        let page = PageDocument {
            place: place.root.clone(),
            partition: place.partition,
            entries,
        };
        let bytes = document::encode(PageDocument::KIND, &page)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        Ok(self.archive.bucket().put(&key, bytes).await?)
    }
}

/// Replaces the older three quarters of the entries by a reference to a page of this name; none when they are too few.
fn spilled(head: &mut Head, name: String) -> Option<Vec<Entry>> {
    let count = head.entries.len() * 3 / 4;
    if count < LEAST_SPILLED {
        return None;
    }
    let entries: Vec<_> = head.entries.drain(..count).collect();
    head.pages.push(PageRef::of(name, &entries)?);
    Some(entries)
}
