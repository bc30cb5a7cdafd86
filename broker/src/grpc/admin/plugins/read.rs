//! Calls that look at attachments: what they are, have said and have done.

use tonic::Status;

use strandline_core::StreamName;
use strandline_core::plugin::{Attachment, AttachmentId};
use strandline_proto::admin;

use super::{show, status};
use crate::context::Context;
use crate::plugins::Link;

/// Most lines of one answer.
const MAX_LINES: u32 = 1000;

/// The attachments of a stream, or all.
pub(in crate::grpc::admin) fn list_attachments(
    context: &Context,
    request: &admin::ListAttachmentsRequest,
) -> Result<admin::ListAttachmentsResponse, Status> {
    let entries = entries(context, &request.stream)?;
    Ok(admin::ListAttachmentsResponse {
        attachments: entries
            .iter()
            .map(|entry| show::attachment(context, entry))
            .collect(),
    })
}

/// What an attachment has said.
pub(in crate::grpc::admin) fn log(
    context: &Context,
    request: &admin::ReadPluginLogRequest,
) -> Result<admin::ReadPluginLogResponse, Status> {
    let state = context.metadata.state();
    let entry = state.plugins().attachment(AttachmentId::new(request.attachment));
    let entry = entry.ok_or_else(|| status::no_such_attachment(request.attachment))?;
    let link = context
        .plugins
        .link(entry)
        .map_err(|problem| Status::failed_precondition(&*problem.reason))?;
    let live = match (&link.canary, request.canary) {
        (_, false) => &link.active,
        (Some(canary), true) => &canary.live,
        (None, true) => {
            return Err(Status::failed_precondition(format!(
                "attachment {} has no canary",
                entry.id
            )));
        }
    };
    let max = match request.max {
        0 => MAX_LINES,
        max => max.min(MAX_LINES),
    };
    Ok(show::log(live.log().read(request.after, max as usize)))
}

/// What attachments have done.
pub(in crate::grpc::admin) fn stats(
    context: &Context,
    request: &admin::AttachmentStatsRequest,
) -> Result<admin::AttachmentStatsResponse, Status> {
    let entries = match request.attachment {
        0 => entries(context, &request.stream)?,
        id => {
            let state = context.metadata.state();
            let entry = state.plugins().attachment(AttachmentId::new(id));
            vec![entry.cloned().ok_or_else(|| status::no_such_attachment(id))?]
        }
    };
    let attachments = entries.iter().map(|entry| {
        let link = context.plugins.link(entry).ok();
        numbers(context, entry, link.as_ref())
    });
    Ok(admin::AttachmentStatsResponse {
        attachments: attachments.collect(),
    })
}

fn numbers(context: &Context, entry: &Attachment, link: Option<&Link>) -> admin::AttachmentStats {
    let canary = link.and_then(|link| link.canary.as_ref());
    let (shadow_same, shadow_different) = canary.map_or((0, 0), |canary| canary.trial.comparison());
    admin::AttachmentStats {
        attachment: Some(show::attachment(context, entry)),
        active: link.map(|link| show::numbers(&link.active.numbers())),
        canary: canary.map(|canary| show::numbers(&canary.live.numbers())),
        shadow_same,
        shadow_different,
    }
}

/// The attachments of a stream in the order in which they act; of all streams if none is named.
fn entries(context: &Context, stream: &str) -> Result<Vec<std::sync::Arc<Attachment>>, Status> {
    let state = context.metadata.state();
    let registry = state.plugins();
    let mut entries: Vec<_> = if stream.is_empty() {
        registry.attachments().cloned().collect()
    } else {
        let name: StreamName = status::stream_name(stream)?;
        state
            .stream(stream)
            .ok_or_else(super::super::super::errors::stream_does_not_exist)?;
        registry.attachments_of(&name).cloned().collect()
    };
    entries.sort_by(|a, b| (&a.stream, a.side, a.order, a.id).cmp(&(&b.stream, b.side, b.order, b.id)));
    Ok(entries)
}
