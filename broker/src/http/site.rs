//! What the port knows of its broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::health::{AppenderProbe, Phase, Reason, Verdict, failures, unready};
use crate::context::Context;
use crate::metrics::{Format, Metrics, Scrape, StoredNumbers};

/// How old the numbers of stored segments may be: collecting them touches every log.
const STORED_MAX_AGE: Duration = Duration::from_secs(10);

/// The broker as the port sees it.
#[derive(Debug)]
pub(crate) struct Site {
    metrics: Arc<Metrics>,
    per_partition: bool,
    phase: AtomicU8,
    context: ArcSwapOption<Context>,
    probe: AppenderProbe,
    /// Held during a scrape: they come one after another.
    scrape: Arc<Mutex<Option<Stored>>>,
}

#[derive(Debug)]
struct Stored {
    numbers: StoredNumbers,
    at: Instant,
}

impl Site {
    pub(crate) fn new(metrics: Arc<Metrics>, per_partition: bool) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            per_partition,
            phase: AtomicU8::new(Phase::Starting as u8),
            context: ArcSwapOption::empty(),
            probe: AppenderProbe::default(),
            scrape: Arc::default(),
        })
    }

    /// Clients are served from now on.
    pub(crate) fn serving(&self, context: Arc<Context>) {
        self.context.store(Some(context));
        self.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    /// Clients are not served any more.
    pub(crate) fn stopping(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
    }

    /// Lets go of the broker's parts.
    pub(crate) fn stopped(&self) {
        self.context.store(None);
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the process has to be restarted.
    pub(super) async fn health(&self) -> Verdict {
        let mut reasons = Vec::new();
        if let (Phase::Serving, Some(context)) = (self.phase(), self.context.load_full()) {
            reasons.extend(self.probe.check(&context).await);
            reasons.extend(failures(&context));
        }
        Verdict::of("ok", "failing", reasons)
    }

    /// Whether clients are served.
    pub(super) fn readiness(&self) -> Verdict {
        Verdict::of("ready", "not ready", self.unready())
    }

    /// The numbers as text; none when the process is ending.
    pub(super) async fn scrape(self: Arc<Self>, format: Format) -> Option<String> {
        // Moved into the work, so that a client that goes away does not let the next scrape run beside this one.
        let mut stored = Arc::clone(&self.scrape).lock_owned().await;
        let work = move || {
            let context = self.context.load_full();
            let scrape = Scrape {
                metrics: &self.metrics,
                context: context.as_deref(),
                stored: context.as_deref().map(|context| fresh(&mut stored, context)),
                ready: self.unready().is_empty(),
                per_partition: self.per_partition,
            };
            scrape.text(format)
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    fn unready(&self) -> Vec<Reason> {
        unready(self.phase(), self.context.load().as_deref())
    }

    fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Acquire);
        [Phase::Starting, Phase::Serving]
            .into_iter()
            .find(|known| *known as u8 == phase)
            .unwrap_or(Phase::Stopping)
    }
}

fn fresh(stored: &mut Option<Stored>, context: &Context) -> StoredNumbers {
    if let Some(known) = stored
        .as_ref()
        .filter(|known| known.at.elapsed() < STORED_MAX_AGE)
    {
        return known.numbers;
    }
    let numbers = StoredNumbers::collect(context);
    *stored = Some(Stored {
        numbers,
        at: Instant::now(),
    });
    numbers
}
