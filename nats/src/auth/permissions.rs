//! What a client may publish and subscribe to.

use std::time::Duration;

use crate::options::{PermissionRules, SubjectRules};
use crate::subject::{is_filter, matches};

/// How often and how long a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseRule {
    /// Answers to one request; none = any number.
    pub max: Option<u64>,
    /// Time in which it may be answered; none = any time.
    pub expires: Option<Duration>,
}

impl Default for ResponseRule {
    fn default() -> Self {
        Self {
            max: Some(1),
            expires: Some(Duration::from_secs(120)),
        }
    }
}

/// A user's rules, ready to be asked.
#[derive(Debug)]
pub(crate) struct Permissions {
    publish: Rules,
    subscribe: Rules,
    responses: Option<ResponseRule>,
}

#[derive(Debug, Default)]
struct Rules {
    allow: Option<Vec<Rule>>,
    deny: Vec<Rule>,
}

/// A subject and, for subscriptions, a queue group that it is about.
#[derive(Debug)]
struct Rule {
    subject: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl Permissions {
    /// Compiles rules.
    ///
    /// # Errors
    ///
    /// Names a rule that is no subject.
    pub(crate) fn new(rules: &PermissionRules) -> Result<Self, String> {
        let mut publish = Rules::new(&rules.publish)?;
        if rules.responses.is_some() && publish.allow.is_none() && publish.deny.is_empty() {
            // A user that may answer, and of whom nothing else is said, may do nothing else.
            publish.allow = Some(Vec::new());
        }
        Ok(Self {
            publish,
            subscribe: Rules::new(&rules.subscribe)?,
            responses: rules.responses,
        })
    }

    /// Whether a message may be published on this subject.
    pub(crate) fn may_publish(&self, subject: &[u8]) -> bool {
        let hit = |rule: &Rule| matches(&rule.subject, subject);
        let allowed = self
            .publish
            .allow
            .as_ref()
            .is_none_or(|allow| allow.iter().any(hit));
        allowed && !self.publish.deny.iter().any(hit)
    }

    /// Whether a subscription is accepted. One that is wider than a denied subject is: what is denied is withheld.
    pub(crate) fn may_subscribe(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let hit = |rule: &Rule| is_subset(filter, &rule.subject) && rule.is_about(queue);
        let allowed = self
            .subscribe
            .allow
            .as_ref()
            .is_none_or(|allow| allow.iter().any(hit));
        allowed && !self.subscribe.deny.iter().any(hit)
    }

    /// Whether a message on this subject is withheld although a subscription of the user matches it.
    pub(crate) fn delivery_denied(&self, subject: &[u8]) -> bool {
        self.subscribe
            .deny
            .iter()
            .any(|rule| rule.queue.is_none() && matches(&rule.subject, subject))
    }

    /// Answers that the user may give to requests.
    pub(crate) fn responses(&self) -> Option<ResponseRule> {
        self.responses
    }
}

impl Rules {
    fn new(rules: &SubjectRules) -> Result<Self, String> {
        let compile = |rules: &Vec<String>| {
            rules
                .iter()
                .map(|rule| Rule::new(rule))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            allow: rules.allow.as_ref().map(compile).transpose()?,
            deny: compile(&rules.deny)?,
        })
    }
}

impl Rule {
    fn new(text: &str) -> Result<Self, String> {
        let mut parts = text.split_ascii_whitespace();
        let (subject, queue) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() || !is_filter(subject.as_bytes()) {
            return Err(text.to_owned());
        }
        Ok(Self {
            subject: subject.as_bytes().into(),
            queue: queue.map(|queue| queue.as_bytes().into()),
        })
    }

    /// A rule without a queue is about every subscription; one with a queue about that group only.
    fn is_about(&self, queue: Option<&[u8]>) -> bool {
        match (&self.queue, queue) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(rule), Some(queue)) => matches(rule, queue),
        }
    }
}

/// Whether everything that `filter` matches is matched by `wider`, too.
fn is_subset(filter: &[u8], wider: &[u8]) -> bool {
    let mut parts = filter.split(|&byte| byte == b'.');
    for token in wider.split(|&byte| byte == b'.') {
        let Some(part) = parts.next() else { return false };
        match (token, part) {
            (b">", _) => return true,
            (_, b">") => return false,
            (b"*", _) => {}
            (token, part) if token == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: Option<&[&str]>, deny: &[&str]) -> SubjectRules {
        let texts = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect();
        SubjectRules {
            allow: allow.map(texts),
            deny: texts(deny),
        }
    }

    fn permissions(publish: SubjectRules, subscribe: SubjectRules) -> Permissions {
        Permissions::new(&PermissionRules {
            publish,
            subscribe,
            responses: None,
        })
        .unwrap()
    }

    #[test]
    fn what_is_denied_wins_and_no_list_allows_everything() {
        let open = permissions(SubjectRules::default(), SubjectRules::default());
        assert!(open.may_publish(b"a.b") && open.may_subscribe(b">", None) && !open.delivery_denied(b"a"));
        let some = permissions(rules(Some(&["a.*"]), &["a.secret"]), SubjectRules::default());
        assert!(some.may_publish(b"a.b") && !some.may_publish(b"a.secret") && !some.may_publish(b"b"));
    }

    #[test]
    fn a_subscription_that_overlaps_a_denied_subject_is_accepted_and_the_subject_withheld() {
        let some = permissions(SubjectRules::default(), rules(Some(&["foo.*"]), &["foo.bar"]));
        assert!(some.may_subscribe(b"foo.*", None) && some.may_subscribe(b"foo.baz", None));
        assert!(!some.may_subscribe(b"foo.bar", None) && !some.may_subscribe(b"foo.>", None));
        assert!(some.delivery_denied(b"foo.bar") && !some.delivery_denied(b"foo.baz"));
    }

    #[test]
    fn rules_with_a_queue_are_about_that_queue() {
        let some = permissions(
            SubjectRules::default(),
            rules(Some(&["foo v1", "foo v2.*", "bar"]), &["bar prod"]),
        );
        assert!(some.may_subscribe(b"foo", Some(b"v1")) && some.may_subscribe(b"foo", Some(b"v2.x")));
        assert!(!some.may_subscribe(b"foo", Some(b"v3")) && !some.may_subscribe(b"foo", None));
        assert!(some.may_subscribe(b"bar", Some(b"any")) && !some.may_subscribe(b"bar", Some(b"prod")));
    }

    #[test]
    fn a_user_that_may_only_answer_may_publish_nothing_by_itself() {
        let rules = PermissionRules {
            responses: Some(ResponseRule::default()),
            ..PermissionRules::default()
        };
        assert!(!Permissions::new(&rules).unwrap().may_publish(b"a"));
    }

    #[test]
    fn rules_that_are_no_subjects_are_named() {
        let bad = PermissionRules {
            publish: rules(Some(&["a..b"]), &[]),
            ..PermissionRules::default()
        };
        assert_eq!(Permissions::new(&bad).unwrap_err(), "a..b");
    }
}
