//! The threads on which turns at the archive are taken.
//!
//! Sixteen megabytes of a part are checked, hashed and sent in one go, which takes a processor for 20 ms: on threads like all others
//! publishers felt it several times a second. So these have threads of their own, which run when nobody else wants to, and so have their
//! requests: driven by the threads that serve clients they cost publishers more than hashing did.

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Handle, Runtime};

/// How much more they give way than others: what `nice` calls it.
const NICENESS: i32 = 10;
/// Those that drive requests.
const DRIVERS: usize = 1;

/// Threads that give way to all others of the process.
#[derive(Debug)]
pub(super) struct Background {
    /// None when there can be no threads: the others do it then.
    runtime: Option<Runtime>,
    others: Handle,
}

impl Background {
    /// Begins threads for so many turns at a time, besides those that drive requests; from within the runtime that serves clients.
    pub(super) fn begin(turns: usize) -> Self {
        let niceness = niceness().unwrap_or_default() + NICENESS;
        let built = Builder::new_multi_thread()
            .thread_name("archive")
            .worker_threads(DRIVERS)
            // A turn keeps one, and waits for what it has read on another.
            .max_blocking_threads(2 * turns)
            .on_thread_start(move || give_way(niceness))
            .enable_all()
            .build();
        let runtime = built
            .inspect_err(|error| tracing::warn!("uploads have no threads of their own: {error}"))
            .ok();
        let others = Handle::current();
        Self { runtime, others }
    }

    /// The way to them.
    pub(super) fn handle(&self) -> &Handle {
        self.runtime.as_ref().map_or(&self.others, Runtime::handle)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody may wait here, and nobody has a turn any more.
            runtime.shutdown_background();
        }
    }
}

/// Of this thread, as on Linux it is; whatever thread begins another, that one begins with the same.
fn niceness() -> rustix::io::Result<i32> {
    getpriority_process(None)
}

fn give_way(niceness: i32) {
    if let Err(error) = setpriority_process(None, niceness) {
        tracing::debug!("uploads do not give way: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// There were as many threads as turns: when all turns ran at once each kept a thread and waited for one to read on, for ever, and
    /// nothing was archived any more.
    #[tokio::test]
    async fn turns_that_run_all_at_once_can_all_read() {
        const TURNS: usize = 4;
        let background = Background::begin(TURNS);
        let together = Arc::new(Barrier::new(TURNS));
        let turn = || {
            let (handle, together) = (background.handle().clone(), Arc::clone(&together));
            background.handle().spawn_blocking(move || {
                together.wait();
                handle.block_on(async { tokio::task::spawn_blocking(|| 1).await.unwrap() })
            })
        };
        let turns: Vec<_> = (0..TURNS).map(|_| turn()).collect();
        for turn in turns {
            let read = timeout(Duration::from_secs(30), turn).await;
            assert_eq!(read.expect("the turn ends").unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn every_thread_gives_way_as_much_whoever_began_it() {
        let background = Background::begin(2);
        let others = niceness().unwrap();
        let driver = background.handle().spawn(async {
            let blocking = tokio::task::spawn_blocking(niceness);
            (niceness().unwrap(), blocking.await.unwrap().unwrap())
        });
        // More than 19 there is not.
        let wanted = (others + NICENESS).min(19);
        assert_eq!(driver.await.unwrap(), (wanted, wanted));
        assert_eq!(niceness().unwrap(), others);
    }
}
