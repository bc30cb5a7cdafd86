//! Making open partitions follow the settings of their stream.

use std::sync::Arc;

use strandline_core::storage::Log;

use super::open::{OpenError, Opener};
use crate::metadata::MetadataHandle;

impl Opener {
    /// Makes the open partitions of a stream follow its settings as they are in the metadata by now. Calls that overlap
    /// end with the newest ones in force. A stream that is not open follows when it opens.
    ///
    /// # Errors
    ///
    /// A log refused its settings; it keeps those it had until it is opened again.
    pub(crate) async fn follow(&self, metadata: &MetadataHandle, name: &str) -> Result<(), OpenError> {
        let _turn = self.settings_turn.lock().await;
        let state = metadata.state();
        let Some((entry, stream)) = state.stream(name).zip(self.streams.get(name)) else {
            return Ok(());
        };
        let settings = entry.definition.settings.log_settings(&self.defaults);
        let codec = self.keys.codec(&entry.definition.settings);
        let entry = Arc::clone(entry);
        let follow = move || {
            let is_meant = |log| entry.partitions.iter().any(|partition| partition.log == log);
            let mut open = stream.open().filter(|handle| is_meant(handle.info().log));
            open.try_for_each(|handle| {
                handle.info().packing.set_codec(codec);
                handle.log().set_settings(&settings)
            })
        };
        let followed = tokio::task::spawn_blocking(follow).await;
        self.streams.note_change();
        Ok(followed.map_err(|_| OpenError::Stopping)??)
    }
}
