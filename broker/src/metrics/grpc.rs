//! What the gRPC API counts.

use std::sync::Arc;

use super::value::{Counter, Gauge};

/// Frames that wait for gRPC clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueNumbers {
    /// Bytes queued now, of all calls.
    pub(crate) bytes: Gauge,
    /// Times that whoever fills a queue had to wait for its client.
    pub(crate) waits: Arc<Counter>,
}

/// The gRPC API.
#[derive(Debug, Default)]
pub(crate) struct GrpcNumbers {
    pub(crate) connections: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) unanswered: Gauge,
    pub(crate) answers: QueueNumbers,
    pub(crate) messages: QueueNumbers,
    requests: [Counter; METHODS.len()],
    failures: [Counter; CODES.len()],
}

/// The calls of the API; the last name stands for all others.
const METHODS: [&str; 11] = [
    "PublishAsync",
    "Publish",
    "PublishToSubject",
    "Subscribe",
    "CreateStream",
    "DeleteStream",
    "FetchMetadata",
    "FetchPartitionMetadata",
    "SetCursor",
    "FetchCursor",
    "other",
];

/// gRPC's codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl GrpcNumbers {
    /// Counts a call, by the path of its request.
    pub(crate) fn request(&self, path: &str) {
        let method = path.strip_prefix("/proto.API/").unwrap_or_default();
        let known = METHODS.iter().position(|known| *known == method);
        if let Some(counter) = self.requests.get(known.unwrap_or(METHODS.len() - 1)) {
            counter.add(1);
        }
    }

    /// Counts a call that was answered by an error and nothing else, by its `grpc-status`.
    pub(crate) fn failure(&self, status: &[u8]) {
        let code = str::from_utf8(status).ok().and_then(|text| text.parse().ok());
        if let Some(counter) = self.failures.get(code.unwrap_or(2_usize))
            && code != Some(0)
        {
            counter.add(1);
        }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS
            .into_iter()
            .zip(&self.requests)
            .map(|(name, count)| (name, count.get()))
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = CODES.into_iter().zip(&self.failures).skip(1);
        counts.map(|(name, count)| (name, count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name_and_failures_by_code() {
        let grpc = GrpcNumbers::default();
        for path in [
            "/proto.API/Subscribe",
            "/proto.API/Nonsense",
            "/grpc.health.v1.Health/Check",
            "",
        ] {
            grpc.request(path);
        }
        for status in [b"5".as_slice(), b"0", b"99", b"x"] {
            grpc.failure(status);
        }
        let found =
            |counts: Vec<(&str, u64)>, name: &str| counts.iter().find(|(n, _)| *n == name).map(|(_, c)| *c);
        assert_eq!(found(grpc.requests().collect(), "Subscribe"), Some(1));
        assert_eq!(found(grpc.requests().collect(), "other"), Some(3));
        assert_eq!(found(grpc.failures().collect(), "NOT_FOUND"), Some(1));
        assert_eq!(found(grpc.failures().collect(), "UNKNOWN"), Some(1));
        assert_eq!(grpc.failures().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
