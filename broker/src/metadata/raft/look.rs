//! Reads the metadata of a broker that is stopped, and changes nothing.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;

use super::log_store::decode;
use super::machine::replayed;
use super::snapshot::SnapshotFile;
use super::stored::{check_snapshot, identity_missing};
use crate::metadata::identity::Identity;
use crate::metadata::wal::{self, Recovered, Wal};
use crate::metadata::{Look, OpenError};

/// Reads everything in a directory as a start does, and goes on behind a file that cannot be read.
pub(in crate::metadata) fn look(disk: &Arc<dyn Disk>, dir: &Path) -> Look {
    let mut look = Look::default();
    let identity = look.note(Identity::load(&**disk, dir, None));
    let snapshot = look.note(SnapshotFile::open(Arc::clone(disk), dir));
    let has_log = look
        .note(Wal::exists(&**disk, dir).map_err(OpenError::from))
        .unwrap_or_default();
    let log = if has_log || matches!(identity, Some(Some(_))) {
        look.note(wal::look(&**disk, dir).map_err(OpenError::from))
    } else {
        None
    };
    let has_entries = log.as_ref().is_some_and(|(log, _)| *log != Recovered::default());
    let has_snapshot = matches!(snapshot, Some((_, Some(_))));
    match identity {
        Some(Some(identity)) => look.server = Some(identity.server),
        Some(None) if has_entries || has_snapshot => {
            look.note::<()>(Err(identity_missing(dir)));
        }
        _ => {}
    }
    let (Some((file, stored)), Some((recovered, torn))) = (snapshot, log) else {
        return look;
    };
    look.torn = torn;
    if look.note(check_snapshot(&recovered, &file)).is_none() {
        return look;
    }
    if let Some(view) = look.note(decode(&recovered, dir)) {
        look.state = Some(replayed(stored, view.entries));
    }
    look
}
