//! What remains to be waited for after a read batch was handed over.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::connection::Connection;
use crate::local::Flush;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The longest pause of a publisher per read batch for the sake of clients that are behind.
const MAX_STALL: Duration = Duration::from_millis(10);

/// Subscribers that could not take everything at once.
#[derive(Default)]
pub(crate) struct Handover {
    pub(super) full_sinks: Vec<Wait>,
    pub(super) stalled: Vec<Arc<Connection>>,
}

impl Handover {
    /// Whether the publisher may go on at once.
    pub(crate) fn is_done(&self) -> bool {
        self.full_sinks.is_empty() && self.stalled.is_empty()
    }

    /// Waits for the full local sinks, which bound that themselves, and for clients that are far behind, a few
    /// milliseconds at most.
    pub(crate) async fn wait(self) {
        let stalled = self.stalled;
        let stall = async move {
            for connection in stalled {
                connection.relieved().await;
            }
        };
        join_all(self.full_sinks).await;
        // Too long only means that the publisher goes on and the queue grows on.
        drop(tokio::time::timeout(MAX_STALL, stall).await);
    }

    /// For publishers of this process: they wait for local sinks, not for slow clients.
    pub(crate) fn into_local_flush(self) -> Flush {
        if self.full_sinks.is_empty() {
            Flush::Done
        } else {
            Flush::Wait(Box::pin(join_all(self.full_sinks)))
        }
    }
}

/// Runs all of them at once: their time limits are not to add up.
async fn join_all(mut waits: Vec<Wait>) {
    poll_fn(|context| {
        waits.retain_mut(|wait| wait.as_mut().poll(context).is_pending());
        if waits.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
