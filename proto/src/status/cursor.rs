//! SetCursor and FetchCursor.

use tonic::Status;

/// The request names no stream.
pub fn no_stream() -> Status {
    Status::invalid_argument("No stream provided")
}

/// The request names no cursor.
pub fn no_id() -> Status {
    Status::invalid_argument("No cursorId provided")
}

/// Cursors are switched off.
pub fn disabled() -> Status {
    Status::internal("Cursors stream does not exist")
}

/// Another broker leads the partition that the cursor is stored in.
pub fn not_leader(partition: u32) -> Status {
    Status::failed_precondition(format!("Server not leader for cursors partition {partition}"))
}
