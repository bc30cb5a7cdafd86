//! Attaching modules, trying other versions of them, and going back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{Rejection, State};
use super::{Asked, AttachmentChange, NewAttachment, PluginOutcome, PluginRegistry, PluginRejection};
use crate::StreamName;
use crate::plugin::{
    Attachment, AttachmentId, Canary, CanaryMode, ErrorHandling, ErrorPolicy, ModuleName, PluginAction,
    PluginEvent, PluginLimits, Side, Variant,
};

pub(super) fn attach(
    state: &mut State,
    wanted: &NewAttachment,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let NewAttachment { stream, side, .. } = wanted;
    check_stream(state, stream)?;
    check_variant(&state.plugins, &wanted.module, *side, &wanted.variant)?;
    check_errors(state, stream, *side, &wanted.on_error)?;
    check_limits(&wanted.limits)?;
    check_room(&state.plugins, stream)?;
    check_settings_room(&state.plugins, &wanted.variant)?;
    let number = state.plugins.last_attachment.checked_add(1);
    let number = number.ok_or_else(|| PluginRejection::too_many("attachments ever", usize::MAX))?;
    let entry = Attachment {
        id: AttachmentId::new(number),
        stream: stream.clone(),
        side: *side,
        order: wanted.order,
        module: wanted.module.clone(),
        active: wanted.variant.clone(),
        previous: None,
        canary: None,
        on_error: wanted.on_error.clone(),
        limits: wanted.limits,
        debug: wanted.debug,
        revision: asked.index,
        attached: asked.at,
        history: Vec::new(),
    };
    Arc::make_mut(&mut state.plugins).last_attachment = number;
    Ok(put(state, entry, PluginAction::Attached, asked))
}

pub(super) fn detach(
    state: &mut State,
    id: AttachmentId,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let mut entry = find(state, id)?;
    note(state, &mut entry, PluginAction::Detached, asked);
    let entry = Arc::new(entry);
    Arc::make_mut(&mut state.plugins).attachments.remove(&id);
    Ok(PluginOutcome::Detached(entry))
}

pub(super) fn change(
    state: &mut State,
    id: AttachmentId,
    change: &AttachmentChange,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let before = find(state, id)?;
    let mut entry = before.clone();
    if let Some(variant) = change
        .variant
        .as_ref()
        .filter(|variant| **variant != before.active)
    {
        refuse_canary(&before)?;
        check_variant(&state.plugins, &entry.module, entry.side, variant)?;
        check_settings_room(&state.plugins, variant)?;
        entry.previous = Some(std::mem::replace(&mut entry.active, variant.clone()));
    }
    if let Some(on_error) = &change.on_error {
        check_errors(state, &entry.stream, entry.side, on_error)?;
        entry.on_error = on_error.clone();
    }
    if let Some(limits) = change.limits {
        check_limits(&limits)?;
        entry.limits = limits;
    }
    entry.order = change.order.unwrap_or(entry.order);
    entry.debug = change.debug.unwrap_or(entry.debug);
    if entry == before {
        return Ok(PluginOutcome::Attached(Arc::new(before)));
    }
    Ok(put(state, entry, PluginAction::Changed, asked))
}

pub(super) fn start_canary(
    state: &mut State,
    id: AttachmentId,
    (candidate, mode): (&Variant, CanaryMode),
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let mut entry = find(state, id)?;
    refuse_canary(&entry)?;
    if matches!(mode, CanaryMode::Percent(0 | 100..)) {
        let rule = "1 to 99 percent of the batches; promote makes it all of them";
        return Err(PluginRejection::invalid("a canary", rule).into());
    }
    if *candidate == entry.active {
        let rule = "another version or other settings than the active ones";
        return Err(PluginRejection::invalid("a canary", rule).into());
    }
    check_variant(&state.plugins, &entry.module, entry.side, candidate)?;
    check_settings_room(&state.plugins, candidate)?;
    entry.canary = Some(Canary {
        candidate: candidate.clone(),
        mode,
        since: asked.at,
    });
    Ok(put(state, entry, PluginAction::CanaryStarted, asked))
}

pub(super) fn promote(
    state: &mut State,
    id: AttachmentId,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let mut entry = find(state, id)?;
    let Some(canary) = entry.canary.take() else {
        return Err(PluginRejection::NoCanary { attachment: id }.into());
    };
    entry.previous = Some(std::mem::replace(&mut entry.active, canary.candidate));
    Ok(put(state, entry, PluginAction::Promoted, asked))
}

/// Nothing is left to go back to after it: a second one, asked for in haste, does not bring back what was taken back.
pub(super) fn roll_back(
    state: &mut State,
    id: AttachmentId,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let mut entry = find(state, id)?;
    if entry.canary.take().is_some() {
        return Ok(put(state, entry, PluginAction::CanaryWithdrawn, asked));
    }
    let Some(previous) = entry.previous.take() else {
        return Err(PluginRejection::NothingBefore { attachment: id }.into());
    };
    entry.active = previous;
    Ok(put(state, entry, PluginAction::RolledBack, asked))
}

fn find(state: &State, id: AttachmentId) -> Result<Attachment, PluginRejection> {
    let missing = PluginRejection::NoSuchAttachment { attachment: id };
    state
        .plugins
        .attachment(id)
        .map(|entry| Attachment::clone(entry))
        .ok_or(missing)
}

fn put(state: &mut State, mut entry: Attachment, action: PluginAction, asked: &Asked<'_>) -> PluginOutcome {
    entry.revision = asked.index;
    note(state, &mut entry, action, asked);
    let entry = Arc::new(entry);
    let registry = Arc::make_mut(&mut state.plugins);
    registry.attachments.insert(entry.id, Arc::clone(&entry));
    PluginOutcome::Attached(entry)
}

