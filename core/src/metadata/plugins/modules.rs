//! Pushing and deleting modules.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{Rejection, State};
use super::{Asked, PluginOutcome, PluginRegistry, PluginRejection};
use crate::plugin::{
    Attachment, ModuleFacts, ModuleName, ModuleVersion, PluginAction, PluginEvent, PluginModule, Sha256,
};

pub(super) fn push(
    state: &mut State,
    name: &ModuleName,
    facts: &ModuleFacts,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    check_facts(facts)?;
    let registry = Arc::make_mut(&mut state.plugins);
    if let Some(module) = registry.modules.get(name) {
        let mut same = module
            .versions
            .iter()
            .filter(|version| version.facts.sha256 == facts.sha256);
        if let Some(version) = same.next() {
            return Ok(PluginOutcome::Pushed {
                version: version.clone(),
                is_new: false,
            });
        }
    }
    check_room(registry, name)?;
    let mut module = registry
        .modules
        .get(name)
        .map_or_else(|| empty(name), |module| PluginModule::clone(module));
    let last_version = module.last_version.checked_add(1);
    module.last_version = last_version.ok_or_else(|| too_many_versions(name))?;
    let version = ModuleVersion {
        number: module.last_version,
        facts: facts.clone(),
        pushed: asked.at,
        pushed_by: asked.by.to_owned(),
    };
    module.versions.push(version.clone());
    PluginEvent {
        version: Some(version.number),
        ..asked.event(PluginAction::Pushed)
    }
    .note_in(&mut module.history);
    registry.modules.insert(name.clone(), Arc::new(module));
    // Whoever pushes has the bytes and keeps them.
    registry.removals.remove(&facts.sha256);
    Ok(PluginOutcome::Pushed {
        version,
        is_new: true,
    })
}

pub(super) fn delete(
    state: &mut State,
    name: &ModuleName,
    version: Option<u32>,
    asked: &Asked<'_>,
) -> Result<PluginOutcome, Rejection> {
    let missing = || PluginRejection::NoSuchModule { name: name.clone() };
    let module = state.plugins.module(name.as_str()).ok_or_else(missing)?;
    if module.versions.is_empty() {
        return Err(missing().into());
    }
    if let Some(version) = version.filter(|&version| module.version(version).is_none()) {
        let name = name.clone();
        return Err(PluginRejection::NoSuchVersion { name, version }.into());
    }
    let goes = |number: u32| version.is_none_or(|version| version == number);
    refuse_used(&state.plugins, name, goes)?;
    let holders: BTreeSet<_> = state.brokers.keys().cloned().collect();
    let registry = Arc::make_mut(&mut state.plugins);
    let module = registry.modules.get_mut(name).ok_or_else(missing)?;
    let module = Arc::make_mut(module);
    let (gone, kept): (Vec<_>, Vec<_>) = module
        .versions
        .drain(..)
        .partition(|version| goes(version.number));
    module.versions = kept;
    PluginEvent {
        version,
        ..asked.event(PluginAction::Deleted)
    }
    .note_in(&mut module.history);
    let sums: BTreeSet<Sha256> = gone.iter().map(|version| version.facts.sha256).collect();
    let unused: Vec<_> = sums.into_iter().filter(|sum| !registry.has_bytes(sum)).collect();
    if !holders.is_empty() {
        registry
            .removals
            .extend(unused.iter().map(|&sum| (sum, holders.clone())));
    }
    forget_oldest(registry);
    Ok(PluginOutcome::Deleted {
        versions: gone.len() as u64,
        unused,
    })
}

fn empty(name: &ModuleName) -> PluginModule {
    PluginModule {
        name: name.clone(),
        last_version: 0,
        versions: Vec::new(),
        history: Vec::new(),
    }
}

fn check_facts(facts: &ModuleFacts) -> Result<(), PluginRejection> {
    if facts.bytes == 0 {
        return Err(PluginRejection::invalid("a plugin", "more than 0 bytes long"));
    }
    let is_short = |name: &String| (1..=ModuleFacts::MAX_IMPORT_BYTES).contains(&name.len());
    if facts.imports.len() > ModuleFacts::MAX_IMPORTS || !facts.imports.iter().all(is_short) {
        let (count, bytes) = (ModuleFacts::MAX_IMPORTS, ModuleFacts::MAX_IMPORT_BYTES);
        let rule = format!("at most {count} names of 1 to {bytes} bytes");
        return Err(PluginRejection::invalid("the imports of a plugin", rule));
    }
    Ok(())
}

fn check_room(registry: &PluginRegistry, name: &ModuleName) -> Result<(), PluginRejection> {
    let versions = registry
        .module(name.as_str())
        .map_or(0, |module| module.versions.len());
    if versions == 0 && registry.modules().count() >= PluginRegistry::MAX_MODULES {
        return Err(PluginRejection::too_many(
            "plugins in a cluster",
            PluginRegistry::MAX_MODULES,
        ));
    }
    if versions >= PluginModule::MAX_VERSIONS {
        return Err(too_many_versions(name));
    }
    Ok(())
}

fn too_many_versions(name: &ModuleName) -> PluginRejection {
    let what = format!("versions of plugin {name}; delete those that are not used");
    PluginRejection::too_many(what, PluginModule::MAX_VERSIONS)
}

fn refuse_used(
    registry: &PluginRegistry,
    name: &ModuleName,
    goes: impl Fn(u32) -> bool,
) -> Result<(), PluginRejection> {
    for entry in registry.attachments().filter(|entry| entry.module == *name) {
        if let Some(variant) = entry.variants().find(|variant| goes(variant.version)) {
            return Err(PluginRejection::InUse {
                name: name.clone(),
                version: variant.version,
                attachment: entry.id,
                stream: entry.stream.clone(),
                role: role(entry, variant.version).to_owned(),
            });
        }
    }
    Ok(())
}

fn role(entry: &Attachment, version: u32) -> &'static str {
    if entry.active.version == version {
        "active"
    } else if entry
        .canary
        .as_ref()
        .is_some_and(|canary| canary.candidate.version == version)
    {
        "as its canary"
    } else {
        "a rollback would go back to it"
    }
}

/// Keeps the number of names that have no versions within its limit; the one whose last event is the oldest goes first.
fn forget_oldest(registry: &mut PluginRegistry) {
    let deleted = || {
        registry
            .modules
            .values()
            .filter(|module| module.versions.is_empty())
    };
    if deleted().count() <= PluginRegistry::MAX_MODULES {
        return;
    }
    let oldest = deleted().min_by_key(|module| module.history.last().map(|event| event.at));
    if let Some(name) = oldest.map(|module| module.name.clone()) {
        registry.modules.remove(&name);
    }
}
