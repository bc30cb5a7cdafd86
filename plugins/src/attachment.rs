//! A module at work: with its settings, its limits, its instances and its numbers.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::breaker::{Admission, Breaker};
use crate::error::AttachError;
use crate::failure::{Cause, Failure};
use crate::host::Inner;
use crate::inspect::World;
use crate::instance::{Plan, StartError};
use crate::judgement::{Judgement, Verdict};
use crate::keys::Keys;
use crate::log::{Level, PluginLog, Source, told};
use crate::module::Module;
use crate::needs::Needs;
use crate::numbers::{Counters, Numbers};
use crate::packer::{MAX_BATCH_RECORDS, PackedBatch};
use crate::pool::{Lease, Pool};
use crate::question::{Extracting, Judging, Kind};
use crate::settings::Limits;
use crate::settle::{Asked, Outcome, settle};

/// Budgets that make sense: deadlines are exact to a few milliseconds, and a batch holds up its stream.
const BUDGETS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// Records of a batch before it is known how long they take.
const FIRST_RECORDS: usize = 1_024;

/// What an attachment is told.
#[derive(Clone, Debug)]
pub struct AttachOptions {
    /// What it is attached as.
    pub world: World,
    /// The settings, a JSON text; empty stands for `{}`.
    pub settings: String,
    /// What it may use.
    pub limits: Limits,
}

impl AttachOptions {
    /// Without settings, with default limits.
    pub fn new(world: World) -> Self {
        Self {
            world,
            settings: String::new(),
            limits: Limits::default(),
        }
    }
}

/// A module at work. Any number of threads may ask it at once.
#[derive(Debug)]
pub struct Attachment {
    module: Module,
    limits: Limits,
    pool: Arc<Pool>,
    breaker: Mutex<Breaker>,
    counters: Counters,
    memory: Arc<AtomicU64>,
    log: Arc<PluginLog>,
}

