//! Liftbridge's first format, which is that of nats-server's files.

use super::entry::{Entry, SyntaxError};

/// Reads the settings of a file of braces.
pub(crate) fn parse(_text: &str) -> Result<Vec<Entry>, SyntaxError> {
    Err(SyntaxError::new(0, "pending"))
}
