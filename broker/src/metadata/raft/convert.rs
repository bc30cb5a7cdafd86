//! From openraft's values to the bodies of records and back.

use std::path::{Path, PathBuf};

use openraft::AnyError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::types::{StorageError, StorageIoError};
use crate::metadata::OpenError;

/// A value as the body of a record.
pub(super) fn to_body<T: Serialize>(value: &T) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(value).map_err(|error| StorageIoError::write_logs(AnyError::new(&error)).into())
}

/// A value from the body of a record in the log at `dir`.
pub(super) fn from_body<T: DeserializeOwned>(what: &str, dir: &Path, body: &[u8]) -> Result<T, OpenError> {
    serde_json::from_slice(body).map_err(|error| unreadable(what, dir.to_owned(), error.to_string()))
}

pub(super) fn unreadable(what: &str, path: PathBuf, problem: String) -> OpenError {
    OpenError::Unreadable {
        what: what.to_owned(),
        path,
        problem,
    }
}
