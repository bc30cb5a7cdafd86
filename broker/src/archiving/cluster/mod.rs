//! What the bucket knows of the whole cluster: enough to bring it back from the bucket alone.
//!
//! ```text
//! <prefix of the URL>/<cluster>/
//!     CLUSTER                          the manifest, replaced by compare-and-swap: names the documents that count
//!     metadata/<revision>.<nonce>      streams, settings, places, wrapped data keys, plugins, attachments
//!     cursors/<sequence>.<nonce>       what consumers have stored
//!     modules/<sha-256>                bytes of plugins
//!     points/<name>                    the cluster as it was at a point
//! ```
//!
//! [`export`] keeps it up to date, [`restore`] makes a cluster of it: [`takeover`] goes on in its places, [`copy`] brings streams
//! back as they were at a time, in places of their own. [`snapshot`] makes points,
//! [`points`] shows and removes them.

mod copy;
mod cursors;
mod export;
mod manifest;
mod mount;
mod plugins;
mod point;
mod points;
mod restore;
mod snapshot;
mod source;
mod takeover;
mod uses;

pub(crate) use export::run as run_export;
pub(crate) use manifest::{ClusterManifest, ManifestError};
pub(crate) use mount::mount;
pub(crate) use point::{ClusterPoint, PointFailure};
pub(crate) use points::{list as list_points, remove as remove_point};
pub(crate) use restore::{ArchivedRange, Restore, RestoreError, RestoredStream, restore};
pub(crate) use snapshot::snapshot;
pub(crate) use uses::named_places;
