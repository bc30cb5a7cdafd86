//! What is known of plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plugin::{Attachment, AttachmentId, ModuleName, PluginModule, Sha256, Side, Variant};
use crate::{BrokerId, StreamName};

/// Modules, attachments, and the bytes of deleted modules that brokers still have to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginRegistry {
    pub(in crate::metadata) modules: BTreeMap<ModuleName, Arc<PluginModule>>,
    pub(in crate::metadata) attachments: BTreeMap<AttachmentId, Arc<Attachment>>,
    /// The number that the last attachment got.
    pub(in crate::metadata) last_attachment: u64,
    pub(in crate::metadata) removals: BTreeMap<Sha256, BTreeSet<BrokerId>>,
}

impl PluginRegistry {
    /// Most modules of a cluster; as many more that were deleted are remembered by name.
    pub const MAX_MODULES: usize = 1024;
    /// Most attachments of a cluster.
    pub const MAX_ATTACHMENTS: usize = 10_000;
    /// Most bytes of settings of all attachments together.
    pub const MAX_SETTINGS_BYTES: usize = 64 << 20;

    /// The modules that have versions, by name.
    pub fn modules(&self) -> impl Iterator<Item = &Arc<PluginModule>> {
        self.modules.values().filter(|module| !module.versions.is_empty())
    }

    /// The module of this name. One that was deleted is there without versions, for its history.
    pub fn module(&self, name: &str) -> Option<&Arc<PluginModule>> {
        self.modules.get(name)
    }

    /// The attachments, in the order in which they were made.
    pub fn attachments(&self) -> impl ExactSizeIterator<Item = &Arc<Attachment>> {
        self.attachments.values()
    }

    /// The attachment with this identity.
    pub fn attachment(&self, id: AttachmentId) -> Option<&Arc<Attachment>> {
        self.attachments.get(&id)
    }

    /// The attachments of a stream.
    pub fn attachments_of(&self, stream: &StreamName) -> impl Iterator<Item = &Arc<Attachment>> {
        self.attachments
            .values()
            .filter(move |entry| entry.stream == *stream)
    }

    /// The attachments on one side of a stream, in the order in which they act.
    pub fn chain(&self, stream: &StreamName, side: Side) -> Vec<Arc<Attachment>> {
        let of_side = self.attachments_of(stream).filter(|entry| entry.side == side);
        let mut chain: Vec<_> = of_side.cloned().collect();
        chain.sort_by_key(|entry| (entry.order, entry.id));
        chain
    }

    /// Whether any version of any module has these bytes.
    pub fn has_bytes(&self, sha256: &Sha256) -> bool {
        let mut versions = self.modules.values().flat_map(|module| &module.versions);
        versions.any(|version| version.facts.sha256 == *sha256)
    }

    /// Bytes of deleted modules that a broker has to remove and has not reported removed. Only these may be removed from a
    /// disk: bytes that nothing is known of are kept.
    pub fn pending_removals<'a>(&'a self, broker: &'a BrokerId) -> impl Iterator<Item = Sha256> + 'a {
        let held = self
            .removals
            .iter()
            .filter(|(_, holders)| holders.contains(broker));
        held.map(|(&sha256, _)| sha256)
    }

    /// Whether some broker has still to remove these bytes.
    pub fn is_pending_removal(&self, sha256: &Sha256) -> bool {
        self.removals.contains_key(sha256)
    }

    pub(super) fn settings_bytes(&self) -> usize {
        let variants = self.attachments.values().flat_map(|entry| entry.variants());
        variants.map(|variant: &Variant| variant.settings.len()).sum()
    }

    /// Forgets the attachments of a stream that is deleted.
    pub(in crate::metadata) fn remove_stream(&mut self, stream: &StreamName) {
        self.attachments.retain(|_, entry| entry.stream != *stream);
    }

    /// Takes note that a broker has removed bytes; says how many that changes.
    pub(in crate::metadata) fn removed(&mut self, broker: &BrokerId, removed: &[Sha256]) -> u64 {
        let mut changed = 0;
        for sha256 in removed {
            let Some(holders) = self.removals.get_mut(sha256) else {
                continue;
            };
            changed += u64::from(holders.remove(broker));
            if holders.is_empty() {
                self.removals.remove(sha256);
            }
        }
        changed
    }
}
