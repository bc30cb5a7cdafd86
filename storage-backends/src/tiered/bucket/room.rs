//! Memory for what is on its way to the bucket.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room in steps of this size.
const STEP: usize = 1 << 20;

/// Bytes that all uploads of a bucket may hold together.
#[derive(Clone, Debug)]
pub(super) struct Room {
    steps: u32,
    free: Arc<Semaphore>,
}

/// A part of the room; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Space {
    /// None only if the room was closed, which nobody does.
    _steps: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for so many bytes, at least for one.
    pub(super) fn new(bytes: usize) -> Self {
        let steps = steps_of(bytes);
        Self {
            steps,
            free: Arc::new(Semaphore::new(steps as usize)),
        }
    }

    /// Waits for room for so many bytes, or for all there is if that is less; who came first has it first.
    pub(super) fn take(&self, bytes: usize) -> impl Future<Output = Space> + Send + use<> {
        let (free, steps) = (Arc::clone(&self.free), steps_of(bytes).min(self.steps));
        async move {
            Space {
                _steps: free.acquire_many_owned(steps).await.ok(),
            }
        }
    }
}

fn steps_of(bytes: usize) -> u32 {
    // More is not in any machine.
    u32::try_from(bytes.div_ceil(STEP))
        .unwrap_or(u32::MAX >> 4)
        .max(1)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_wants_more_than_is_free_waits_until_it_is() {
        let room = Room::new(3 * STEP);
        let two = room.take(2 * STEP).await;
        let mut more = Box::pin(room.take(2 * STEP));
        assert!(more.as_mut().now_or_never().is_none());
        assert!(room.take(1).now_or_never().is_none(), "nobody overtakes");
        drop(two);
        let _more = more.await;
        assert!(room.take(1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_the_room_has_it_for_itself() {
        let room = Room::new(1);
        let all = room.take(usize::MAX).await;
        assert!(room.take(1).now_or_never().is_none());
        drop(all);
        room.take(1).await;
    }
}
