//! From the values of settings to what a broker and its process are told.

use std::path::PathBuf;
use std::time::Duration;

use strandline_broker::Settings;
use strandline_broker::settings::{
    CompactionLimits, NatsMode, PackingDefaults, PluginSettings, RetentionDefaults, Scrubbing,
};
use strandline_core::BrokerId;
use strandline_core::compaction::CompactionSettings;
use strandline_core::plugin::PluginLimits;
use strandline_core::retention::RetentionLimits;
use strandline_core::storage::{Backend, Durability, LogSettings};
use strandline_core::stream::{CompactionDefaults, StreamCompaction};

use super::addresses::addresses;
use super::admin;
use super::archive;
use super::data_dir::Account;
use super::embedded_nats;
use super::nats_mode::{self, Invocation};
use super::problem::{Problem, Problems};
use super::values::Values;
use super::{effects, grpc_tls, listeners, master_keys, mount};

/// A configuration without contradictions.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What the broker is told.
    pub(crate) settings: Settings,
    /// What is logged, and how.
    pub(crate) logging: Logging,
    /// Threads of the runtime; 0 = as many as fit the machine.
    pub(crate) workers: usize,
    /// File that says that clients are served.
    pub(crate) ready_file: Option<PathBuf>,
    /// What should be said at start.
    pub(crate) notices: Vec<String>,
    /// The values that it was made of.
    pub(crate) values: Values,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logging {
    /// Least level.
    pub(crate) level: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
    /// The recovery of the metadata in detail.
    pub(crate) recovery: bool,
    /// The consensus library below warnings.
    pub(crate) raft: bool,
    /// The embedded NATS server below warnings.
    pub(crate) nats: bool,
}

/// Checks the values against each other and reads the files that they name.
///
/// # Errors
///
/// Everything that is wrong, at once.
pub(crate) fn resolve(
    mut values: Values,
    invocation: Invocation,
    account: &Account,
    mut problems: Problems,
) -> Result<Config, Problems> {
    let mut notices = effects::check(&values, &mut problems);
    let mount = mount::mount(&values, &mut problems);
    let data_dir = match &mount {
        Some(_) => mount::directory(&values),
        None => data_dir(&mut values, account, &mut problems),
    };
    let addresses = addresses(&values, &mut problems, &mut notices);
    let grpc_tls = grpc_tls::grpc_tls(&values, &mut problems);
    let nats = nats(&values, invocation, &mut problems, &mut notices);
    let admin_token = admin::token(&values, &addresses.listen, &mut problems, &mut notices);
    let master_keys = master_keys::master_keys(&values, &mut problems, &mut notices);
    let settings = Settings {
        listen: addresses.listen,
        advertise: addresses.advertise,
        data_dir,
        namespace: values
            .text("clustering.namespace")
            .unwrap_or(Settings::DEFAULT_NAMESPACE)
            .to_owned(),
        server_id: server_id(&values, &mut problems),
        grpc_tls,
        nats,
        http_listen: values.address("http.listen").cloned(),
        metrics_per_partition: values.bool("metrics.per.partition").unwrap_or_default(),
        backend: backend(&values, &mut problems),
        max_open_files: whole(&values, "storage.open.files").unwrap_or(Settings::DEFAULT_MAX_OPEN_FILES),
        batch_max_messages: whole(&values, "batch.max.messages")
            .unwrap_or(Settings::DEFAULT_BATCH_MAX_MESSAGES),
        batch_max_bytes: whole(&values, "batch.max.bytes").unwrap_or(Settings::DEFAULT_BATCH_MAX_BYTES),
        max_message_bytes: whole(&values, "clustering.replication.max.bytes")
            .unwrap_or(Settings::DEFAULT_MAX_MESSAGE_BYTES),
        retention: retention(&values),
        compaction: compaction(&values),
        compaction_limits: CompactionLimits {
            memory_max_bytes: whole(&values, "compaction.memory.max")
                .unwrap_or(CompactionLimits::DEFAULT_MEMORY_MAX_BYTES),
            max_rate: whole(&values, "compaction.rate.max").unwrap_or_default(),
        },
        scrubbing: scrubbing(&values),
        plugins: plugins(&values, &mut problems),
        stream_defaults: stream_defaults(&values),
        concurrency_control: values.bool("streams.concurrency.control").unwrap_or_default(),
        admin_token,
        cursors_partitions: whole(&values, "cursors.stream.partitions").unwrap_or_default(),
        packing: packing(&values),
        archive: archive::archive(&values, &mut problems),
        mount,
        master_keys,
    };
    listeners::check(&settings, &values, &mut problems);
    problems.none_or()?;
    Ok(Config {
        settings,
        logging: logging(&values),
        workers: whole(&values, "runtime.workers").unwrap_or_default(),
        ready_file: values.path("ready.file"),
        notices,
        values,
    })
}

fn data_dir(values: &mut Values, account: &Account, problems: &mut Problems) -> PathBuf {
    if let Some(set) = values.path("data.dir") {
        return set;
    }
    let Some(default) = account.default_data_dir() else {
        problems.push(Problem::NoDataDirectory);
        return PathBuf::new();
    };
    values.show_default("data.dir", default.display().to_string());
    default
}

fn nats(
    values: &Values,
    invocation: Invocation,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) -> NatsMode {
    if nats_mode::is_embedded(values, invocation, problems, notices) {
        NatsMode::Embedded(Box::new(embedded_nats::options(values, problems)))
    } else {
        NatsMode::External(nats_mode::external(values, problems))
    }
}

