//! What archiving costs, beside the same without it: `strandline bench --archive`.
//!
//! Each work has brokers of its own and a place of its own in one object store, which is started for it or was there before. What
//! the broker is compared with, a bare client of that store or a broker that archives nothing, is measured in the same run.

mod bare;
mod memory;
mod metrics;
mod publish;
mod read;
mod restore;
mod scene;
mod store;
mod upload;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use store::Store;
use tempfile::TempDir;

use crate::error::BenchError;
use crate::report::ArchiveRow;
use crate::run::temporary;
use scene::Stage;
use store::Running;

/// What is measured of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArchiveWork {
    /// A stream that is on the disk is archived.
    Upload,
    /// A steady load on a stream that is archived meanwhile.
    Publish,
    /// An archived stream is read from the bucket, with nothing in the caches.
    Read,
    /// Many streams are archived, and some of them read, at the same time.
    Memory,
    /// An empty broker restores streams and reads them.
    Restore,
}

/// How the archive is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// The works, in this order.
    pub works: Vec<ArchiveWork>,
    /// Where to.
    pub store: Store,
    /// Where a store that is started keeps its data; beside that of the brokers if none is named. A broker's archive is seldom on the
    /// broker's own disk, and there the two fight for the journal of one file system.
    pub store_directory: Option<PathBuf>,
    /// Bytes of a stream that is archived, read or restored; the work `archive-memory` writes twice as many.
    pub bytes: u64,
    /// Streams of the work `archive-memory`.
    pub streams: u32,
    /// How long the work `archive-publish` goes on, with archiving and without together.
    pub time: Duration,
}

impl ArchiveOptions {
    /// Default of [`ArchiveOptions::bytes`].
    pub const DEFAULT_BYTES: u64 = 1 << 30;
    /// Default of [`ArchiveOptions::streams`].
    pub const DEFAULT_STREAMS: u32 = 100;
    /// Default of [`ArchiveOptions::time`].
    pub const DEFAULT_TIME: Duration = Duration::from_secs(40);
}

impl ArchiveWork {
    /// All, in the order in which they are done and shown.
    pub const ALL: [Self; 5] = [
        Self::Upload,
        Self::Read,
        Self::Publish,
        Self::Memory,
        Self::Restore,
    ];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upload => "archive-upload",
            Self::Publish => "archive-publish",
            Self::Read => "archive-read",
            Self::Memory => "archive-memory",
            Self::Restore => "archive-restore",
        }
    }

    async fn run(self, stage: &Stage<'_>) -> Result<Vec<ArchiveRow>, BenchError> {
        match self {
            Self::Upload => upload::run(stage).await,
            Self::Publish => publish::run(stage).await,
            Self::Read => read::run(stage).await,
            Self::Memory => memory::run(stage).await,
            Self::Restore => restore::run(stage).await,
        }
    }
}

/// What the works are done with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) options: &'a ArchiveOptions,
    /// The `strandline` binary.
    pub(crate) program: &'a Path,
    /// An empty directory on the disk to be measured.
    pub(crate) directory: &'a Path,
    pub(crate) value: &'a [u8],
}

/// Starts the store, does the works, and tells of each when it is done.
///
/// # Errors
///
/// What made the first work that failed impossible. Of the others there are rows.
pub(crate) async fn run(
    setting: Setting<'_>,
    mut begun: impl FnMut(ArchiveWork),
    mut done: impl FnMut(Vec<ArchiveRow>),
) -> Result<(), BenchError> {
    let own = setting
        .options
        .store_directory
        .as_deref()
        .map(temporary)
        .transpose()?;
    let beside = setting.directory.join("store");
    let kept = own.as_ref().map_or(&*beside, TempDir::path);
    let store = Running::start(&setting.options.store, kept).await?;
    let mut outcome = Ok(());
    for &work in &setting.options.works {
        begun(work);
        let directory = fresh(&setting.directory.join(work.name()))?;
        let stage = Stage {
            setting,
            work,
            store: &store,
            directory: &directory,
        };
        match work.run(&stage).await {
            Ok(rows) => done(rows),
            Err(error) => outcome = Err(error),
        }
        let emptied = store.empty(work.name()).await;
        remove(&directory)?;
        if outcome.is_err() {
            break;
        }
        emptied?;
    }
    outcome.and(store.end().await)
}

fn fresh(directory: &Path) -> Result<PathBuf, BenchError> {
    std::fs::create_dir_all(directory).map_err(BenchError::io(format!("make {}", directory.display())))?;
    Ok(directory.to_owned())
}

fn remove(directory: &Path) -> Result<(), BenchError> {
    std::fs::remove_dir_all(directory).map_err(BenchError::io(format!("remove {}", directory.display())))
}

/// Bytes as a number to calculate with.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
