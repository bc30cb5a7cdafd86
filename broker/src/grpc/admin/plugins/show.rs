//! Plugins as the administration shows them.

use std::time::Duration;

use strandline_core::plugin::{
    Attachment, CanaryMode, ErrorPolicy, ModuleVersion, PluginEvent, PluginModule, Side, Variant,
};
use strandline_plugins::{BreakerState, HISTOGRAM_BOUNDS, LogLine, LogPage, Numbers};
use strandline_proto::admin;
use strandline_proto::admin::canary_mode::{Kind, Shadow};

use crate::context::Context;

pub(super) fn plugin(module: &PluginModule) -> admin::Plugin {
    admin::Plugin {
        name: module.name.to_string(),
        versions: module.versions.iter().map(version).collect(),
    }
}

pub(super) fn version(version: &ModuleVersion) -> admin::PluginVersion {
    let facts = &version.facts;
    admin::PluginVersion {
        number: version.number,
        sha256: facts.sha256.bytes().to_vec().into(),
        size: facts.bytes,
        world: facts.world.to_string(),
        contract: facts.contract.to_string(),
        imports: facts.imports.clone(),
        pushed: version.pushed.nanos(),
        pushed_by: version.pushed_by.clone(),
    }
}

pub(super) fn event(event: &PluginEvent) -> admin::PluginEvent {
    admin::PluginEvent {
        at: event.at.nanos(),
        by: event.by.clone(),
        action: event.action.word().to_owned(),
        version: event.version.unwrap_or_default(),
        attachment: event.attachment.map_or(0, |id| id.get()),
        stream: event.stream.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// An attachment as the metadata knows it, and whether it works here.
pub(super) fn attachment(context: &Context, entry: &Attachment) -> admin::Attachment {
    // One that is detached is as it was.
    let is_there = context.metadata.state().plugins().attachment(entry.id).is_some();
    let problem = context.plugins.link(entry).err().filter(|_| is_there);
    admin::Attachment {
        id: entry.id.get(),
        stream: entry.stream.to_string(),
        side: side(entry.side).into(),
        order: entry.order,
        plugin: entry.module.to_string(),
        active: Some(variant(&entry.active)),
        previous: entry.previous.as_ref().map(variant),
        canary: entry.canary.as_ref().map(|canary| admin::Canary {
            candidate: Some(variant(&canary.candidate)),
            mode: Some(mode(canary.mode)),
            since: canary.since.nanos(),
        }),
        on_error: Some(admin::PluginErrorHandling {
            policy: policy(entry.on_error.policy).into(),
            dead_letters: entry
                .on_error
                .dead_letters
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }),
        limits: Some(admin::PluginLimits {
            memory_bytes: entry.limits.memory_bytes.unwrap_or_default(),
            budget_ms: entry.limits.budget_ms.unwrap_or_default(),
        }),
        debug: entry.debug,
        attached: entry.attached.nanos(),
        problem: problem
            .map(|problem| problem.reason.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn log(page: LogPage) -> admin::ReadPluginLogResponse {
    let line = |line: LogLine| admin::PluginLogLine {
        number: line.number,
        time: line.time.nanos(),
        level: line.level.to_string(),
        source: line.source.to_string(),
        text: line.text,
        left_out: line.left_out,
    };
    admin::ReadPluginLogResponse {
        lines: page.lines.into_iter().map(line).collect(),
        gone: page.gone,
    }
}

fn variant(variant: &Variant) -> admin::PluginVariant {
    admin::PluginVariant {
        version: variant.version,
        settings: variant.settings.clone(),
    }
}

fn mode(mode: CanaryMode) -> admin::CanaryMode {
    admin::CanaryMode {
        kind: Some(match mode {
            CanaryMode::Percent(percent) => Kind::Percent(percent.into()),
            CanaryMode::Shadow => Kind::Shadow(Shadow {}),
        }),
    }
}

fn side(side: Side) -> admin::PluginSide {
    match side {
        Side::Write => admin::PluginSide::Write,
        Side::Key => admin::PluginSide::Key,
        Side::Read => admin::PluginSide::Read,
    }
}

fn policy(policy: ErrorPolicy) -> admin::PluginErrorPolicy {
    match policy {
        ErrorPolicy::Fail => admin::PluginErrorPolicy::Fail,
        ErrorPolicy::Drop => admin::PluginErrorPolicy::Drop,
        ErrorPolicy::Pass => admin::PluginErrorPolicy::Pass,
        ErrorPolicy::DeadLetter => admin::PluginErrorPolicy::DeadLetter,
    }
}

pub(super) fn numbers(numbers: &Numbers) -> admin::PluginNumbers {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let bounds = HISTOGRAM_BOUNDS.map(nanos).into_iter().chain([0]);
    let times = bounds.zip(numbers.histogram);
    admin::PluginNumbers {
        records: numbers.records,
        passed: numbers.passed,
        dropped: numbers.dropped,
        dead_lettered: numbers.dead_lettered,
        keyed: numbers.keyed,
        keyless: numbers.keyless,
        failed: numbers.failed,
        batches: numbers.batches,
        calls: numbers.calls,
        traps: numbers.traps,
        deadlines: numbers.deadlines,
        memory_failures: numbers.memory_failures,
        malformed: numbers.malformed,
        failed_starts: numbers.failed_starts,
        refused_batches: numbers.refused_batches,
        breaker_openings: numbers.breaker_openings,
        time: nanos(numbers.time),
        times: times
            .map(|(upto, batches)| admin::PluginTimeBucket { upto, batches })
            .collect(),
        instances: u32::try_from(numbers.instances).unwrap_or(u32::MAX),
        memory_bytes: numbers.memory_bytes,
        breaker: breaker(numbers.breaker).to_owned(),
    }
}

fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half-open",
    }
}
