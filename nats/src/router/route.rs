//! The subscriptions that match one subject.

use std::fmt;
use std::sync::Arc;

use super::subscription::{Subscription, Target};
use crate::local::LocalSink;

/// Who would get a message on a subject. A snapshot: it is not told of later changes.
#[derive(Default)]
pub struct Route {
    pub(crate) plain: Vec<Arc<Subscription>>,
    pub(crate) groups: Vec<QueueGroup>,
    local: Option<Vec<Arc<dyn LocalSink>>>,
}

/// The members that share a queue name, whatever filters they used.
#[derive(Debug, Default, Clone)]
pub(crate) struct QueueGroup {
    pub(crate) name: Box<[u8]>,
    pub(crate) members: Vec<Arc<Subscription>>,
}

impl Route {
    pub(crate) fn new(plain: Vec<Arc<Subscription>>, groups: Vec<QueueGroup>) -> Self {
        let sinks = plain.iter().map(|subscription| match &subscription.target {
            Target::Local(sink) => Some(Arc::clone(sink)),
            Target::Remote(_) => None,
        });
        let local = if groups.is_empty() { sinks.collect() } else { None };
        Self { plain, groups, local }
    }

    /// The local sinks, when every message on this subject goes to exactly these: no client subscribed and no queue group
    /// has to choose. Empty: nobody gets it.
    pub fn static_local(&self) -> Option<&[Arc<dyn LocalSink>]> {
        self.local.as_deref()
    }

    /// Whether nobody would get a message.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("plain", &self.plain)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}
