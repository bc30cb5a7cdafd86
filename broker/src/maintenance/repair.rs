//! Mends a partition, as far as it is asked for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use strandline_core::OffsetRange;
use strandline_core::disk::{Disk, DiskLock};
use strandline_core::storage::{Backend, StorageError};
use strandline_storage_backends::{
    RepairAction, RepairPlan, SystemDisk, plan_redb_repair, plan_segment_repair,
};

use super::MaintenanceError;
use super::dump::one_place;
use super::inventory::Target;
use super::lock::lock;
use crate::streams::{REDB_DIRECTORY, SEGMENT_DIRECTORY};

/// With what the names of directories begin that repairs keep originals in.
pub(super) const ASIDE_PREFIX: &str = "repair-";

/// What is to be mended.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// One partition.
    pub target: Target,
    /// How.
    pub action: RepairAction,
    /// What tells this repair from others: `repair-` and this is the directory, below the data directory, that the originals
    /// are kept in.
    pub suffix: String,
}

/// A repair that is planned. No broker can start until it is dropped.
#[derive(Debug)]
pub struct Repair {
    data_dir: PathBuf,
    aside: PathBuf,
    plan: RepairPlan,
    _lock: Box<dyn DiskLock>,
}

impl Repair {
    /// Plans a repair and changes nothing. Blocks.
    ///
    /// # Errors
    ///
    /// A broker uses the directory, there is no such partition, or the action is not what would mend it.
    pub fn plan(options: &RepairOptions) -> Result<Self, MaintenanceError> {
        let disk = SystemDisk::new();
        let lock = lock(&disk, &options.data_dir)?;
        let place = one_place(disk, &options.data_dir, &options.target)?;
        let store = |name: &str| options.data_dir.join(name);
        let plan = match place.backend() {
            Backend::Segment => {
                plan_segment_repair(&disk, &store(SEGMENT_DIRECTORY), place.log, options.action)?
            }
            Backend::Redb => plan_redb_repair(&disk, &store(REDB_DIRECTORY), place.log, options.action)?,
        };
        Ok(Self {
            data_dir: options.data_dir.clone(),
            aside: options.data_dir.join(format!("{ASIDE_PREFIX}{}", options.suffix)),
            plan,
            _lock: lock,
        })
    }

    /// What will be done, in words and in order; nothing if nothing has to be done.
    pub fn steps(&self) -> &[String] {
        &self.plan.steps
    }

    /// Offsets that are lost by it, as far as there were records at them.
    pub fn lost(&self) -> &[OffsetRange] {
        &self.plan.lost
    }

    /// Files that are kept in [`Repair::aside`], as far as they are there.
    pub fn originals(&self) -> &[PathBuf] {
        &self.plan.originals
    }

    /// The directory that the originals are kept in.
    pub fn aside(&self) -> &Path {
        &self.aside
    }

    /// Does it. Blocks.
    ///
    /// # Errors
    ///
    /// The originals could not be kept, and nothing has changed; or the disk failed, and the repair can be repeated.
    pub fn carry_out(&self) -> Result<(), MaintenanceError> {
        let disk = SystemDisk::new();
        let mut keep = |originals: &[PathBuf]| {
            keep(&disk, originals, &self.data_dir, &self.aside).map_err(|source| StorageError::Io {
                action: "keeping the originals in",
                path: self.aside.clone(),
                source,
            })
        };
        Ok(self.plan.carry_out(&disk, &mut keep)?)
    }
}

/// Gives files a second name below another directory, durably. A repair never writes into a file that is there, so that the
/// name is as good as a copy; where a file system has no such names they are copied.
fn keep(disk: &dyn Disk, originals: &[PathBuf], data_dir: &Path, aside: &Path) -> io::Result<()> {
    for original in originals {
        let within = original.strip_prefix(data_dir).map_err(io::Error::other)?;
        let kept = aside.join(within);
        if let Some(parent) = kept.parent() {
            fs::create_dir_all(parent)?;
        }
        if fs::hard_link(original, &kept).is_err() {
            copy(original, &kept)?;
        }
        for directory in kept.ancestors().skip(1) {
            disk.sync_dir(directory)?;
            if directory == data_dir {
                break;
            }
        }
    }
    Ok(())
}

/// Copies a file to a place where none is.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = fs::File::create_new(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_are_kept_under_their_names_and_never_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let (data_dir, aside) = (directory.path(), directory.path().join("repair-1"));
        let original = data_dir.join("streams/7/state");
        fs::create_dir_all(original.parent().unwrap()).unwrap();
        fs::write(&original, b"as it was").unwrap();
        keep(
            &SystemDisk::new(),
            std::slice::from_ref(&original),
            data_dir,
            &aside,
        )
        .unwrap();
        fs::remove_file(&original).unwrap();
        fs::write(&original, b"as it is").unwrap();
        let kept = aside.join("streams/7/state");
        assert_eq!(fs::read(&kept).unwrap(), b"as it was");
        assert!(
            keep(
                &SystemDisk::new(),
                std::slice::from_ref(&original),
                data_dir,
                &aside
            )
            .is_err()
        );
        assert!(copy(&original, &kept).is_err());
        assert_eq!(fs::read(&kept).unwrap(), b"as it was");
    }
}
