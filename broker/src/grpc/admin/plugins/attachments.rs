//! Calls that change attachments. What they answer with is in force.

use std::sync::Arc;

use tonic::Status;

use strandline_core::metadata::{AttachmentChange, NewAttachment};
use strandline_core::plugin::{
    AttachmentId, CanaryMode, ErrorHandling, ErrorPolicy, ModuleName, PluginLimits, Side, Variant,
};
use strandline_proto::admin;
use strandline_proto::admin::canary_mode::Kind;

use super::{show, status};
use crate::context::Context;
use crate::plugins::PluginError;

/// An attachment as the core knows it, or why there is none.
type Changed = Result<Arc<strandline_core::plugin::Attachment>, PluginError>;

/// Attaches a version to a stream.
pub(in crate::grpc::admin) async fn attach(
    context: &Context,
    by: String,
    request: admin::AttachPluginRequest,
) -> Result<admin::Attachment, Status> {
    let side = side(request.side())?;
    let module = status::module_name(&request.plugin)?;
    let wanted = NewAttachment {
        stream: status::stream_name(&request.stream)?,
        side,
        order: request.order,
        variant: variant(context, &module, request.variant.unwrap_or_default())?,
        module,
        on_error: errors_of(&request.on_error.unwrap_or_default())?,
        limits: limits(&request.limits.unwrap_or_default()),
        debug: request.debug,
    };
    tracing::info!(stream = %wanted.stream, plugin = %wanted.module, version = wanted.variant.version, %by, "a plugin is attached");
    answer(context, context.plugins.attach(wanted, by).await)
}

/// Takes an attachment away.
pub(in crate::grpc::admin) async fn detach(
    context: &Context,
    by: String,
    request: &admin::DetachPluginRequest,
) -> Result<admin::Attachment, Status> {
    tracing::info!(attachment = request.attachment, %by, "a plugin is detached");
    let id = AttachmentId::new(request.attachment);
    answer(context, context.plugins.detach(id, by).await)
}

/// Changes an attachment at once.
pub(in crate::grpc::admin) async fn change(
    context: &Context,
    by: String,
    request: admin::ChangeAttachmentRequest,
) -> Result<admin::Attachment, Status> {
    let id = AttachmentId::new(request.attachment);
    let module = module_of(context, id)?;
    let variant = request
        .variant
        .map(|wanted| variant(context, &module, wanted))
        .transpose()?;
    let change = AttachmentChange {
        variant,
        order: request.order,
        on_error: request.on_error.as_ref().map(errors_of).transpose()?,
        limits: request.limits.as_ref().map(limits),
        debug: request.debug,
    };
    tracing::info!(attachment = %id, %by, "an attachment changes");
    answer(context, context.plugins.change_attachment(id, change, by).await)
}

/// Tries another version, or other settings.
pub(in crate::grpc::admin) async fn start_canary(
    context: &Context,
    by: String,
    request: admin::StartCanaryRequest,
) -> Result<admin::Attachment, Status> {
    let id = AttachmentId::new(request.attachment);
    let module = module_of(context, id)?;
    let mode = match request.mode.and_then(|mode| mode.kind) {
        Some(Kind::Percent(percent)) => CanaryMode::Percent(u8::try_from(percent).unwrap_or(u8::MAX)),
        Some(Kind::Shadow(_)) => CanaryMode::Shadow,
        None => return Err(status::missing("the mode of the canary, a percentage or shadow,")),
    };
    let candidate = request
        .candidate
        .ok_or_else(|| status::missing("the candidate"))?;
    let candidate = variant(context, &module, candidate)?;
    tracing::info!(attachment = %id, version = candidate.version, %mode, %by, "a canary starts");
    answer(
        context,
        context.plugins.start_canary(id, (candidate, mode), by).await,
    )
}

/// Makes the canary active.
pub(in crate::grpc::admin) async fn promote(
    context: &Context,
    by: String,
    request: &admin::PromoteCanaryRequest,
) -> Result<admin::Attachment, Status> {
    tracing::info!(attachment = request.attachment, %by, "a canary is promoted");
    let id = AttachmentId::new(request.attachment);
    answer(context, context.plugins.promote(id, by).await)
}

/// Takes the canary away, or goes back to what was active before.
pub(in crate::grpc::admin) async fn roll_back(
    context: &Context,
    by: String,
    request: &admin::RollBackAttachmentRequest,
) -> Result<admin::Attachment, Status> {
    tracing::info!(attachment = request.attachment, %by, "an attachment is rolled back");
    let id = AttachmentId::new(request.attachment);
    answer(context, context.plugins.roll_back(id, by).await)
}

fn answer(context: &Context, changed: Changed) -> Result<admin::Attachment, Status> {
    match changed {
        Ok(entry) => Ok(show::attachment(context, &entry)),
        Err(error) => Err(status::refused(&error)),
    }
}

fn module_of(context: &Context, id: AttachmentId) -> Result<ModuleName, Status> {
    let state = context.metadata.state();
    let entry = state.plugins().attachment(id);
    let entry = entry.ok_or_else(|| status::no_such_attachment(id.get()))?;
    Ok(entry.module.clone())
}

/// A version with settings; the newest version and no settings where nothing else is said.
fn variant(context: &Context, module: &ModuleName, wanted: admin::PluginVariant) -> Result<Variant, Status> {
    let settings = match wanted.settings.trim() {
        "" => "{}".to_owned(),
        _ => wanted.settings,
    };
    if settings.len() <= Variant::MAX_SETTINGS_BYTES {
        serde_json::from_str::<serde::de::IgnoredAny>(&settings)
            .map_err(|error| Status::invalid_argument(format!("the settings are no JSON: {error}")))?;
    }
    let version = match wanted.version {
        0 => {
            let state = context.metadata.state();
            let newest = state
                .plugins()
                .module(module.as_str())
                .and_then(|module| module.newest());
            // The metadata refuses what is not there by name.
            newest.map_or(0, |newest| newest.number)
        }
        version => version,
    };
    Ok(Variant { version, settings })
}

fn side(side: admin::PluginSide) -> Result<Side, Status> {
    match side {
        admin::PluginSide::Unspecified => Err(status::missing("the side, write, key or read,")),
        admin::PluginSide::Write => Ok(Side::Write),
        admin::PluginSide::Key => Ok(Side::Key),
        admin::PluginSide::Read => Ok(Side::Read),
    }
}

fn errors_of(wanted: &admin::PluginErrorHandling) -> Result<ErrorHandling, Status> {
    let unknown = |_| Status::invalid_argument(format!("unknown error policy {}", wanted.policy));
    let policy = match admin::PluginErrorPolicy::try_from(wanted.policy).map_err(unknown)? {
        admin::PluginErrorPolicy::Unspecified | admin::PluginErrorPolicy::Fail => ErrorPolicy::Fail,
        admin::PluginErrorPolicy::Drop => ErrorPolicy::Drop,
        admin::PluginErrorPolicy::Pass => ErrorPolicy::Pass,
        admin::PluginErrorPolicy::DeadLetter => ErrorPolicy::DeadLetter,
    };
    let dead_letters = match wanted.dead_letters.as_str() {
        "" => None,
        name => Some(status::stream_name(name)?),
    };
    Ok(ErrorHandling { policy, dead_letters })
}

fn limits(wanted: &admin::PluginLimits) -> PluginLimits {
    PluginLimits {
        memory_bytes: Some(wanted.memory_bytes).filter(|&bytes| bytes > 0),
        budget_ms: Some(wanted.budget_ms).filter(|&budget| budget > 0),
    }
}
