//! Archiving: which partitions move their sealed segments to the archive, and when.
//!
//! What is in the archive, and how it gets there and back, is `strandline_storage_backends::tiered`. Here each partition that
//! this broker leads has its turns: [`service`] gives them, [`turns`] says when, [`turn`] is one of them.

mod archives;
mod background;
mod cluster;
mod compaction;
mod errand;
mod hurry;
mod lag;
mod numbers;
mod partition;
mod proof;
mod renewal;
mod service;
mod turn;
mod turns;
mod upload_rate;

pub(crate) use archives::{Archives, NoArchive, bucket_options};
pub(crate) use cluster::{
    ArchivedRange, ClusterManifest, ClusterPoint, ManifestError, PointFailure, Restore, RestoreError,
    RestoredStream, list_points, mount, named_places, remove_point, restore, run_export, snapshot,
};
pub(crate) use errand::{Collect, ErrandError, collect};
pub(crate) use partition::{ArchivedPartition, Phase};
pub(crate) use renewal::{LostRange, Renewal, RenewalError, renew};
pub(crate) use service::run;
