//! SetCursor and FetchCursor.

use tonic::Status;

use strandline_proto::api::{FetchCursorRequest, FetchCursorResponse, SetCursorRequest};
use strandline_proto::convert::NONE;

use super::errors;
use crate::context::Context;
use crate::cursors::{self, CursorKey};

/// Stores a cursor; durable when this returns.
pub(super) async fn set(context: &Context, request: SetCursorRequest) -> Result<(), Status> {
    let key = key(request.stream, request.partition, request.cursor_id)?;
    cursors::set(context, &key, request.offset)
        .await
        .map_err(|error| errors::cursor(&error))
}

/// The position that was stored last, -1 if none was.
pub(super) async fn fetch(
    context: &Context,
    request: FetchCursorRequest,
) -> Result<FetchCursorResponse, Status> {
    let key = key(request.stream, request.partition, request.cursor_id)?;
    let position = cursors::fetch(context, &key)
        .await
        .map_err(|error| errors::cursor(&error))?;
    Ok(FetchCursorResponse {
        offset: position.unwrap_or(NONE),
    })
}

fn key(stream: String, partition: i32, id: String) -> Result<CursorKey, Status> {
    CursorKey::new(stream, partition, id).map_err(|error| errors::invalid_cursor(&error))
}
