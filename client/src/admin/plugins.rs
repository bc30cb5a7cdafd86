//! Plugins: modules, their attachments to streams, and what those do.

mod attachment;
mod fetch;
mod module;
mod numbers;

use bytes::Bytes;
use sha2::Digest;
use strandline_proto::admin;
use strandline_proto::admin::plugin_history_request::Of;
use strandline_proto::admin::push_plugin_request::Part;

use super::Admin;
use crate::error::Error;

pub use attachment::{
    Attachment, AttachmentUpdate, Canary, CanaryMode, DeadLetters, ErrorPolicy, NewAttachment, Side, Variant,
};
pub use module::{FetchedPlugin, Plugin, PluginDescription, PluginEvent, PluginVersion, Pushed};
pub use numbers::{AttachmentStats, PluginLog, PluginLogLine, PluginNumbers};

/// Bytes of a push that are sent at once.
const PIECE_BYTES: usize = 256 << 10;

/// A call of the administration with the client's deadline.
macro_rules! ask {
    ($self:ident, $method:ident, $request:expr) => {{
        let request = $request;
        let call = |server: &str| {
            let mut admin = $self.client.admin_at(server)?;
            let request = $self.client.admin_request(request.clone());
            Ok(async move { admin.$method(request).await })
        };
        $self.client.on_each(call).await
    }};
}

/// A call that may compile a plugin first and takes as long as it takes.
macro_rules! ask_patiently {
    ($self:ident, $method:ident, $request:expr) => {{
        let request = $request;
        let call = |server: &str| {
            let mut admin = $self.client.admin_at(server)?;
            let request = $self.client.patient_admin_request(request.clone());
            Ok(async move { admin.$method(request).await })
        };
        $self.client.on_each(call).await
    }};
}

impl Admin {
    /// Pushes a version of a plugin. It takes as long as it takes to compile it: the client's time limit does not hold.
    ///
    /// Cancel safety: the version may have been added; a push can be repeated.
    ///
    /// # Errors
    ///
    /// The bytes are no plugin or over the server's limit, or the caller may not ask.
    pub async fn push_plugin(&self, name: &str, bytes: impl Into<Bytes>) -> Result<Pushed, Error> {
        let bytes = bytes.into();
        let call = |server: &str| {
            let mut admin = self.client.admin_at(server)?;
            let parts = futures_util::stream::iter(push_parts(name, bytes.clone()));
            let request = self.client.patient_admin_request(parts);
            Ok(async move { admin.push_plugin(request).await })
        };
        self.client.on_each(call).await.map(Into::into)
    }

    /// The bytes of a version of a plugin; without one of the newest. The client's time limit does not hold.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is none, its bytes are damaged or arrive so, or the caller may not ask.
    pub async fn fetch_plugin(&self, name: &str, version: Option<u32>) -> Result<FetchedPlugin, Error> {
        let request = admin::FetchPluginRequest {
            name: name.to_owned(),
            version: version.unwrap_or_default(),
        };
        let parts = ask_patiently!(self, fetch_plugin, request)?;
        fetch::whole(parts).await
    }

    /// The plugins with their versions, by name.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// The caller may not ask.
    pub async fn list_plugins(&self) -> Result<Vec<Plugin>, Error> {
        let listed = ask!(self, list_plugins, admin::ListPluginsRequest {})?;
        Ok(listed.plugins.into_iter().map(Into::into).collect())
    }

    /// A plugin with its history, and who uses it.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the caller may not ask.
    pub async fn describe_plugin(&self, name: &str) -> Result<PluginDescription, Error> {
        let name = name.to_owned();
        let described = ask!(self, describe_plugin, admin::DescribePluginRequest { name })?;
        Ok(described.into())
    }

    /// Deletes a version of a plugin; without one all of them. Says how many are gone.
    ///
    /// Cancel safety: they may be gone.
    ///
    /// # Errors
    ///
    /// There is none, an attachment uses it, or the caller may not ask.
    pub async fn delete_plugin(&self, name: &str, version: Option<u32>) -> Result<u64, Error> {
        let request = admin::DeletePluginRequest {
            name: name.to_owned(),
            version: version.unwrap_or_default(),
        };
        Ok(ask!(self, delete_plugin, request)?.versions)
    }

    /// Attaches a version of a plugin to a stream; it acts from the next batch on. The client's time limit does not hold.
    ///
    /// Cancel safety: it may be attached.
    ///
    /// # Errors
    ///
    /// There is no such stream or plugin, it does not suit, it refuses its settings, or the caller may not ask.
    pub async fn attach_plugin(&self, attachment: NewAttachment) -> Result<Attachment, Error> {
        let request = admin::AttachPluginRequest::from(attachment);
        ask_patiently!(self, attach_plugin, request).map(Into::into)
    }

    /// Takes an attachment away, from the next batch on; returns what it was.
    ///
    /// Cancel safety: it may be gone.
    ///
    /// # Errors
    ///
    /// There is none, or the caller may not ask.
    pub async fn detach_plugin(&self, attachment: u64) -> Result<Attachment, Error> {
        ask!(self, detach_plugin, admin::DetachPluginRequest { attachment }).map(Into::into)
    }

    /// The attachments of a stream, or of all, in the order in which they act.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such stream, or the caller may not ask.
    pub async fn list_attachments(&self, stream: Option<&str>) -> Result<Vec<Attachment>, Error> {
        let stream = stream.unwrap_or_default().to_owned();
        let listed = ask!(self, list_attachments, admin::ListAttachmentsRequest { stream })?;
        Ok(listed.attachments.into_iter().map(Into::into).collect())
    }

