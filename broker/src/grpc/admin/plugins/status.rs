//! What refused calls about plugins are answered with.

use tonic::Status;

use strandline_core::StreamName;
use strandline_core::metadata::{PluginRejection, Rejection};
use strandline_core::plugin::ModuleName;

use super::super::super::errors;
use crate::metadata::ChangeError;
use crate::plugins::PluginError;
use crate::streams::describe;

pub(super) fn refused(error: &PluginError) -> Status {
    match error {
        PluginError::Unfit { .. } => Status::invalid_argument(error.to_string()),
        PluginError::Host { .. } => Status::failed_precondition(error.to_string()),
        PluginError::File(_) => Status::data_loss(describe(error)),
        PluginError::Change(ChangeError::Rejected(rejection)) => rejected(rejection),
        PluginError::Change(ChangeError::Failed(failed)) => {
            errors::propose("Failed to change plugins", failed)
        }
        PluginError::Stopping => errors::stopping(),
    }
}

fn rejected(rejection: &Rejection) -> Status {
    let text = rejection.to_string();
    match rejection {
        Rejection::NoSuchStream { .. } => Status::not_found(text),
        Rejection::Plugin(rejection) => match rejection {
            PluginRejection::NoSuchModule { .. }
            | PluginRejection::NoSuchVersion { .. }
            | PluginRejection::NoSuchAttachment { .. } => Status::not_found(text),
            PluginRejection::InUse { .. }
            | PluginRejection::CanaryRuns { .. }
            | PluginRejection::NoCanary { .. }
            | PluginRejection::NothingBefore { .. }
            | PluginRejection::TakesDeadLetters { .. } => Status::failed_precondition(text),
            PluginRejection::TooMany { .. } => Status::resource_exhausted(text),
            PluginRejection::InvalidCaller { .. }
            | PluginRejection::WrongWorld { .. }
            | PluginRejection::Invalid { .. } => Status::invalid_argument(text),
        },
        _ => Status::invalid_argument(text),
    }
}

/// The name of a module that is to be pushed.
pub(super) fn module_name(name: &str) -> Result<ModuleName, Status> {
    ModuleName::new(name).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The name of a stream that has to be there.
pub(super) fn stream_name(name: &str) -> Result<StreamName, Status> {
    StreamName::new(name).map_err(|_| errors::stream_does_not_exist())
}

pub(super) fn no_such_attachment(id: u64) -> Status {
    Status::not_found(format!("no such attachment: {id}"))
}

pub(super) fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("{what} is missing"))
}
