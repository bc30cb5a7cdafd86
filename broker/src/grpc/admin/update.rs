//! UpdateStream.

use tonic::Status;

use strandline_core::StreamName;
use strandline_core::stream::SettingChange;
use strandline_proto::admin::{UpdateStreamRequest, UpdateStreamResponse};

use super::super::errors;
use super::change;
use super::settings::ServerSettings;
use crate::context::Context;
use crate::streams::check_served;

/// Changes settings of a stream; they are in force, and survive a crash, when this returns.
pub(super) async fn update(
    context: &Context,
    request: UpdateStreamRequest,
) -> Result<UpdateStreamResponse, Status> {
    let name = StreamName::new(request.name).map_err(|_| errors::stream_does_not_exist())?;
    if name.is_reserved() {
        return Err(errors::stream_is_reserved());
    }
    let changes = change::changes(&request.changes).map_err(|refused| errors::refused_change(&refused))?;
    let state = context.metadata.state();
    let entry = state
        .stream(name.as_str())
        .ok_or_else(errors::stream_does_not_exist)?;
    let mut wanted = entry.definition.clone();
    for &change in &changes {
        wanted.settings.change(change);
    }
    check_served(
        &wanted,
        context.opener.stores.capabilities(wanted.settings.backend()),
    )
    .map_err(|what| errors::not_built(&what))?;
    // Other settings change, too, of a stream that can no longer be archived.
    if changes
        .iter()
        .any(|change| matches!(change, SettingChange::Archive(_)))
    {
        let checked = context.archives.check(&wanted.settings);
        checked.map_err(|error| errors::no_archive(&error))?;
    }
    tracing::info!(stream = %name, ?changes, "settings of a stream change");
    let entry = context
        .metadata
        .update_stream(&name, changes)
        .await
        .map_err(|error| errors::update(&error))?;
    context
        .opener
        .follow(&context.metadata, name.as_str())
        .await
        .map_err(|error| errors::update_failed(&error))?;
    Ok(UpdateStreamResponse {
        settings: ServerSettings::of(context).in_force(&entry.definition.settings),
    })
}
