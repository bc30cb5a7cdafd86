//! From a subscription's start and stop positions to offsets.

use strandline_core::storage::{Log, ReadError, ReadLimit};
use strandline_core::{Offset, Timestamp};
use strandline_proto::convert::{StartAt, StopAt, inclusive};

use super::{OnTrimmed, ReadEnd};
use crate::partition::PartitionHandle;

/// The ends of a log at the time of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Oldest offset.
    pub(crate) start: Offset,
    /// First offset that is not committed (HW).
    pub(crate) committed_end: Offset,
    /// First offset that no record has (LEO).
    pub(crate) end: Offset,
}

/// A subscription in offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The first offset to deliver, if there is a record.
    pub(crate) start: Offset,
    /// The last offset to deliver.
    pub(crate) stop: Option<Offset>,
    /// What happens when records before the stop are removed meanwhile.
    pub(crate) on_trimmed: OnTrimmed,
}

/// Why there is nothing to subscribe to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// "Until the newest" of an empty partition.
    #[error("stream is empty")]
    Empty,
    /// The range is the wrong way round.
    #[error("stop offset is before start offset: {stop} < {start}")]
    StopBeforeStart {
        /// Stop offset as the wire says it: -1 = before everything.
        stop: i64,
        /// Start offset.
        start: Offset,
    },
    /// The start was removed, and the subscriber asked to be told.
    #[error(transparent)]
    Trimmed(ReadEnd),
    /// All records are newer than the stop time.
    #[error("no record at or before the stop time")]
    NothingBefore {
        /// The stop time.
        time: Timestamp,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Bounds {
    /// Those of a partition now. The oldest offset is found out when somebody starts there; else it may be 0 as long as it is
    /// not known, so that nobody who follows the end waits for an archive.
    ///
    /// # Errors
    ///
    /// The log cannot be read; [`ReadError::Fetching`] where that has to be waited for.
    pub(crate) fn of(partition: &PartitionHandle, start: StartAt) -> Result<Self, ReadError> {
        let log = partition.log();
        let oldest = if matches!(start, StartAt::Earliest) {
            oldest_offset(log.as_ref())?
        } else {
            log.start()
        };
        Ok(Self {
            start: oldest,
            committed_end: partition.readable().end,
            end: log.end(),
        })
    }
}

/// Where a log begins. One with an archive that it has not looked into yet says 0, and to a read there what is right.
fn oldest_offset(log: &dyn Log) -> Result<Offset, ReadError> {
    let start = log.start();
    if start > Offset::ZERO {
        return Ok(start);
    }
    let nothing = ReadLimit {
        end: start,
        max_bytes: 0,
    };
    match log.read(start, nothing) {
        Err(ReadError::Trimmed { start }) => Ok(start),
        other => other.map(|_| start),
    }
}

impl Plan {
    /// Turns positions into offsets. Looks up times in the log: may block on the disk.
    ///
    /// # Errors
    ///
    /// The positions name nothing, or the log cannot be read.
    pub(crate) fn resolve(
        start: StartAt,
        stop: StopAt,
        bounds: Bounds,
        partition: &PartitionHandle,
    ) -> Result<Self, PlanError> {
        let start = resolve_start(start, bounds, partition)?;
        let stop = resolve_stop(stop, bounds, partition)?;
        let is_before_start =
            |stop: i64| u64::try_from(stop).is_ok_and(|stop| stop < start.get()) || stop < 0;
        if let Some(stop) = stop.filter(|&stop| is_before_start(stop)) {
            return Err(PlanError::StopBeforeStart { stop, start });
        }
        Ok(Self {
            start,
            stop: stop.and_then(|stop| u64::try_from(stop).ok()).map(Offset::new),
            on_trimmed: OnTrimmed::Skip,
        })
    }
}

impl Plan {
    /// As [`Plan::resolve`] for a reverse read, whose stop lies below its start. Without a stop it goes down to the oldest
    /// record.
    ///
    /// # Errors
    ///
    /// The positions name nothing, or the log cannot be read.
    pub(crate) fn resolve_reverse(
        start: StartAt,
        stop: StopAt,
        bounds: Bounds,
        partition: &PartitionHandle,
    ) -> Result<Self, PlanError> {
        if bounds.committed_end <= bounds.start {
            return Err(PlanError::Empty);
        }
        let newest = bounds.committed_end.before().unwrap_or(Offset::ZERO);
        let start = resolve_start(start, bounds, partition)?.min(newest);
        let stop = match stop {
            StopAt::OnCancel => bounds.start,
            other => {
                let stop = resolve_stop(other, bounds, partition)?.unwrap_or(0);
                Offset::new(u64::try_from(stop).unwrap_or(0)).max(bounds.start)
            }
        };
        if stop > start {
            let stop = i64::try_from(stop.get()).unwrap_or(i64::MAX);
            return Err(PlanError::StopBeforeStart { stop, start });
        }
        Ok(Self {
            start,
            stop: Some(stop),
            on_trimmed: OnTrimmed::Skip,
        })
    }

    /// As this one, for a subscriber who may want to be told when what it asked for is gone.
    ///
    /// # Errors
    ///
    /// It is, and was asked for by its offset.
    pub(crate) fn on_trimmed(
        self,
        on_trimmed: OnTrimmed,
        start: StartAt,
        bounds: Bounds,
    ) -> Result<Self, PlanError> {
        let wanted = match (on_trimmed, start) {
            (OnTrimmed::Error, StartAt::Offset(offset)) => Offset::new(u64::try_from(offset).unwrap_or(0)),
            _ => bounds.start,
        };
        if wanted < bounds.start {
            return Err(PlanError::Trimmed(ReadEnd::Trimmed {
                wanted,
                start: bounds.start,
            }));
        }
        Ok(Self { on_trimmed, ..self })
    }
}

fn resolve_start(start: StartAt, bounds: Bounds, partition: &PartitionHandle) -> Result<Offset, ReadError> {
    let offset = match start {
        StartAt::NewOnly => bounds.end,
        StartAt::Offset(offset) => Offset::new(u64::try_from(offset).unwrap_or(0)),
        StartAt::Earliest => bounds.start,
        StartAt::Latest => bounds.end.before().unwrap_or(Offset::ZERO),
        StartAt::Time(time) => partition.offset_at(time)?,
    };
    // Beyond the end means "the next record"; below the start means "the oldest".
    Ok(offset.min(bounds.end).max(bounds.start))
}

fn resolve_stop(stop: StopAt, bounds: Bounds, partition: &PartitionHandle) -> Result<Option<i64>, PlanError> {
    match stop {
        StopAt::OnCancel => Ok(None),
        StopAt::Offset(offset) => Ok(Some(offset)),
        StopAt::Latest if bounds.end <= bounds.start => Err(PlanError::Empty),
        StopAt::Latest => Ok(Some(inclusive(bounds.end))),
        StopAt::Time(time) => {
            let after = partition.offset_at(Timestamp::from_nanos(time.nanos().saturating_add(1)))?;
            if after <= bounds.start {
                return Err(PlanError::NothingBefore { time });
            }
            Ok(Some(inclusive(after)))
        }
    }
}
