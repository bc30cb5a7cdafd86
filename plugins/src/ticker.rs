//! Ends calls that take too long: a thread that advances the engine's epoch while calls run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wasmtime::EngineWeak;

use crate::idle::Idle;

/// How often the epoch advances, which is how exact deadlines are.
const TICK: Duration = Duration::from_millis(2);
/// The thread rests after so many ticks without a call: a busy attachment never has to wake it.
const QUIET_TICKS: u32 = 500;

/// Owns the thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Calls that run now.
    calls: AtomicUsize,
    /// Whether the thread rests and the next call has to wake it.
    rests: AtomicBool,
    ends: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// A call that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    pub(crate) fn start(engine: EngineWeak, idle: Arc<Idle>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || tick(&theirs, &engine, &idle))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The epochs that a call may see begin, if it may take so long; at least one.
    pub(crate) fn ticks(allowed: Duration) -> u64 {
        let ticks = allowed.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    /// The shortest time that means something as a deadline.
    pub(crate) const fn shortest() -> Duration {
        TICK.saturating_mul(2)
    }

    /// Says that a call begins; it ends with what is returned.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.rests.load(Ordering::SeqCst) {
            let _lock = self.shared.lock.lock();
            self.shared.wake.notify_one();
        }
        Running(&self.shared)
    }
}

fn tick(shared: &Shared, engine: &EngineWeak, idle: &Idle) {
    let mut quiet = 0;
    let mut lock = shared.lock.lock();
    while !shared.ends.load(Ordering::SeqCst) {
        if quiet < QUIET_TICKS {
            shared.wake.wait_for(&mut lock, TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            let is_quiet = shared.calls.load(Ordering::SeqCst) == 0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        } else {
            rest(shared, &mut lock, idle);
            quiet = 0;
        }
        // What is dropped here may take a while, and nobody who enters may wait for it.
        parking_lot::MutexGuard::unlocked(&mut lock, || idle.sweep(Instant::now()));
    }
}

/// Waits for a call, for the end, or until instances have been idle for long enough.
fn rest(shared: &Shared, lock: &mut parking_lot::MutexGuard<'_, ()>, idle: &Idle) {
    shared.rests.store(true, Ordering::SeqCst);
    while shared.calls.load(Ordering::SeqCst) == 0 && !shared.ends.load(Ordering::SeqCst) {
        if idle.is_empty() {
            shared.wake.wait(lock);
        } else if shared.wake.wait_for(lock, idle.time()).timed_out() {
            break;
        }
    }
    shared.rests.store(false, Ordering::SeqCst);
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        {
            let _lock = self.shared.lock.lock();
            self.shared.wake.notify_one();
        }
        if let Some(thread) = self.thread.take()
            // The thread itself is the last owner when the last attachment goes while it sweeps.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
