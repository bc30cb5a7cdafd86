//! Changes that operators ask for: rehearsed with the host, recorded in the metadata, in force when they return.

use std::sync::Arc;

use strandline_core::metadata::{AttachmentChange, NewAttachment, PluginChange, PluginOutcome};
use strandline_core::plugin::{
    Attachment, AttachmentId, CanaryMode, ContractVersion, ModuleFacts, ModuleName, ModuleVersion,
    PluginLimits, Sha256, Variant, World,
};

use super::service::Plugins;
use super::store::{ModuleFileError, sha256};
use crate::metadata::{ChangeError, ProposeError};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// The bytes are no plugin, or the plugin does not take its settings.
    #[error("{reason}")]
    Unfit { reason: String },
    /// The host of plugins does not start.
    #[error("plugins cannot be run here: {reason}")]
    Host { reason: String },
    /// The bytes of a module cannot be kept or had.
    #[error(transparent)]
    File(#[from] ModuleFileError),
    /// The metadata refused.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

impl Plugins {
    /// Adds a version to a module, unless it has these bytes. Says whether it is new.
    ///
    /// Cancel safety: not safe; to be called from a task of its own.
    ///
    /// # Errors
    ///
    /// The bytes are no plugin, or cannot be kept.
    pub(crate) async fn push(
        self: Arc<Self>,
        name: ModuleName,
        bytes: Vec<u8>,
        by: String,
    ) -> Result<(ModuleVersion, bool), PluginError> {
        let bytes = Arc::new(bytes);
        let (maker, compiled) = (Arc::clone(&self.maker), Arc::clone(&bytes));
        let module = blocking(move || maker.compile(&compiled)).await?;
        let facts = facts(&module, &bytes);
        let _turn = self.modules_turn.lock().await;
        let (files, kept) = (Arc::clone(&self.files), Arc::clone(&bytes));
        let (sum, is_new_file) = blocking(move || Ok(files.keep(&kept)?)).await?;
        let pushed = self
            .metadata
            .change_plugins(PluginChange::Push { name, facts }, by)
            .await;
        let known = !matches!(&pushed, Err(error) if has_changed_nothing(error));
        if is_new_file {
            self.end_push(sum, known).await;
        }
        match pushed? {
            PluginOutcome::Pushed { version, is_new } => {
                if is_new_file && !is_new {
                    // The file was missing or damaged.
                    self.retry().await;
                }
                Ok((version, is_new))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Deletes versions of a module; says how many.
    ///
    /// Cancel safety: not safe; to be called from a task of its own.
    ///
    /// # Errors
    ///
    /// There are none, or one is in use.
    pub(crate) async fn delete(
        self: Arc<Self>,
        name: ModuleName,
        version: Option<u32>,
        by: String,
    ) -> Result<u64, PluginError> {
        let _turn = self.modules_turn.lock().await;
        let deleted = self
            .metadata
            .change_plugins(PluginChange::Delete { name, version }, by)
            .await?;
        let PluginOutcome::Deleted { versions, unused } = deleted else {
            return Err(unexpected(&deleted));
        };
        let files = Arc::clone(&self.files);
        let (sums, remove) = (unused.clone(), move |sums: Vec<Sha256>| {
            sums.iter().try_for_each(|sum| files.remove(sum))
        });
        // They are deleted whatever becomes of the files: the next start tries again.
        match blocking(move || Ok(remove(sums)?)).await {
            Ok(()) if !unused.is_empty() => {
                if let Err(error) = self.metadata.modules_removed(unused).await {
                    tracing::warn!(%error, "the removal of a plugin's bytes could not be recorded");
                }
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(error = %crate::streams::describe(&error), "the bytes of a plugin could not be removed");
            }
        }
        Ok(versions)
    }

    /// Attaches a version to a stream.
    ///
    /// Cancel safety: it may be attached.
    ///
    /// # Errors
    ///
    /// The plugin does not take its settings, or the metadata refused.
    pub(crate) async fn attach(
        &self,
        wanted: NewAttachment,
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        self.rehearse(&wanted.module, &wanted.variant, wanted.limits)
            .await?;
        self.change(PluginChange::Attach(wanted), by).await
    }

    /// Takes an attachment away.
    ///
    /// Cancel safety: it may be gone.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) async fn detach(
        &self,
        attachment: AttachmentId,
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        self.change(PluginChange::Detach { attachment }, by).await
    }

    /// Changes an attachment at once.
    ///
    /// Cancel safety: it may be changed.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub(crate) async fn change_attachment(
        &self,
        attachment: AttachmentId,
        change: AttachmentChange,
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        if let Some(entry) = self.entry(attachment) {
            let variant = change.variant.as_ref().unwrap_or(&entry.active);
            self.rehearse(&entry.module, variant, change.limits.unwrap_or(entry.limits))
                .await?;
        }
        self.change(PluginChange::Change { attachment, change }, by).await
    }

    /// Tries a candidate.
    ///
    /// Cancel safety: it may be tried.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    pub(crate) async fn start_canary(
        &self,
        attachment: AttachmentId,
        (candidate, mode): (Variant, CanaryMode),
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        if let Some(entry) = self.entry(attachment) {
            self.rehearse(&entry.module, &candidate, entry.limits).await?;
        }
        let start = PluginChange::StartCanary {
            attachment,
            candidate,
            mode,
        };
        self.change(start, by).await
    }

    /// Makes the candidate active.
    ///
    /// Cancel safety: it may be active.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) async fn promote(
        &self,
        attachment: AttachmentId,
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        self.change(PluginChange::Promote { attachment }, by).await
    }

    /// Takes the candidate away, or goes back to what was active before.
    ///
    /// Cancel safety: it may be done.
    ///
    /// # Errors
    ///
    /// There is nothing to go back to, or it does not work any more.
    pub(crate) async fn roll_back(
        &self,
        attachment: AttachmentId,
        by: String,
    ) -> Result<Arc<Attachment>, PluginError> {
        if let Some(entry) = self.entry(attachment)
            && let (None, Some(previous)) = (&entry.canary, &entry.previous)
        {
            self.rehearse(&entry.module, previous, entry.limits).await?;
        }
        self.change(PluginChange::RollBack { attachment }, by).await
    }

    async fn change(&self, change: PluginChange, by: String) -> Result<Arc<Attachment>, PluginError> {
        let outcome = self.metadata.change_plugins(change, by).await?;
        self.follow().await;
        match outcome {
            PluginOutcome::Attached(entry) | PluginOutcome::Detached(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    fn entry(&self, id: AttachmentId) -> Option<Arc<Attachment>> {
        self.metadata.state().plugins().attachment(id).cloned()
    }

    /// Asks a plugin whether it takes settings, before they are recorded.
    async fn rehearse(
        &self,
        module: &ModuleName,
        variant: &Variant,
        limits: PluginLimits,
    ) -> Result<(), PluginError> {
        let (maker, state) = (Arc::clone(&self.maker), self.metadata.state());
        let (module, variant) = (module.clone(), variant.clone());
        blocking(move || maker.rehearse(state.plugins(), &module, &variant, limits)).await
    }

    /// Names a new file for what it has become. Nothing depends on that it works: the next start does it as well.
    async fn end_push(&self, sum: Sha256, known: bool) {
        let files = Arc::clone(&self.files);
        let end = move || {
            let ended = if known {
                files.settle(&sum)
            } else {
                files.give_up(&sum)
            };
            Ok(ended?)
        };
        if let Err(error) = blocking(end).await {
            tracing::warn!(error = %crate::streams::describe(&error), "the file of a plugin could not be renamed or removed");
        }
    }
}

/// Whether the command that was answered with this will never have an effect.
fn has_changed_nothing(error: &ChangeError) -> bool {
    !matches!(error, ChangeError::Failed(ProposeError::Failed { .. }))
}

fn facts(module: &strandline_plugins::Module, bytes: &[u8]) -> ModuleFacts {
    let info = module.info();
    let imports = info
        .imports
        .iter()
        .filter(|name| !name.is_empty() && name.len() <= ModuleFacts::MAX_IMPORT_BYTES);
    ModuleFacts {
        sha256: sha256(bytes),
        bytes: bytes.len() as u64,
        world: match info.world {
            strandline_plugins::World::Filter => World::Filter,
            strandline_plugins::World::KeyExtractor => World::KeyExtractor,
        },
        contract: ContractVersion {
            major: info.contract.major,
            minor: info.contract.minor,
        },
        imports: imports.take(ModuleFacts::MAX_IMPORTS).cloned().collect(),
    }
}

fn unexpected(outcome: &PluginOutcome) -> PluginError {
    ChangeError::from(ProposeError::Failed {
        cause: format!("the state machine answered something else: {outcome:?}"),
    })
    .into()
}

/// Works on a thread that may block. A fault of the host's costs the one who asked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    let lost = |error: tokio::task::JoinError| match error.is_panic() {
        true => PluginError::Host {
            reason: "the host failed at this plugin; the broker's error output says where".to_owned(),
        },
        false => PluginError::Stopping,
    };
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}
