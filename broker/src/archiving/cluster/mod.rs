//! What the bucket knows of the whole cluster: enough to bring it back from the bucket alone.
//!
//! ```text
//! <prefix of the URL>/<cluster>/
//!     CLUSTER                          the manifest, replaced by compare-and-swap: names the documents that count
//!     metadata/<revision>.<nonce>      streams, settings, places, wrapped data keys, plugins, attachments
//!     cursors/<sequence>.<nonce>       what consumers have stored
//!     modules/<sha-256>                bytes of plugins
//! ```
//!
//! [`export`] keeps it up to date, [`restore`] makes a cluster of it.

mod cursors;
mod export;
mod manifest;
mod mount;
mod plugins;
mod restore;
mod uses;

pub(crate) use export::run as run_export;
pub(crate) use manifest::{ClusterManifest, ManifestError};
pub(crate) use mount::mount;
pub(crate) use restore::{ArchivedRange, Restore, RestoreError, RestoredStream, restore};
pub(crate) use uses::named_places;