fn server_id(values: &Values, problems: &mut Problems) -> Option<BrokerId> {
    let id = values.text("clustering.server.id")?;
    BrokerId::new(id)
        .map_err(|error| {
            problems.push(Problem::Invalid {
                origin: values.origin("clustering.server.id"),
                key: "clustering.server.id",
                reason: error.to_string(),
            });
        })
        .ok()
}

/// The storage engine of new streams.
fn backend(values: &Values, problems: &mut Problems) -> Backend {
    let backend = values.text("storage.backend").and_then(Backend::of_name);
    let backend = backend.unwrap_or_default();
    if backend == Backend::Redb && values.text("streams.durability") == Some("os") {
        problems.push(Problem::Contradiction {
            key: "storage.backend",
            origin: values.origin("storage.backend"),
            other_key: "streams.durability",
            other_origin: values.origin("streams.durability"),
            reason: "redb has no durability os, it always syncs; remove one of the two".to_owned(),
        });
    }
    backend
}

fn retention(values: &Values) -> RetentionDefaults {
    let limit = |name| {
        values
            .integer(name)
            .and_then(|limit| u64::try_from(limit).ok())
            .filter(|&limit| limit > 0)
    };
    RetentionDefaults {
        limits: RetentionLimits {
            max_bytes: limit("streams.retention.max.bytes"),
            max_records: limit("streams.retention.max.messages"),
            max_age: values
                .duration("streams.retention.max.age")
                .filter(|age| !age.is_zero()),
        },
        interval: values
            .duration("streams.cleaner.interval")
            .unwrap_or(RetentionDefaults::DEFAULT_INTERVAL),
    }
}

fn scrubbing(values: &Values) -> Scrubbing {
    Scrubbing {
        interval: values
            .duration("storage.scrub.interval")
            .unwrap_or(Scrubbing::DEFAULT_INTERVAL),
        max_rate: whole(values, "storage.scrub.rate.max").unwrap_or(Scrubbing::DEFAULT_MAX_RATE),
    }
}

fn plugins(values: &Values, problems: &mut Problems) -> PluginSettings {
    const BUDGET: &str = "plugins.batch.budget";
    let defaults = PluginSettings::default();
    let batch_budget = values.duration(BUDGET).unwrap_or(defaults.batch_budget);
    if batch_budget > Duration::from_millis(PluginLimits::MAX_BUDGET_MS.into()) {
        problems.push(Problem::Invalid {
            origin: values.origin(BUDGET),
            key: BUDGET,
            reason: "takes at most 1m: a batch holds up the records behind it".to_owned(),
        });
    }
    PluginSettings {
        module_max_bytes: whole(values, "plugins.module.max.bytes").unwrap_or(defaults.module_max_bytes),
        memory_max_bytes: whole(values, "plugins.memory.max").unwrap_or(defaults.memory_max_bytes),
        batch_budget,
        cache_max_bytes: whole(values, "plugins.cache.max.bytes").unwrap_or(defaults.cache_max_bytes),
        idle_memory_max_bytes: whole(values, "plugins.idle.memory.max")
            .unwrap_or(defaults.idle_memory_max_bytes),
    }
}

fn compaction(values: &Values) -> CompactionDefaults {
    let server = StreamCompaction::default();
    let settings = CompactionSettings {
        tombstone_grace: values
            .duration("streams.compact.tombstone.grace")
            .unwrap_or(server.settings.tombstone_grace),
        min_lag: values
            .duration("streams.compact.min.lag")
            .unwrap_or(server.settings.min_lag),
        min_dirty_percent: whole(values, "streams.compact.min.dirty.percent")
            .unwrap_or(server.settings.min_dirty_percent),
    };
    CompactionDefaults {
        enabled: values.bool("streams.compact.enabled").unwrap_or_default(),
        compaction: StreamCompaction {
            settings,
            max_workers: whole(values, "streams.compact.max.goroutines").unwrap_or(server.max_workers),
        },
    }
}

fn stream_defaults(values: &Values) -> LogSettings {
    /// Liftbridge's floor for the age at which a segment is sealed.
    const LEAST_AGE: Duration = Duration::from_secs(1);
    let of_retention = values
        .duration("streams.retention.max.age")
        .map(|age| if age.is_zero() { age } else { age.max(LEAST_AGE) });
    let age = values.duration("streams.segment.max.age").or(of_retention);
    LogSettings {
        durability: if values.text("streams.durability") == Some("os") {
            Durability::Os
        } else {
            Durability::Fsync
        },
        segment_max_bytes: whole(values, "streams.segment.max.bytes")
            .unwrap_or(LogSettings::DEFAULT_SEGMENT_MAX_BYTES),
        segment_max_age: age.filter(|age| !age.is_zero()),
    }
}

fn packing(values: &Values) -> PackingDefaults {
    let compression = values.text("streams.compression");
    PackingDefaults {
        compression: compression.and_then(|name| name.parse().ok()).unwrap_or_default(),
        encryption: values.bool("streams.encryption").unwrap_or_default(),
    }
}

fn logging(values: &Values) -> Logging {
    let on = |name| values.bool(name).unwrap_or_default();
    Logging {
        level: values.text("logging.level").unwrap_or("info").to_owned(),
        json: values.text("logging.format") == Some("json"),
        recovery: on("logging.recovery"),
        raft: on("logging.raft"),
        nats: on("logging.nats"),
    }
}

/// A number whose range the table has checked.
pub(super) fn whole<T: TryFrom<i64>>(values: &Values, name: &str) -> Option<T> {
    values.integer(name).and_then(|number| T::try_from(number).ok())
}

#[cfg(test)]
mod tests;
