//! Why the archive of a partition does not do what it was asked for.

use strandline_core::{LeaderEpoch, Offset, OffsetRange};

use super::BucketError;

/// What stops a step of the archive, or a reader of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// There is no manifest.
    #[error("there is no {key} in the bucket: nothing was archived yet")]
    Missing {
        /// The key of HEAD.
        key: String,
    },
    /// There is no manifest although there was one.
    #[error(
        "{key} is not in the bucket although this partition was archived before: the bucket was emptied, or the URL names \
         another one. Nothing is archived until HEAD is back: correct archive.url, or restore the objects from a copy. If they \
         are lost, `strandline archive begin-anew STREAM` archives what is left on the disk"
    )]
    Emptied {
        /// The key of HEAD.
        key: String,
    },
    /// Another leader writes the archive. For good: this one uploads nothing any more.
    #[error(
        "{place} was taken over by the leader of epoch {epoch} (writer {writer}); this one, of epoch {ours}, archives \
         nothing any more"
    )]
    Fenced {
        /// Place and partition.
        place: String,
        /// Epoch of the leader that has it.
        epoch: LeaderEpoch,
        /// The nonce of the leader that has it.
        writer: String,
        /// Our epoch.
        ours: LeaderEpoch,
    },
    /// What is in the place belongs to something else.
    #[error(
        "{key} belongs to {found}, not to {expected}: two clusters share one place of the bucket, or HEAD was copied"
    )]
    Foreign {
        /// The key of HEAD.
        key: String,
        /// What HEAD says it belongs to.
        found: String,
        /// What it should belong to.
        expected: String,
    },
    /// Somebody deletes the archive.
    #[error(
        "{key} says that this archive is being purged: nothing is read or written there any more. `strandline archive purge` \
         again ends what was begun"
    )]
    Purging {
        /// The key of HEAD.
        key: String,
    },
    /// An object of the archive is not what it has to be.
    #[error("{key} is damaged: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bucket shows an older manifest than before.
    #[error(
        "{key} went back from sequence {known} to {found}: the bucket was restored from an older copy. Restart the broker to \
         accept it"
    )]
    WentBack {
        /// The key of HEAD.
        key: String,
        /// The sequence that was seen before.
        known: u64,
        /// The sequence that is there now.
        found: u64,
    },
    /// The local log ends before the archive does: it lost committed records, whose offsets must not be given anew.
    #[error(
        "the local log ends at offset {local} but the archive holds records up to {archived}: this broker lost committed \
         records. Restore the partition from the archive"
    )]
    Behind {
        /// End of the local log.
        local: Offset,
        /// End of the archive.
        archived: Offset,
    },
    /// The archive ends inside a batch of the local log, which cannot be cut.
    #[error(
        "the archive ends at offset {end}, inside the local batch {batch}, which cannot be cut: let compaction or another \
         replica lead this partition"
    )]
    CrossesEnd {
        /// End of the archive.
        end: Offset,
        /// The batch.
        batch: OffsetRange,
    },
    /// The local log cannot be read.
    #[error("the local log cannot be archived: {reason}")]
    Local {
        /// What it said.
        reason: String,
    },
}

impl ArchiveError {
    /// Whether trying again later can work without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Bucket(error) if error.is_transient())
    }

    pub(super) fn damaged(key: &str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn local(error: &dyn std::error::Error) -> Self {
        Self::Local {
            reason: error.to_string(),
        }
    }
}
