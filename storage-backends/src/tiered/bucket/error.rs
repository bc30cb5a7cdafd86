//! What a bucket can answer instead of what was asked for, by what the caller can do about it.

use object_store::Error;

/// Longest part of a store's own words that is kept.
const MAX_REASON_BYTES: usize = 400;

/// Why a call of a [`Bucket`](super::Bucket) gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// There is no object of this name.
    #[error("{key} is not in the bucket")]
    NotFound {
        /// The object.
        key: String,
    },
    /// The store lets us not do this. Trying again changes nothing until somebody has changed a permission.
    #[error("the bucket denies to {action} {key}: check credentials and policy ({reason})")]
    Denied {
        /// What was tried.
        action: &'static str,
        /// With which object.
        key: String,
        /// What the store said.
        reason: String,
    },
    /// The object exists already, or is not the version that was to be replaced. Our own write may have done it, when its first
    /// answer was lost.
    #[error("{key} was changed by another writer")]
    Conflict {
        /// The object.
        key: String,
    },
    /// No usable answer within tries and deadline. A write may still have worked, or work later.
    #[error("the bucket did not {action} {key}: {reason}")]
    Unreachable {
        /// What was tried.
        action: &'static str,
        /// With which object.
        key: String,
        /// The last thing that went wrong.
        reason: String,
    },
    /// The object is not what it has to be.
    #[error("{key} in the bucket is damaged: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refuses the request as such: the bucket does not exist, is in another region, or the request means nothing
    /// to it.
    #[error("the bucket refuses to {action} {key}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// With which object.
        key: String,
        /// What the store said.
        reason: String,
    },
    /// The store lacks what the archive needs.
    #[error("the store cannot {action}, which the archive needs: {reason}")]
    Unsupported {
        /// What was tried.
        action: &'static str,
        /// What the store said.
        reason: String,
    },
    /// The URL or an option cannot be used.
    #[error("{url} cannot be opened as a bucket: {reason}")]
    Invalid {
        /// The URL as it was given.
        url: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
}

impl BucketError {
    /// Whether the same call may work when it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether a write that ended so may have worked.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unreachable { .. })
    }

    pub(super) fn unreachable(action: &'static str, key: &str, reason: impl Into<String>) -> Self {
        Self::Unreachable {
            action,
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn damaged(key: &str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    pub(super) fn invalid(url: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            url: url.to_owned(),
            reason: reason.into(),
        }
    }
}

/// What a store's error means. `status` is that of the last HTTP answer of the call: the store's error does not always tell it.
pub(super) fn classify(error: &Error, status: Option<u16>, action: &'static str, key: &str) -> BucketError {
    let reason = reason_of(error);
    let key = key.to_owned();
    if is_without_bucket(&reason) {
        let reason = format!("the bucket does not exist ({reason})");
        return BucketError::Refused { action, key, reason };
    }
    match error {
        Error::NotFound { .. } => BucketError::NotFound { key },
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
            BucketError::Conflict { key }
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            BucketError::Denied { action, key, reason }
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            BucketError::Unsupported { action, reason }
        }
        Error::Generic { .. } | Error::JoinError { .. } => of_status(status, action, key, reason),
        _ => BucketError::Refused { action, key, reason },
    }
}

fn of_status(status: Option<u16>, action: &'static str, key: String, reason: String) -> BucketError {
    match status {
        Some(401 | 403) => BucketError::Denied { action, key, reason },
        Some(416) => BucketError::Damaged { key, reason },
        Some(501) => BucketError::Unsupported { action, reason },
        Some(408 | 409 | 429) => BucketError::Unreachable { action, key, reason },
        Some(300..=499) => BucketError::Refused { action, key, reason },
        _ => BucketError::Unreachable { action, key, reason },
    }
}

fn is_without_bucket(reason: &str) -> bool {
    let marks = [
        "NoSuchBucket",
        "ContainerNotFound",
        "The specified bucket does not exist",
    ];
    marks.iter().any(|mark| reason.contains(mark))
}

/// The store's words on one line, and not all of a long answer.
fn reason_of(error: &Error) -> String {
    let mut reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.len() > MAX_REASON_BYTES {
        let cut = (0..=MAX_REASON_BYTES)
            .rev()
            .find(|&at| reason.is_char_boundary(at));
        reason.truncate(cut.unwrap_or_default());
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    #[test]
    fn an_answer_without_a_kind_is_judged_by_its_status() {
        let kind = |status| classify(&generic("x"), status, "list", "a");
        assert!(matches!(kind(Some(403)), BucketError::Denied { .. }));
        assert!(matches!(kind(Some(429)), BucketError::Unreachable { .. }));
        // Another request for the same thing is under way.
        assert!(matches!(kind(Some(409)), BucketError::Unreachable { .. }));
        assert!(matches!(kind(Some(503)), BucketError::Unreachable { .. }));
        assert!(matches!(kind(Some(400)), BucketError::Refused { .. }));
        assert!(matches!(kind(Some(501)), BucketError::Unsupported { .. }));
        assert!(matches!(kind(None), BucketError::Unreachable { .. }));
    }

    #[test]
    fn a_missing_bucket_is_not_taken_for_a_missing_object() {
        let error = Error::NotFound {
            path: "HEAD".to_owned(),
            source: "404: <Code>NoSuchBucket</Code>".into(),
        };
        let found = classify(&error, Some(404), "get", "HEAD");
        assert!(matches!(found, BucketError::Refused { .. }), "{found}");
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let reason = reason_of(&generic(&"ä".repeat(1000)));
        assert!(reason.len() <= MAX_REASON_BYTES + 3 && reason.ends_with('…'));
    }
}
