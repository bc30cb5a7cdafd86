//! Work on a data directory that no broker uses, and looking at the bucket of an archive.

pub mod archive;
mod archive_cat;
mod check;
mod compact;
mod dump;
mod error;
mod inventory;
mod lock;
mod metadata;
mod plugins;
mod repair;

pub use check::{CheckOptions, Checked, Report, check};
pub use compact::compact;
pub use dump::{DumpOptions, Shown, dump_file, dump_partition};
pub use error::MaintenanceError;
pub use inventory::{Place, Target};
pub use repair::{Repair, RepairOptions};
pub use strandline_storage_backends::check::{Field, Finding, LogTotals, Piece, Severity};
pub use strandline_storage_backends::{Compacted, RepairAction};
