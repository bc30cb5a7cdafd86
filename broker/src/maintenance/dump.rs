//! Shows what is stored, as far as it can be read.

use std::path::{Path, PathBuf};

use strandline_codec::{MasterKeys, Unpacker};
use strandline_core::disk::Disk;
use strandline_core::record::Batch;
use strandline_core::storage::Backend;
use strandline_core::{Offset, PartitionId};
use strandline_storage_backends::check::Piece;
use strandline_storage_backends::{SystemDisk, dump_redb_log, dump_segment_file, dump_segment_log};

use super::MaintenanceError;
use super::inventory::{Place, Target};
use super::lock::lock_for_reading;
use super::metadata::Metadata;
use crate::streams::{REDB_DIRECTORY, SEGMENT_DIRECTORY};

/// A part of what is stored.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The part.
    pub piece: Piece<'a>,
    /// If it is a batch, its plain form, or why there is none.
    pub plain: Option<Result<Batch, String>>,
}

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// One partition.
    pub target: Target,
    /// Batches that end before this offset are left out.
    pub from: Offset,
    /// What encrypted batches are looked into with.
    pub masters: MasterKeys,
}

/// Shows one file, a segment, an index or a state, for as long as `show` wants to go on. Blocks. Batches that end before `from`
/// are left out; encrypted ones are not looked into.
///
/// # Errors
///
/// The file cannot be read, or is none of these.
pub fn dump_file(
    path: &Path,
    from: Offset,
    show: &mut dyn FnMut(&Shown<'_>) -> bool,
) -> Result<(), MaintenanceError> {
    let unpacker = Unpacker::new(PartitionId::default(), []);
    let mut showing = |piece: Piece<'_>| show(&shown(piece, &unpacker));
    Ok(dump_segment_file(&SystemDisk::new(), path, from, &mut showing)?)
}

/// Shows the records of a partition with everything around them, for as long as `show` wants to go on. Blocks.
///
/// # Errors
///
/// A broker uses the directory, it cannot be read, or there is no such partition.
pub fn dump_partition(
    options: &DumpOptions,
    show: &mut dyn FnMut(&Shown<'_>) -> bool,
) -> Result<(), MaintenanceError> {
    let disk = SystemDisk::new();
    let _lock = lock_for_reading(disk, &options.data_dir)?;
    let place = one_place(disk, &options.data_dir, &options.target)?;
    let (unpacker, _) = place.unpacker(&options.masters);
    let mut showing = |piece: Piece<'_>| show(&shown(piece, &unpacker));
    match place.backend() {
        Backend::Segment => {
            let store = options.data_dir.join(SEGMENT_DIRECTORY);
            Ok(dump_segment_log(
                &disk,
                &store,
                place.log,
                options.from,
                &mut showing,
            )?)
        }
        Backend::Redb => {
            let store = options.data_dir.join(REDB_DIRECTORY);
            Ok(dump_redb_log(
                &disk,
                &store,
                place.log,
                options.from,
                &mut showing,
            )?)
        }
    }
}

/// The partition that is meant.
pub(super) fn one_place(
    disk: SystemDisk,
    data_dir: &Path,
    target: &Target,
) -> Result<Place, MaintenanceError> {
    let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk);
    let metadata = Metadata::read(&disk, data_dir);
    let mut places = metadata.named(data_dir)?.find(target)?;
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => Ok(place),
        _ => Err(MaintenanceError::WhichPartition {
            stream: target.stream.clone(),
        }),
    }
}

fn shown<'a>(piece: Piece<'a>, unpacker: &Unpacker) -> Shown<'a> {
    let plain = piece
        .batch
        .map(|batch| unpacker.unpack(batch).map_err(|error| error.to_string()));
    Shown { piece, plain }
}
