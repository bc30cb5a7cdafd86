//! What a plugin costs, measured beside what it is compared with.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use serde_json::json;
use strandline_core::record::RecordIter;
use strandline_plugins::{AttachOptions, Attachment, Limits, Origin, Packer, World, best_of, measure};

use super::build::describe_needs;
use super::component::Component;
use crate::config::show_duration;
use crate::exit::Failure;

/// A core module that passes everything; `accept_all.wat` beside it is its text.
const ACCEPT_ALL: &[u8] = include_bytes!("accept_all.wasm");
/// How long each thing is measured, five times.
const RUN: Duration = Duration::from_millis(100);

/// What a plugin is asked.
pub(super) struct Work<'a> {
    pub(super) settings: &'a str,
    /// Records as a broker stores them.
    pub(super) stored: BytesMut,
    /// Most records of a batch.
    pub(super) batch: usize,
    /// Time for a batch.
    pub(super) budget: Duration,
}

/// What was measured; times a record are in nanoseconds.
pub(super) struct Figures {
    name: String,
    world: World,
    needs: String,
    records: usize,
    packed_bytes: usize,
    copy: f64,
    pack: f64,
    accept_all: f64,
    plugin: f64,
    budget: Duration,
    failed: u64,
    memory_bytes: u64,
    compiled: Duration,
    from_cache: Duration,
    first_instance: Duration,
}

impl Figures {
    /// Measures a component and what it is compared with.
    ///
    /// # Errors
    ///
    /// It does not take the settings.
    pub(super) fn measure(component: &Component, work: &Work<'_>) -> Result<Self, Failure> {
        let (compiled, from_cache) = loading(component)?;
        let started = Instant::now();
        let attachment = attach(component, work.settings, work.budget)?;
        let first_instance = started.elapsed();
        let accept_all = accept_all()?;
        let accept_all = attach(&accept_all, "", work.budget)?;
        let needs = attachment.needs();
        let pack = |packer: &mut Packer| {
            packer.begin(needs, work.batch);
            RecordIter::new(&work.stored).all(|record| packer.push(&record));
        };
        let (mut packer, mut copy) = (Packer::new(), Vec::new());
        pack(&mut packer);
        let packed = packer.batch();
        let copy = best_of(packed.len(), RUN, || {
            copy.clear();
            copy.extend_from_slice(black_box(packed.bytes()));
            black_box(&copy);
        });
        let floor = measure(&accept_all, RUN, pack);
        let cost = measure(&attachment, RUN, pack);
        let numbers = attachment.numbers();
        Ok(Self {
            name: component.name().to_owned(),
            world: component.world(),
            needs: describe_needs(needs),
            records: packed.len(),
            packed_bytes: packed.bytes().len(),
            copy,
            pack: floor.packing.min(cost.packing),
            accept_all: floor.asking(),
            plugin: cost.asking(),
            budget: work.budget,
            failed: numbers.failed * 100 / numbers.records.max(1),
            memory_bytes: numbers.memory_bytes / numbers.instances.max(1),
            compiled,
            from_cache,
            first_instance,
        })
    }

    /// Time of a batch, packing included.
    fn batch_nanos(&self) -> f64 {
        (self.pack + self.plugin) * self.records as f64
    }

