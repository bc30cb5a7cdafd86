//! The threads on which plugins look at records on their way in.
//!
//! Plugins take their time, so they run neither on a thread that serves connections nor on one that appends. Each partition has
//! one turn at a time; whoever has more to do queues behind the others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::handle::PartitionHandle;
use super::letters::LetterBox;
use super::screen::Screened;
use super::screening::{Screening, Turn};

/// Threads: as many as processors, but enough that a few plugins which use up their budgets do not hold up the others.
const THREADS_MIN: usize = 4;
/// How long a stop waits for what is on its way.
const STOP_MAX_WAIT: Duration = Duration::from_secs(5);

/// A way to the stage, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct StageHandle {
    shared: Arc<Shared>,
}

/// The running threads; [`Stage::stop`] ends them.
#[derive(Debug)]
pub(crate) struct Stage {
    handle: StageHandle,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Told whenever a turn is over.
    idle: Condvar,
    letter_box: Arc<dyn LetterBox>,
    runtime: Handle,
    /// Partitions that wait for their dead letters.
    parked: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Arc<PartitionHandle>>,
    running: usize,
    is_stopping: bool,
}

/// Whether a partition waits for a turn or has one.
#[derive(Debug, Default)]
pub(super) struct Work(Mutex<WorkState>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WorkState {
    #[default]
    Idle,
    Queued,
    Running,
    /// It was woken while it had its turn.
    RunningAgain,
}

impl Work {
    /// Takes note that there is something to do; true when the partition has to be queued.
    fn wake(&self) -> bool {
        let mut state = self.0.lock();
        let (next, queue) = match *state {
            WorkState::Idle => (WorkState::Queued, true),
            WorkState::Queued => (WorkState::Queued, false),
            WorkState::Running | WorkState::RunningAgain => (WorkState::RunningAgain, false),
        };
        *state = next;
        queue
    }

    fn begin(&self) {
        *self.0.lock() = WorkState::Running;
    }

    /// Ends a turn; true when the partition has to be queued again.
    fn end(&self, turn: Turn) -> bool {
        let mut state = self.0.lock();
        let again = turn == Turn::More || *state == WorkState::RunningAgain;
        *state = if again { WorkState::Queued } else { WorkState::Idle };
        again
    }
}

impl StageHandle {
    /// Has a partition looked at soon.
    pub(super) fn wake(&self, partition: &Arc<PartitionHandle>) {
        if partition
            .screening()
            .is_some_and(|screening| screening.work.wake())
        {
            self.shared.queue.lock().ready.push_back(Arc::clone(partition));
            self.shared.wake.notify_one();
        }
    }

    /// Has a partition looked at at this time.
    pub(super) fn wake_at(&self, time: Instant, partition: &Arc<PartitionHandle>) {
        let (stage, partition) = (self.clone(), Arc::downgrade(partition));
        self.shared.runtime.spawn(async move {
            tokio::time::sleep_until(time.into()).await;
            if let Some(partition) = partition.upgrade() {
                stage.wake(&partition);
            }
        });
    }

    /// Takes note that a partition waits for its dead letters, or does no more.
    pub(super) fn parked(&self, is_parked: bool) {
        if is_parked {
            self.shared.parked.fetch_add(1, Ordering::AcqRel);
        } else {
            self.shared.parked.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn letter_box(&self) -> &dyn LetterBox {
        self.shared.letter_box.as_ref()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.shared.runtime
    }
}

impl Stage {
    /// Starts the threads. To be called within the runtime that serves clients.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub(crate) fn start(letter_box: Arc<dyn LetterBox>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            idle: Condvar::new(),
            letter_box,
            runtime: Handle::current(),
            parked: AtomicUsize::new(0),
        });
        let handle = StageHandle { shared };
        let stage = Self {
            handle: handle.clone(),
            threads: Mutex::default(),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..processors.max(THREADS_MIN) {
            let shared = Arc::clone(&handle.shared);
            let thread = std::thread::Builder::new()
                .name("plugins".to_owned())
                .spawn(move || shared.run())?;
            stage.threads.lock().push(thread);
        }
        Ok(stage)
    }

    pub(crate) fn handle(&self) -> &StageHandle {
        &self.handle
    }

    /// Has the plugins look at what has queued, for a bounded time, and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        let shared = &self.handle.shared;
        let until = Instant::now() + STOP_MAX_WAIT;
        let mut queue = shared.queue.lock();
        let is_idle = |queue: &Queue| {
            queue.ready.is_empty() && queue.running == 0 && shared.parked.load(Ordering::Acquire) == 0
        };
        while !is_idle(&queue) {
            if shared.idle.wait_until(&mut queue, until).timed_out() {
                break;
            }
        }
        queue.is_stopping = true;
        drop(queue);
        shared.wake.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the plugins ended with a panic");
            }
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut screened = Screened::default();
        while let Some(partition) = self.next() {
            if let Some(screening) = partition.screening() {
                self.turn(&partition, screening, &mut screened);
            }
            self.queue.lock().running -= 1;
            self.idle.notify_all();
        }
    }

    fn next(&self) -> Option<Arc<PartitionHandle>> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_stopping {
                return None;
            }
            if let Some(partition) = queue.ready.pop_front() {
                queue.running += 1;
                return Some(partition);
            }
            self.wake.wait(&mut queue);
        }
    }

    fn turn(&self, partition: &Arc<PartitionHandle>, screening: &Screening, screened: &mut Screened) {
        screening.work.begin();
        let turn = screening.turn(partition, screened);
        if screening.work.end(turn) {
            self.queue.lock().ready.push_back(Arc::clone(partition));
            self.wake.notify_one();
        }
    }
}
