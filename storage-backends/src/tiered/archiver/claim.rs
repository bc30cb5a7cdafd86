//! Taking HEAD over.

use strandline_core::{LeaderEpoch, LogId, Offset};

use super::super::nonce::nonce;
use super::super::{ArchiveError, BucketError, Head, Place, Tombstones, Version};
use super::publish::{Outcome, judge};
use super::{Archiver, Expected, Held, State};

/// How often a claim is tried within a step while others change HEAD.
const TRIES: u32 = 4;

/// Who claims.
struct Claimant<'a> {
    place: &'a Place,
    log: LogId,
    epoch: LeaderEpoch,
    writer: &'a str,
    expected: Expected,
    /// First offset and end of the local log.
    local: (Offset, Offset),
}

impl Claimant<'_> {
    /// What HEAD has to become, if it may.
    fn decide(&self, found: Option<&Head>) -> Result<Head, ArchiveError> {
        let key = self.place.key(Place::HEAD);
        let Some(found) = found else {
            return match self.expected {
                Expected::New => Ok(self.first_head()),
                Expected::Existing | Expected::Restored => Err(ArchiveError::Emptied { key }),
            };
        };
        if found.purging {
            return Err(ArchiveError::Purging { key });
        }
        if found.epoch > self.epoch {
            return Err(fenced(found, self.place, self.epoch));
        }
        // A restored partition has another log than the one that its archive was begun with, and a higher epoch.
        let is_taken_over = self.expected == Expected::Restored && found.epoch < self.epoch;
        if found.log != self.log && !is_taken_over {
            return Err(ArchiveError::Foreign {
                key,
                found: format!("log {}", found.log),
                expected: format!("log {}", self.log),
            });
        }
        if found.end > self.local.1 {
            return Err(ArchiveError::Behind {
                local: self.local.1,
                archived: found.end,
            });
        }
        Ok(Head {
            log: self.log,
            epoch: self.epoch,
            writer: self.writer.to_owned(),
            sequence: found.sequence.saturating_add(1),
            ..found.clone()
        })
    }

    fn first_head(&self) -> Head {
        Head {
            place: self.place.root.clone(),
            partition: self.place.partition,
            log: self.log,
            epoch: self.epoch,
            writer: self.writer.to_owned(),
            sequence: 1,
            start: self.local.0,
            end: self.local.0,
            pages: Vec::new(),
            entries: Vec::new(),
            gaps: Vec::new(),
            gone: Vec::new(),
            points: Vec::new(),
            borrowed: Vec::new(),
            compacted: Offset::ZERO,
            tombstones: Tombstones::default(),
            purging: false,
        }
    }
}

pub(super) fn fenced(found: &Head, place: &Place, ours: LeaderEpoch) -> ArchiveError {
    ArchiveError::Fenced {
        place: place.to_string(),
        epoch: found.epoch,
        writer: found.writer.clone(),
        ours,
    }
}

/// A claim that has not worked, as far as is known.
struct Doubt {
    error: BucketError,
    /// HEAD as it is now.
    found: Option<(Head, Version)>,
}

impl Archiver {
    /// Makes HEAD ours, or finds that it is.
    pub(super) async fn claim(&mut self) -> Result<(), ArchiveError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => nonce::<16>()?,
        };
        self.writer = Some(writer.clone());
        let mut last = None;
        let mut found = self.found().await?;
        for _ in 0..TRIES {
            if let Some((head, version)) = &found
                && head.writer == writer
            {
                self.hold(head.clone(), version.clone());
                return Ok(());
            }
            let next = self.decide(&writer, found.as_ref().map(|(head, _)| head))?;
            let Some(doubt) = self.try_claim(found, next).await? else {
                return Ok(());
            };
            (last, found) = (Some(doubt.error), doubt.found);
        }
        last.map_or(Ok(()), |error| Err(error.into()))
    }

    fn decide(&mut self, writer: &str, found: Option<&Head>) -> Result<Head, ArchiveError> {
        let claimant = Claimant {
            place: self.archive.place(),
            log: self.log.id(),
            epoch: self.settings.epoch,
            writer,
            expected: self.settings.expected,
            local: (self.log.start(), self.log.end()),
        };
        let decided = claimant.decide(found);
        if let Err(error @ ArchiveError::Fenced { .. }) = &decided {
            self.state = State::Lost(error.clone());
        }
        decided
    }

    /// HEAD as it is; none when there is none and never was as far as we know.
    async fn found(&self) -> Result<Option<(Head, Version)>, ArchiveError> {
        match self.archive.read_head().await {
            Ok(found) => Ok(Some(found)),
            Err(ArchiveError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes our claim. None when HEAD is ours.
    async fn try_claim(
        &mut self,
        found: Option<(Head, Version)>,
        next: Head,
    ) -> Result<Option<Doubt>, ArchiveError> {
        let key = self.archive.place().key(Place::HEAD);
        let bytes = self.encoded(&next)?;
        let bucket = self.archive.bucket();
        let written = match &found {
            Some((_, version)) => bucket.replace(&key, bytes, version).await,
            None => bucket.create(&key, bytes).await,
        };
        let error = match written {
            Ok(version) => {
                self.hold(next, version);
                return Ok(None);
            }
            Err(error) if error.leaves_doubt() => error,
            Err(error) => return Err(error.into()),
        };
        let before = found.map(|(head, _)| head);
        match self.found().await? {
            Some((now, version)) if judge(&now, &next, before.as_ref()) == Outcome::Worked => {
                self.hold(now, version);
                Ok(None)
            }
            found => Ok(Some(Doubt { error, found })),
        }
    }

    pub(super) fn hold(&mut self, head: Head, version: Version) {
        self.archive.show(head.clone());
        self.state = State::Held(Box::new(Held { head, version }));
    }

    /// Finds out whether HEAD is still ours after a write whose outcome is not known.
    pub(super) async fn recheck(&mut self) -> Result<(), ArchiveError> {
        let (head, version) = self.archive.read_head().await?;
        if self.writer.as_deref() == Some(head.writer.as_str()) {
            self.hold(head, version);
            return Ok(());
        }
        Err(self.lose(&head))
    }

    /// Stops for good: HEAD is another's.
    pub(super) fn lose(&mut self, found: &Head) -> ArchiveError {
        let error = fenced(found, self.archive.place(), self.settings.epoch);
        self.state = State::Lost(error.clone());
        error
    }
}