    /// Changes an attachment, from one batch to the next. The client's time limit does not hold.
    ///
    /// Cancel safety: it may be changed.
    ///
    /// # Errors
    ///
    /// As [`Admin::attach_plugin`].
    pub async fn change_attachment(
        &self,
        attachment: u64,
        update: AttachmentUpdate,
    ) -> Result<Attachment, Error> {
        let request = update.into_request(attachment);
        ask_patiently!(self, change_attachment, request).map(Into::into)
    }

    /// Tries another version, or other settings, beside the active ones. The client's time limit does not hold.
    ///
    /// Cancel safety: it may be tried.
    ///
    /// # Errors
    ///
    /// As [`Admin::attach_plugin`]; or something is being tried already.
    pub async fn start_canary(
        &self,
        attachment: u64,
        candidate: Variant,
        mode: CanaryMode,
    ) -> Result<Attachment, Error> {
        let request = admin::StartCanaryRequest {
            attachment,
            candidate: Some(candidate.into()),
            mode: Some(mode.into()),
        };
        ask_patiently!(self, start_canary, request).map(Into::into)
    }

    /// Makes what is being tried active.
    ///
    /// Cancel safety: it may be active.
    ///
    /// # Errors
    ///
    /// Nothing is being tried, or the caller may not ask.
    pub async fn promote_canary(&self, attachment: u64) -> Result<Attachment, Error> {
        ask!(self, promote_canary, admin::PromoteCanaryRequest { attachment }).map(Into::into)
    }

    /// Ends what is being tried; if nothing is, makes active again what was active before. The client's time limit does not hold.
    ///
    /// Cancel safety: it may be done.
    ///
    /// # Errors
    ///
    /// There is nothing to go back to, or the caller may not ask.
    pub async fn roll_back_attachment(&self, attachment: u64) -> Result<Attachment, Error> {
        let request = admin::RollBackAttachmentRequest { attachment };
        ask_patiently!(self, roll_back_attachment, request).map(Into::into)
    }

    /// Who did what when to a plugin, oldest first.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the caller may not ask.
    pub async fn plugin_history(&self, name: &str) -> Result<Vec<PluginEvent>, Error> {
        self.history(Of::Plugin(name.to_owned())).await
    }

    /// Who did what when to an attachment, oldest first.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is none, or the caller may not ask.
    pub async fn attachment_history(&self, attachment: u64) -> Result<Vec<PluginEvent>, Error> {
        self.history(Of::Attachment(attachment)).await
    }

    async fn history(&self, of: Of) -> Result<Vec<PluginEvent>, Error> {
        let events = ask!(
            self,
            plugin_history,
            admin::PluginHistoryRequest { of: Some(of.clone()) }
        )?;
        Ok(events.events.into_iter().map(Into::into).collect())
    }

    /// What an attachment's plugin has said behind line number `after`, of its canary if that is wanted.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such attachment or canary, it does not work, or the caller may not ask.
    pub async fn plugin_log(&self, attachment: u64, after: u64, canary: bool) -> Result<PluginLog, Error> {
        let request = admin::ReadPluginLogRequest {
            attachment,
            after,
            max: 0,
            canary,
        };
        ask!(self, read_plugin_log, request).map(Into::into)
    }

    /// What attachments have done: one of them, those of a stream, or all.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such attachment or stream, or the caller may not ask.
    pub async fn attachment_stats(
        &self,
        attachment: Option<u64>,
        stream: Option<&str>,
    ) -> Result<Vec<AttachmentStats>, Error> {
        let request = admin::AttachmentStatsRequest {
            attachment: attachment.unwrap_or_default(),
            stream: stream.unwrap_or_default().to_owned(),
        };
        let stats = ask!(self, attachment_stats, request)?;
        Ok(stats.attachments.into_iter().map(Into::into).collect())
    }
}

/// What a push sends: what it is, then its bytes in pieces.
fn push_parts(name: &str, bytes: Bytes) -> impl Iterator<Item = admin::PushPluginRequest> + use<> {
    let head = admin::PushPluginHead {
        name: name.to_owned(),
        size: bytes.len() as u64,
        sha256: sha2::Sha256::digest(&bytes).to_vec().into(),
    };
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    let pieces = starts.map(move |start| bytes.slice(start..bytes.len().min(start + PIECE_BYTES)));
    let parts = std::iter::once(Part::Head(head)).chain(pieces.map(Part::Bytes));
    parts.map(|part| admin::PushPluginRequest { part: Some(part) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_says_what_comes_and_sends_all_of_it() {
        let bytes = Bytes::from(vec![7; PIECE_BYTES * 2 + 1]);
        let parts: Vec<_> = push_parts("f", bytes.clone())
            .map(|request| request.part.unwrap())
            .collect();
        let Part::Head(head) = &parts[0] else {
            panic!("the head comes first")
        };
        assert_eq!((head.size, head.sha256.len()), (bytes.len() as u64, 32));
        let pieces = parts[1..].iter().map(|part| match part {
            Part::Bytes(piece) => piece.clone(),
            Part::Head(_) => panic!("one head only"),
        });
        let pieces: Vec<_> = pieces.collect();
        assert_eq!((pieces.len(), pieces.concat()), (3, bytes.to_vec()));
    }
}
