//! What a subscriber asks for in the metadata of its request, since Liftbridge's request has no fields for it.

use http::{HeaderMap, HeaderValue};
use tonic::Status;
use tonic::metadata::{BinaryMetadataKey, MetadataMap};

use super::super::errors;
use crate::plugins::FilterWish;
use crate::reader::OnTrimmed;

/// `error` ends a subscription whose next record was removed with OUT_OF_RANGE; `skip`, as without it, goes on at the oldest
/// record.
const ON_TRIMMED: &str = "strandline-on-trimmed";
/// Name of a plugin whose filter the records have to pass, with `@` and a version if it is not to be the newest.
const FILTER: &str = "strandline-filter";
/// Its settings, a JSON text: as it is, or in the form that gRPC has for bytes.
const FILTER_SETTINGS: &str = "strandline-filter-settings";
const FILTER_SETTINGS_BIN: &str = "strandline-filter-settings-bin";
/// `true` asks for a message that tells how far the subscription is wherever the last records were kept back by a filter.
const PROGRESS: &str = "strandline-progress";
/// `true` asks for what is stored, whatever filters the stream has for its subscribers. For who may administrate.
const UNFILTERED: &str = "strandline-unfiltered";

/// The wishes of one subscriber.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) on_trimmed: OnTrimmed,
    pub(super) filter: Option<FilterWish>,
    pub(super) progress: bool,
    pub(super) unfiltered: bool,
}

impl Wishes {
    /// Reads them from the metadata of a request.
    pub(super) fn read(metadata: &HeaderMap) -> Result<Self, Status> {
        Ok(Self {
            on_trimmed: match value(metadata, ON_TRIMMED) {
                None | Some(b"skip") => OnTrimmed::Skip,
                Some(b"error") => OnTrimmed::Error,
                Some(_) => return Err(errors::invalid_on_trimmed(ON_TRIMMED)),
            },
            filter: filter(metadata)?,
            progress: flag(metadata, PROGRESS)?,
            unfiltered: flag(metadata, UNFILTERED)?,
        })
    }
}

fn value<'m>(metadata: &'m HeaderMap, name: &str) -> Option<&'m [u8]> {
    metadata.get(name).map(HeaderValue::as_bytes)
}

fn flag(metadata: &HeaderMap, name: &str) -> Result<bool, Status> {
    match value(metadata, name) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(errors::invalid_metadata(name, "true or false")),
    }
}

fn filter(metadata: &HeaderMap) -> Result<Option<FilterWish>, Status> {
    let settings = settings(metadata)?;
    let Some(plugin) = value(metadata, FILTER) else {
        return match settings {
            None => Ok(None),
            Some(_) => Err(errors::invalid_metadata(
                FILTER,
                "there, since it is given settings",
            )),
        };
    };
    let wish = str::from_utf8(plugin).ok().and_then(FilterWish::parse);
    let wish = wish.ok_or_else(|| errors::invalid_metadata(FILTER, "NAME or NAME@VERSION"))?;
    Ok(Some(wish.with_settings(settings.unwrap_or_default())))
}

fn settings(metadata: &HeaderMap) -> Result<Option<String>, Status> {
    let wrong = |name| errors::invalid_metadata(name, "a JSON text in UTF-8");
    if let Some(text) = value(metadata, FILTER_SETTINGS) {
        let text = str::from_utf8(text).map_err(|_| wrong(FILTER_SETTINGS))?;
        return Ok(Some(text.to_owned()));
    }
    let metadata = MetadataMap::from_headers(metadata.clone());
    let Some(bytes) = metadata.get_bin(BinaryMetadataKey::from_static(FILTER_SETTINGS_BIN)) else {
        return Ok(None);
    };
    let bytes = bytes.to_bytes().map_err(|_| wrong(FILTER_SETTINGS_BIN))?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| wrong(FILTER_SETTINGS_BIN))?;
    Ok(Some(text))
}
