//! The settings of an attachment.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The settings of a plugin that has none: any are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings; the error is a sentence for the operator.
pub(crate) fn read<S: DeserializeOwned>(json: &[u8]) -> Result<S, String> {
    serde_json::from_slice(json).map_err(|error| format!("the settings do not fit: {error}"))
}
