//! Subscribers and publishers that live in this process.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::delivery::Dispatcher;
use crate::message::Message;
use crate::router::{Route, Router, Subscription, Target};
use crate::subject;

/// A subscriber in this process. Called synchronously inside the publishing connection's read loop.
///
/// A publisher may hold on to a sink (and to the batch it opened) for as long as it lives, also after the subscription is
/// dropped; and a message that was on its way at that moment may still arrive.
pub trait LocalSink: fmt::Debug + Send + Sync + 'static {
    /// A collector for the messages that one publisher sends to this sink; kept by that publisher and reused.
    fn open(&self) -> Box<dyn LocalBatch>;

    /// The sink itself, for its owner to recognize.
    fn as_any(&self) -> &dyn Any;
}

/// Collects what one publisher sends to one sink.
pub trait LocalBatch: Send {
    /// Takes a message: copies or encodes what it needs, neither blocks nor locks.
    fn push(&mut self, message: &Message<'_>);

    /// Hands over what was pushed. Called once at the end of each read batch that pushed something.
    fn flush(&mut self) -> Flush;
}

/// The result of handing over.
pub enum Flush {
    /// Everything is where it should be.
    Done,
    /// The receiver is full: the publisher waits for this before it goes on. The receiver bounds the wait.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Wait(_) => "Wait",
        })
    }
}

/// Why a local subscription was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The filter has an empty token, a blank, or `>` before its end.
    #[error(
        "invalid subject {subject:?}: tokens must not be empty or hold blanks, and > may only be the last one"
    )]
    InvalidSubject {
        /// The filter.
        subject: String,
    },
    /// The queue group's name is empty or has a blank.
    #[error("invalid queue group name {name:?}: it must not be empty or hold blanks")]
    InvalidQueue {
        /// The name.
        name: String,
    },
}

/// A subscription in this process; dropping it ends it.
#[derive(Debug)]
pub struct LocalSubscription {
    router: Arc<Router>,
    subscription: Arc<Subscription>,
}

impl LocalSubscription {
    pub(crate) fn open(
        router: Arc<Router>,
        filter: &str,
        queue: Option<&str>,
        sink: Arc<dyn LocalSink>,
    ) -> Result<Self, SubscribeError> {
        let has_blank = |text: &str| {
            text.bytes()
                .any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        };
        if has_blank(filter) || !subject::is_filter(filter.as_bytes()) {
            return Err(SubscribeError::InvalidSubject {
                subject: filter.to_owned(),
            });
        }
        if let Some(name) = queue.filter(|name| name.is_empty() || has_blank(name)) {
            return Err(SubscribeError::InvalidQueue {
                name: name.to_owned(),
            });
        }
        let queue = queue.map(str::as_bytes);
        let subscription = Arc::new(Subscription::new(
            filter.as_bytes(),
            queue,
            b"",
            Target::Local(sink),
        ));
        router.insert(Arc::clone(&subscription));
        Ok(Self { router, subscription })
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        self.subscription.close();
        self.router.remove(&self.subscription);
    }
}

/// Publishes from within the process; owned by one task or thread. Exempt from permissions and limits.
///
/// Messages are queued until [`flush`](Self::flush); dropping the publisher loses what was not flushed.
pub struct LocalPublisher {
    dispatcher: Dispatcher,
}

impl LocalPublisher {
    pub(crate) fn new(dispatcher: Dispatcher) -> Self {
        Self { dispatcher }
    }

    /// Queues a message for everybody who gets it, clients and local sinks, and returns how many that are.
    pub fn publish(&mut self, message: &Message<'_>) -> usize {
        self.dispatcher.publish_unchecked(message)
    }

    /// Queues a message for the clients that get it, and adds to `sinks` the local ones that would get it too, without handing
    /// it to them: for a publisher that knows a shorter way there. Of each queue group one member is chosen, client or sink.
    /// Returns how many clients get it.
    pub fn publish_apart(&mut self, message: &Message<'_>, sinks: &mut Vec<Arc<dyn LocalSink>>) -> usize {
        self.dispatcher.publish_apart(message, sinks)
    }

    /// Hands over what was published. The future in the result waits for local sinks that are full.
    pub fn flush(&mut self) -> Flush {
        self.dispatcher.flush().into_local_flush()
    }

    /// Who would get a message on this subject now.
    pub fn route(&mut self, subject: &str) -> Arc<Route> {
        self.dispatcher.route(subject.as_bytes())
    }
}

impl fmt::Debug for LocalPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalPublisher").finish_non_exhaustive()
    }
}