impl Attachment {
    pub(crate) fn start(host: &Inner, module: &Module, options: AttachOptions) -> Result<Self, AttachError> {
        let (wanted, found) = (options.world, module.info().world);
        if wanted != found {
            return Err(AttachError::World { wanted, found });
        }
        let limits = options.limits;
        if !BUDGETS.contains(&limits.budget) {
            return Err(AttachError::Budget(limits.budget));
        }
        let settings = &host.settings;
        let log = Arc::new(PluginLog::new(settings.log, settings.clock.clone()));
        let memory = Arc::new(AtomicU64::new(0));
        let empty = options.settings.trim().is_empty();
        let plan = Plan {
            module: module.compiled.clone(),
            settings: if empty { "{}".to_owned() } else { options.settings },
            limits,
            table_elements: settings.table_elements,
            init_time: settings.init_time,
            memory: memory.clone(),
            log: log.clone(),
            ticker: host.ticker.clone(),
        };
        let pool = Pool::start(
            plan,
            settings.instances,
            settings.idle_instances,
            host.idle.clone(),
        );
        let pool = pool.map_err(|error| match error {
            StartError::Settings(refusal) => AttachError::Settings(refusal),
            StartError::Failure(failure) => AttachError::Start(failure),
        })?;
        Ok(Self {
            module: module.clone(),
            limits,
            pool,
            breaker: Mutex::new(Breaker::new(settings.breaker)),
            counters: Counters::default(),
            memory,
            log,
        })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What the plugin reads of a record.
    pub fn needs(&self) -> Needs {
        self.pool.needs()
    }

    /// So many records take about a quarter of the budget, by what the last batches took: 1 to 65,536.
    pub fn records_at_once(&self) -> usize {
        let records = self
            .counters
            .records_in(self.limits.budget / 4)
            .unwrap_or(FIRST_RECORDS);
        records.clamp(1, MAX_BATCH_RECORDS)
    }

    /// Asks a filter about a batch: `out` has a verdict for every record afterwards, whatever the plugin does. Blocks for the
    /// budget at the most, and before that while all instances are in use or the first one is made.
    pub fn judge(&self, batch: PackedBatch<'_>, out: &mut Judgement) {
        out.begin(batch.len());
        let judging = Judging { batch, out };
        self.run(batch.len(), World::Filter, judging);
        let counts =
            [Verdict::Pass, Verdict::Drop, Verdict::DeadLetter, Verdict::Fail].map(|v| out.count(v) as u64);
        let counters = &self.counters;
        let of = [
            &counters.passed,
            &counters.dropped,
            &counters.dead_lettered,
            &counters.failed,
        ];
        add_all(of, counts);
    }

    /// Asks an extractor about a batch: `out` has an answer for every record afterwards, as with [`Attachment::judge`].
    pub fn extract(&self, batch: PackedBatch<'_>, out: &mut Keys) {
        out.begin(batch.len());
        let extracting = Extracting { batch, out };
        self.run(batch.len(), World::KeyExtractor, extracting);
        let counters = &self.counters;
        add_all(
            [&counters.keyed, &counters.keyless, &counters.failed],
            out.counts(),
        );
    }

    /// Asks a filter why it does not pass these records: a text for each, or none at all where it has none or fails. Neither
    /// numbers nor breaker know of it. Takes a budget of its own.
    pub fn explain(&self, batch: PackedBatch<'_>) -> Vec<String> {
        self.explain_since(batch, Instant::now())
    }

    /// As [`Attachment::explain`], within the budget of a batch that was asked about at that time.
    pub fn explain_since(&self, batch: PackedBatch<'_>, since: Instant) -> Vec<String> {
        if batch.is_empty() || self.module.info().world != World::Filter {
            return Vec::new();
        }
        let mut lease = self.pool.lease();
        let explained = lease.instance(self.pool.plan().init_time).and_then(|instance| {
            let left = self.limits.budget.saturating_sub(since.elapsed());
            instance.explain(batch.bytes(), left)
        });
        match explained {
            Ok(texts) if texts.len() == batch.len() => texts.iter().map(|text| told(text)).collect(),
            Ok(texts) => {
                let text = format!(
                    "explain returned {} texts for {} records",
                    texts.len(),
                    batch.len()
                );
                self.log.write(Level::Warn, Source::Host, &text);
                Vec::new()
            }
            Err(failure) => {
                lease.discard();
                self.note(&failure);
                Vec::new()
            }
        }
    }

    /// What it has done.
    pub fn numbers(&self) -> Numbers {
        let breaker = self.breaker.lock().state();
        self.counters
            .numbers(self.pool.instances(), self.memory.load(Relaxed), breaker)
    }

    /// Writes a line of the host's to its log, for whoever looks for the reasons of what it does.
    pub fn remark(&self, text: &str) {
        self.log.write(Level::Debug, Source::Host, text);
    }

    /// What it has said, and what the host has to say about it.
    pub fn log(&self) -> &PluginLog {
        &self.log
    }

    fn run(&self, records: usize, world: World, mut kind: impl Kind) {
        let counters = &self.counters;
        counters.records.fetch_add(records as u64, Relaxed);
        counters.batches.fetch_add(1, Relaxed);
        if records == 0 {
            return;
        }
        if self.module.info().world != world {
            let failure = Failure::new(Cause::Start, format!("the plugin is no {world}"));
            return kind.fail(0..records, &failure);
        }
        let Some(admission) = self.breaker.lock().admit(Instant::now()) else {
            counters.refused_batches.fetch_add(1, Relaxed);
            let text = "the plugin has failed too often and is not asked for a while";
            return kind.fail(0..records, &Failure::new(Cause::BreakerOpen, text));
        };
        let outcome = self.ask(records, &mut kind);
        self.settle_breaker(admission, outcome, records);
    }

    fn ask(&self, records: usize, kind: &mut impl Kind) -> Outcome {
        let mut lease = self.pool.lease();
        // Making the first instance is not the batch's fault.
        if let Err(failure) = lease.instance(self.pool.plan().init_time) {
            self.counters.failed_call(failure.cause());
            self.note(&failure);
            kind.fail(0..records, &failure);
            return Outcome {
                failed: records,
                is_unresolved: false,
            };
        }
        let start = Instant::now();
        let mut asking = Asking {
            attachment: self,
            lease,
            kind,
            told: None,
        };
        let outcome = settle(records, self.limits.budget, Instant::now, &mut asking);
        self.counters.took(records, start.elapsed());
        outcome
    }

    fn settle_breaker(&self, admission: Admission, outcome: Outcome, records: usize) {
        let is_bad = outcome.is_unresolved || outcome.failed * 2 >= records;
        let opened = self.breaker.lock().settle(admission, Instant::now(), is_bad);
        if opened {
            self.counters.breaker_openings.fetch_add(1, Relaxed);
            let text =
                "the plugin keeps failing: it is left alone for a while and every record fails at once";
            self.log.write(Level::Error, Source::Host, text);
        }
    }

    fn note(&self, failure: &Failure) {
        self.log.write(
            Level::Error,
            Source::Host,
            &format!("{failure}\n{}", failure.detail()),
        );
    }
}

fn add_all<const N: usize>(counters: [&AtomicU64; N], counts: [u64; N]) {
    for (counter, count) in counters.into_iter().zip(counts) {
        if count > 0 {
            counter.fetch_add(count, Relaxed);
        }
    }
}

/// A batch that a plugin is asked about.
struct Asking<'a, K> {
    attachment: &'a Attachment,
    lease: Lease<'a>,
    kind: &'a mut K,
    /// What was told last: one failure of many records is one to the reader of the log.
    told: Option<Failure>,
}

impl<K: Kind> Asking<'_, K> {
    fn call(&mut self, records: &Range<usize>, allowed: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        let instance = self.lease.instance(allowed)?;
        let left = allowed.saturating_sub(start.elapsed());
        self.attachment.counters.calls.fetch_add(1, Relaxed);
        let answer = instance.ask(K::NAME, self.kind.part(records), left)?;
        self.kind.take(records, answer)
    }
}

impl<K: Kind> Asked for Asking<'_, K> {
    fn ask(&mut self, records: Range<usize>, allowed: Duration) -> Result<(), Failure> {
        let asked = self.call(&records, allowed);
        if let Err(failure) = &asked {
            self.lease.discard();
            self.attachment.counters.failed_call(failure.cause());
        }
        asked
    }

    fn fail(&mut self, records: Range<usize>, failure: &Failure) {
        if self.told.as_ref() != Some(failure) {
            self.attachment.note(failure);
            self.told = Some(failure.clone());
        }
        self.kind.fail(records, failure);
    }
}
