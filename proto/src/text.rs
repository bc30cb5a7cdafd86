//! Texts that a status and an error of PublishAsync share. Clients and their tests compare some of them: capitals and
//! wording are Liftbridge's.

pub(crate) const POLICY_MISSING: &str = "stream with concurrency control must have AckPolicy set";
pub(crate) const INCORRECT_OFFSET: &str = "incorrect expected offset";
pub(crate) const TOO_LARGE: &str = "message exceeds max replication size";
pub(crate) const ENCRYPTION_FAILED: &str = "encryption failed on partition";
pub(crate) const UNKNOWN_ERROR: &str = "unknown error";

pub(crate) fn no_such_stream(name: &str) -> String {
    format!("no such stream: {name}")
}

pub(crate) fn no_such_partition(partition: i32) -> String {
    format!("no such partition: {partition}")
}

pub(crate) fn readonly_partition(partition: i32) -> String {
    format!("readonly partition: {partition}")
}

pub(crate) fn not_authorized(method: &str, resource: &str) -> String {
    format!("The client is not authorized to call {method} on resource {resource}")
}