/// Notes what is done in the histories of the attachment and of its module.
fn note(state: &mut State, entry: &mut Attachment, action: PluginAction, asked: &Asked<'_>) {
    let about = entry
        .canary
        .as_ref()
        .map_or(&entry.active, |canary| &canary.candidate);
    let event = PluginEvent {
        version: Some(about.version),
        attachment: Some(entry.id),
        stream: Some(entry.stream.clone()),
        ..asked.event(action)
    };
    event.clone().note_in(&mut entry.history);
    let registry = Arc::make_mut(&mut state.plugins);
    if let Some(module) = registry.modules.get_mut(&entry.module) {
        event.note_in(&mut Arc::make_mut(module).history);
    }
}

fn refuse_canary(entry: &Attachment) -> Result<(), PluginRejection> {
    match &entry.canary {
        None => Ok(()),
        Some(canary) => Err(PluginRejection::CanaryRuns {
            attachment: entry.id,
            version: canary.candidate.version,
        }),
    }
}

fn check_stream(state: &State, stream: &StreamName) -> Result<(), Rejection> {
    let name = stream.clone();
    if stream.is_reserved() {
        return Err(Rejection::ReservedName { name });
    }
    match state.stream(stream.as_str()) {
        Some(_) => Ok(()),
        None => Err(Rejection::NoSuchStream { name }),
    }
}

fn check_variant(
    registry: &PluginRegistry,
    name: &ModuleName,
    side: Side,
    variant: &Variant,
) -> Result<(), PluginRejection> {
    let module = registry
        .module(name.as_str())
        .filter(|module| !module.versions.is_empty());
    let module = module.ok_or_else(|| PluginRejection::NoSuchModule { name: name.clone() })?;
    let Some(version) = module.version(variant.version) else {
        return Err(PluginRejection::NoSuchVersion {
            name: name.clone(),
            version: variant.version,
        });
    };
    if !version.facts.world.suits(side) {
        return Err(PluginRejection::WrongWorld {
            name: name.clone(),
            version: variant.version,
            world: version.facts.world,
            side,
        });
    }
    if variant.settings.len() > Variant::MAX_SETTINGS_BYTES {
        let rule = format!("at most {} bytes", Variant::MAX_SETTINGS_BYTES);
        return Err(PluginRejection::invalid("the settings of a plugin", rule));
    }
    Ok(())
}

fn check_errors(
    state: &State,
    stream: &StreamName,
    side: Side,
    on_error: &ErrorHandling,
) -> Result<(), Rejection> {
    let invalid = |rule: &str| Err(PluginRejection::invalid("the stream for dead letters", rule).into());
    match &on_error.dead_letters {
        None if on_error.policy == ErrorPolicy::DeadLetter => invalid("named for the policy dead-letter"),
        None => Ok(()),
        // Every subscriber would make its own.
        Some(_) if side == Side::Read => invalid("left out on the read side, which has no dead letters"),
        Some(target) if target == stream => invalid("another one than the stream itself"),
        // Streams of a circle would wait for each other.
        Some(target) if letters_reach(&state.plugins, target, stream) => {
            invalid("one whose own dead letters do not come back to the stream")
        }
        Some(target) => check_stream(state, target),
    }
}

/// Whether dead letters of `from` go to `to`, at once or over other streams.
fn letters_reach(registry: &PluginRegistry, from: &StreamName, to: &StreamName) -> bool {
    let (mut known, mut open) = (BTreeSet::from([from.clone()]), vec![from.clone()]);
    while let Some(stream) = open.pop() {
        let targets = registry
            .attachments_of(&stream)
            .filter_map(|entry| entry.on_error.dead_letters.as_ref());
        open.extend(targets.filter(|target| known.insert((*target).clone())).cloned());
    }
    known.contains(to)
}

fn check_limits(limits: &PluginLimits) -> Result<(), PluginRejection> {
    let memory = PluginLimits::MIN_MEMORY_BYTES..=PluginLimits::MAX_MEMORY_BYTES;
    if limits.memory_bytes.is_some_and(|bytes| !memory.contains(&bytes)) {
        let rule = format!("{} to {} bytes", memory.start(), memory.end());
        return Err(PluginRejection::invalid("the memory of a plugin", rule));
    }
    let budget = PluginLimits::MIN_BUDGET_MS..=PluginLimits::MAX_BUDGET_MS;
    if limits.budget_ms.is_some_and(|ms| !budget.contains(&ms)) {
        let rule = format!("{} to {} ms", budget.start(), budget.end());
        return Err(PluginRejection::invalid("the time for a batch", rule));
    }
    Ok(())
}

fn check_room(registry: &PluginRegistry, stream: &StreamName) -> Result<(), PluginRejection> {
    if registry.attachments_of(stream).count() >= Attachment::MAX_PER_STREAM {
        return Err(PluginRejection::too_many(
            "attachments of a stream",
            Attachment::MAX_PER_STREAM,
        ));
    }
    if registry.attachments.len() >= PluginRegistry::MAX_ATTACHMENTS {
        return Err(PluginRejection::too_many(
            "attachments in a cluster",
            PluginRegistry::MAX_ATTACHMENTS,
        ));
    }
    Ok(())
}

fn check_settings_room(registry: &PluginRegistry, more: &Variant) -> Result<(), PluginRejection> {
    if registry.settings_bytes() + more.settings.len() > PluginRegistry::MAX_SETTINGS_BYTES {
        let what = "bytes of settings of all attachments together";
        return Err(PluginRejection::too_many(
            what,
            PluginRegistry::MAX_SETTINGS_BYTES,
        ));
    }
    Ok(())
}