    fn share(&self) -> f64 {
        self.batch_nanos() / self.budget.as_nanos() as f64
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self {
            name,
            world,
            records,
            needs,
            ..
        } = self;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let mut text = format!(
            "{name}, a {world}, needs {needs}; batches of {records} records in {} bytes, best of 5 runs\n\n",
            self.packed_bytes
        );
        for (what, nanos, means) in [
            ("copy", self.copy, "the packed records, copied natively"),
            ("pack", self.pack, "records packed as the plugin needs them"),
            (
                "accept-all",
                self.accept_all,
                "a call of a plugin that only says pass",
            ),
            (name.as_str(), self.plugin, "a call of this plugin"),
        ] {
            let _ = writeln!(text, "{what:20} {nanos:9.1} ns a record   {means}");
        }
        let _ = writeln!(
            text,
            "\na batch              {:9.3} ms, {:.2} % of its budget of {}",
            self.batch_nanos() / 1e6,
            self.share() * 100.0,
            show_duration(self.budget)
        );
        let _ = writeln!(
            text,
            "memory               {:9.2} MiB an instance",
            self.memory_bytes as f64 / f64::from(1 << 20)
        );
        let _ = writeln!(
            text,
            "start                {:9.1} ms to compile once, {:.2} ms from the cache, {:.2} ms for the first instance",
            millis(self.compiled),
            millis(self.from_cache),
            millis(self.first_instance)
        );
        if self.failed > 0 {
            let _ = writeln!(
                text,
                "\nit failed on {} % of the records: `strandline plugin test` shows why",
                self.failed
            );
        }
        text
    }

    /// One JSON object.
    pub(super) fn json(&self) -> String {
        let object = json!({
            "plugin": self.name,
            "world": self.world.to_string(),
            "needs": self.needs,
            "batch_records": self.records,
            "batch_bytes": self.packed_bytes,
            "nanos_a_record": {
                "copy": self.copy,
                "pack": self.pack,
                "accept_all": self.accept_all,
                "plugin": self.plugin,
            },
            "batch_nanos": self.batch_nanos(),
            "budget_share": self.share(),
            "failed_percent": self.failed,
            "memory_bytes": self.memory_bytes,
            "compile_seconds": self.compiled.as_secs_f64(),
            "cached_seconds": self.from_cache.as_secs_f64(),
            "first_instance_seconds": self.first_instance.as_secs_f64(),
        });
        format!("{object}\n")
    }
}

/// How long a component takes to be compiled, and to be read back.
fn loading(component: &Component) -> Result<(Duration, Duration), Failure> {
    let dir = tempfile::tempdir()
        .map_err(|error| Failure::new(format!("cannot make a temporary directory: {error}")))?;
    let took = |component: Component| match component.module().origin() {
        Origin::Compiled(time) | Origin::Cache(time) => time,
        Origin::Memory => Duration::ZERO,
    };
    Ok((
        took(component.cached(dir.path())?),
        took(component.cached(dir.path())?),
    ))
}

fn accept_all() -> Result<Component, Failure> {
    let made = strandline_componentize::componentize(ACCEPT_ALL);
    let made =
        made.map_err(|error| Failure::new(format!("the plugin to compare with is broken: {error}")))?;
    Component::named("accept-all", made)
}

fn attach(component: &Component, settings: &str, budget: Duration) -> Result<Attachment, Failure> {
    let options = AttachOptions {
        settings: settings.to_owned(),
        limits: Limits {
            budget,
            ..Limits::default()
        },
        ..AttachOptions::new(component.world())
    };
    let attached = component.host().attach(component.module(), options);
    attached.map_err(|error| Failure::new(format!("{}: {error}", component.name())))
}

#[cfg(test)]
mod tests {
    use strandline_plugins::{Judgement, Needs, Parts, Verdict};

    use super::*;

    #[test]
    fn the_plugin_to_compare_with_is_made_of_its_text_and_passes_everything() {
        assert_eq!(
            wat::parse_str(include_str!("accept_all.wat")).unwrap(),
            ACCEPT_ALL
        );
        let attachment = attach(&accept_all().unwrap(), "", Duration::from_secs(1)).unwrap();
        let (mut packer, mut out) = (Packer::new(), Judgement::new());
        packer.begin(Needs::ALL, 10);
        for value in [&b""[..], b"a", &[b'v'; 100_000]] {
            assert!(packer.push_parts(&Parts {
                key: None,
                subject: b"s",
                headers: &[],
                value,
            }));
        }
        attachment.judge(packer.batch(), &mut out);
        assert_eq!(out.verdicts().collect::<Vec<_>>(), [Verdict::Pass; 3]);
    }
}
