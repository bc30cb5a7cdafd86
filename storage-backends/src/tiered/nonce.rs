//! Random names, by which two writers of the same thing tell each other apart.

use super::ArchiveError;

/// So many random bytes in hex digits.
pub(super) fn nonce<const BYTES: usize>() -> Result<String, ArchiveError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| ArchiveError::Local {
        reason: format!("the system gives no random numbers: {error}"),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
