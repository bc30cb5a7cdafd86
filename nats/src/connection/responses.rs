//! The answers a client may still give under a response permission.

use std::time::Instant;

use hashbrown::HashMap;

use crate::auth::ResponseRule;

/// Open requests remembered per connection; beyond it the ones that expired go, then an arbitrary one.
const MAX_OPEN: usize = 4096;

/// Reply subjects the client received, with what is left of its permission to answer them.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    open: HashMap<Box<[u8]>, Open>,
}

#[derive(Debug)]
struct Open {
    /// Nothing: as many as it likes.
    left: Option<u64>,
    until: Option<Instant>,
}

impl Responses {
    /// The client was sent a request with this reply subject.
    pub(crate) fn note(&mut self, reply: &[u8], rule: ResponseRule) {
        let now = Instant::now();
        if self.open.len() >= MAX_OPEN {
            self.open.retain(|_, open| !open.is_over(now));
        }
        if self.open.len() >= MAX_OPEN
            && let Some(some) = self.open.keys().next().cloned()
        {
            self.open.remove(&some);
        }
        let open = Open {
            left: rule.max,
            until: rule.expires.and_then(|expires| now.checked_add(expires)),
        };
        self.open.insert(reply.into(), open);
    }

    /// Whether an answer is allowed; if so there is one less.
    pub(crate) fn use_up(&mut self, subject: &[u8]) -> bool {
        let now = Instant::now();
        let Some(open) = self.open.get_mut(subject) else {
            return false;
        };
        let allowed = !open.is_over(now);
        if let Some(left) = &mut open.left {
            *left = left.saturating_sub(1);
        }
        if open.is_over(now) {
            self.open.remove(subject);
        }
        allowed
    }
}

impl Open {
    fn is_over(&self, now: Instant) -> bool {
        self.left == Some(0) || self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_are_counted() {
        let mut responses = Responses::default();
        assert!(!responses.use_up(b"inbox"), "nobody asked");
        responses.note(
            b"inbox",
            ResponseRule {
                max: Some(2),
                expires: None,
            },
        );
        assert!(responses.use_up(b"inbox") && responses.use_up(b"inbox"));
        assert!(!responses.use_up(b"inbox"));
    }

    #[test]
    fn permission_to_answer_expires() {
        let mut responses = Responses::default();
        responses.note(
            b"inbox",
            ResponseRule {
                max: None,
                expires: Some(Duration::ZERO),
            },
        );
        assert!(!responses.use_up(b"inbox"));
    }

    #[test]
    fn open_requests_are_bounded() {
        let mut responses = Responses::default();
        for number in 0..2 * MAX_OPEN {
            responses.note(
                number.to_string().as_bytes(),
                ResponseRule {
                    max: Some(1),
                    expires: None,
                },
            );
        }
        assert!(responses.open.len() <= MAX_OPEN);
    }
}
