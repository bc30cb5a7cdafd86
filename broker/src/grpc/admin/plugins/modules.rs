//! Calls about modules that are there.

use std::sync::Arc;

use tonic::Status;

use strandline_core::plugin::AttachmentId;
use strandline_proto::admin::plugin_history_request::Of;
use strandline_proto::admin::{
    DeletePluginRequest, DeletePluginResponse, DescribePluginRequest, DescribePluginResponse,
    ListPluginsResponse, PluginHistoryRequest, PluginHistoryResponse,
};

use super::super::super::errors;
use super::{show, status};
use crate::context::Context;

/// The modules with their versions.
pub(in crate::grpc::admin) fn list(context: &Context) -> ListPluginsResponse {
    let state = context.metadata.state();
    let plugins = state.plugins().modules().map(|module| show::plugin(module));
    ListPluginsResponse {
        plugins: plugins.collect(),
    }
}

/// A module, its history and who uses it.
pub(in crate::grpc::admin) fn describe(
    context: &Context,
    request: &DescribePluginRequest,
) -> Result<DescribePluginResponse, Status> {
    let state = context.metadata.state();
    let module = state
        .plugins()
        .module(&request.name)
        .ok_or_else(|| no_such_plugin(&request.name))?;
    let attachments = state
        .plugins()
        .attachments()
        .filter(|entry| entry.module == module.name);
    Ok(DescribePluginResponse {
        plugin: Some(show::plugin(module)),
        attachments: attachments
            .map(|entry| show::attachment(context, entry))
            .collect(),
        history: module.history.iter().map(show::event).collect(),
    })
}

/// Deletes versions of a module.
pub(in crate::grpc::admin) async fn delete(
    context: &Arc<Context>,
    by: String,
    request: DeletePluginRequest,
) -> Result<DeletePluginResponse, Status> {
    let name = status::module_name(&request.name)?;
    let version = Some(request.version).filter(|&version| version > 0);
    tracing::info!(plugin = %name, ?version, %by, "a plugin is deleted");
    let deletion = Arc::clone(&context.plugins).delete(name, version, by);
    // It goes on when nobody waits for it any more: the files go along with the metadata.
    let deleted = context
        .tasks
        .spawn(deletion)
        .await
        .map_err(|_| errors::stopping())?;
    let versions = deleted.map_err(|error| status::refused(&error))?;
    Ok(DeletePluginResponse { versions })
}

/// What was done to a module, or to an attachment.
pub(in crate::grpc::admin) fn history(
    context: &Context,
    request: &PluginHistoryRequest,
) -> Result<PluginHistoryResponse, Status> {
    let state = context.metadata.state();
    let events = match &request.of {
        None => return Err(status::missing("the plugin or the attachment")),
        Some(Of::Plugin(name)) => {
            let module = state.plugins().module(name).ok_or_else(|| no_such_plugin(name))?;
            module.history.iter().map(show::event).collect()
        }
        Some(Of::Attachment(id)) => {
            let entry = state.plugins().attachment(AttachmentId::new(*id));
            let entry = entry.ok_or_else(|| status::no_such_attachment(*id))?;
            entry.history.iter().map(show::event).collect()
        }
    };
    Ok(PluginHistoryResponse { events })
}

/// Names in errors travel in headers, which are small.
fn no_such_plugin(name: &str) -> Status {
    let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    Status::not_found(format!("no such plugin: {name}"))
}
