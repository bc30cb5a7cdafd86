//! The plugins of a mount: records pass the filters that they pass in the cluster.

use std::sync::Arc;

use strandline_core::StreamName;
use strandline_core::metadata::AttachmentChange;
use strandline_core::plugin::{Attachment, Side, Variant};

use super::super::plugins::{identity, restore_plugins};
use super::Mount;
use crate::streams::describe;

/// Who did it, in the histories of plugins.
const BY: &str = "the mount";

impl Mount {
    /// Makes modules and attachments here those of the bucket.
    pub(super) async fn follow_plugins(&mut self) {
        let there = Arc::clone(self.there.plugins());
        let is_followed = self.plugins.as_ref() == Some(&there) && self.waiting.is_empty();
        let is_without = there.modules().next().is_none() && self.plugins.is_none();
        if is_followed || is_without {
            return;
        }
        self.detach_what_is_gone().await;
        let restored = restore_plugins(&self.context, &self.bucket, (&self.cluster, &self.there), BY).await;
        for problem in restored
            .problems
            .iter()
            .filter(|problem| !self.told.contains(problem))
        {
            tracing::warn!(%problem, "a plugin of the archive is not here");
        }
        self.told = restored.problems;
        for entry in there.attachments() {
            self.change(entry).await;
        }
        self.context.plugins.follow().await;
        self.plugins = Some(there);
    }

    async fn detach_what_is_gone(&self) {
        let here = Arc::clone(self.context.metadata.state().plugins());
        for entry in here.attachments() {
            let is_there = |other: &&Arc<Attachment>| identity(other) == identity(entry);
            if self.there.plugins().attachments().any(|other| is_there(&other)) {
                continue;
            }
            if let Err(error) = self.context.plugins.detach(entry.id, BY.to_owned()).await {
                tracing::warn!(stream = %entry.stream, module = %entry.module, error = %describe(&error),
                    "a plugin that was detached in the archive's cluster could not be detached");
            }
        }
    }

    /// Gives an attachment the version and the settings that it has there.
    async fn change(&self, there: &Attachment) {
        let state = self.context.metadata.state();
        let mut attachments = state.plugins().attachments();
        let Some(here) = attachments.find(|entry| identity(entry) == identity(there)) else {
            return;
        };
        let Some(version) = self.version_here(there) else {
            return;
        };
        let wanted = Variant {
            version,
            settings: there.active.settings.clone(),
        };
        let change = AttachmentChange {
            variant: Some(wanted.clone()).filter(|_| here.active != wanted),
            order: None,
            on_error: Some(there.on_error.clone()).filter(|_| here.on_error != there.on_error),
            limits: Some(there.limits).filter(|_| here.limits != there.limits),
            debug: None,
        };
        if change.variant.is_none() && change.on_error.is_none() && change.limits.is_none() {
            return;
        }
        let changed = self
            .context
            .plugins
            .change_attachment(here.id, change, BY.to_owned());
        if let Err(error) = changed.await {
            tracing::warn!(stream = %there.stream, module = %there.module, error = %describe(&error),
                "a change of a plugin's attachment could not be followed");
        }
    }

    /// The number that the active version of an attachment has here.
    fn version_here(&self, there: &Attachment) -> Option<u32> {
        let module = self.there.plugins().module(there.module.as_str())?;
        let mut versions = module.versions.iter();
        let active = versions.find(|version| version.number == there.active.version)?;
        let state = self.context.metadata.state();
        let here = state.plugins().module(there.module.as_str())?;
        let mut versions = here.versions.iter();
        let same = versions.find(|version| version.facts.sha256 == active.facts.sha256)?;
        Some(same.number)
    }

    /// Why a stream must not be read yet: what its readers may see is decided by a filter that is not here.
    pub(super) fn missing_filter(&self, stream: &StreamName) -> Option<String> {
        let here = self.context.metadata.state();
        let mut wanted = self.there.plugins().attachments_of(stream);
        let missing = wanted.find(|entry| {
            let mut attached = here.plugins().attachments_of(stream);
            entry.side == Side::Read && !attached.any(|other| identity(other) == identity(entry))
        })?;
        let module = &missing.module;
        Some(format!(
            "plugin {module}, which filters what is read, could not be attached"
        ))
    }
}
