//! The bytes of modules, for who wants to try them elsewhere.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use strandline_core::metadata::{PluginRejection, Rejection};
use strandline_core::plugin::{ModuleName, ModuleVersion};

use super::PluginError;
use super::change::blocking;
use super::service::Plugins;
use crate::metadata::ChangeError;

impl Plugins {
    /// Waits until a module may be held in memory to be sent; none when the broker stops.
    ///
    /// Cancel safety: safe.
    pub(crate) async fn fetch_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.fetches).acquire_owned().await.ok()
    }

    /// A version of a module, or its newest, with the bytes, which are what was pushed.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such version, or its file is missing or damaged.
    pub(crate) async fn fetch(
        &self,
        name: ModuleName,
        version: Option<u32>,
    ) -> Result<(ModuleVersion, Vec<u8>), PluginError> {
        let state = self.metadata.state();
        let module = state.plugins().module(name.as_str());
        let Some(module) = module else {
            return Err(rejected(PluginRejection::NoSuchModule { name }));
        };
        let found = match version {
            Some(number) => module.version(number),
            None => module.newest(),
        };
        let Some(found) = found.cloned() else {
            let version = version.unwrap_or_default();
            return Err(rejected(PluginRejection::NoSuchVersion { name, version }));
        };
        let (files, sum) = (Arc::clone(&self.files), found.facts.sha256);
        let bytes = blocking(move || Ok(files.read(&sum)?)).await?;
        Ok((found, bytes))
    }
}

fn rejected(rejection: PluginRejection) -> PluginError {
    ChangeError::Rejected(Rejection::from(rejection)).into()
}
