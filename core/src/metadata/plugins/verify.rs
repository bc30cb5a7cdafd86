//! What holds for the plugins of every state.

use std::collections::BTreeSet;

use super::super::{InvalidState, State};
use super::PluginRegistry;
use crate::plugin::{Attachment, PluginEvent, PluginModule};

impl State {
    /// Checks what holds for every state that commands lead to.
    pub(in crate::metadata) fn verify_plugins(&self) -> Result<(), InvalidState> {
        for (name, module) in &self.plugins.modules {
            let problem = if module.name == *name {
                verify_module(module)
            } else {
                Err("filed under another name than its own")
            };
            problem.map_err(|problem| InvalidState::new(format!("plugin {name}: {problem}")))?;
        }
        for (id, entry) in &self.plugins.attachments {
            let problem = if entry.id == *id && id.get() <= self.plugins.last_attachment {
                self.verify_attachment(entry)
            } else {
                Err("it was never given")
            };
            problem.map_err(|problem| InvalidState::new(format!("attachment {id}: {problem}")))?;
        }
        verify_removals(&self.plugins).map_err(InvalidState::new)
    }

    fn verify_attachment(&self, entry: &Attachment) -> Result<(), &'static str> {
        if entry.stream.is_reserved() || self.stream(entry.stream.as_str()).is_none() {
            return Err("its stream does not exist");
        }
        if self.plugins.attachments_of(&entry.stream).count() > Attachment::MAX_PER_STREAM {
            return Err("its stream has too many");
        }
        let Some(module) = self.plugins.module(entry.module.as_str()) else {
            return Err("its plugin does not exist");
        };
        for variant in entry.variants() {
            match module.version(variant.version) {
                None => return Err("a version that it needs does not exist"),
                Some(version) if !version.facts.world.suits(entry.side) => {
                    return Err("its plugin is of another world");
                }
                Some(_) => {}
            }
        }
        let letters = entry.on_error.dead_letters.as_ref();
        if letters.is_some_and(|letters| *letters == entry.stream || self.stream(letters.as_str()).is_none())
        {
            return Err("its stream for dead letters does not exist");
        }
        if entry.history.len() > PluginEvent::MAX_KEPT {
            return Err("its history is too long");
        }
        Ok(())
    }
}

fn verify_module(module: &PluginModule) -> Result<(), &'static str> {
    let numbers: Vec<_> = module.versions.iter().map(|version| version.number).collect();
    if !numbers.is_sorted_by(|a, b| a < b) || numbers.first() == Some(&0) {
        return Err("its versions are not in order");
    }
    if numbers.last().is_some_and(|last| *last > module.last_version) {
        return Err("a version was never given");
    }
    let sums: BTreeSet<_> = module
        .versions
        .iter()
        .map(|version| version.facts.sha256)
        .collect();
    if sums.len() != module.versions.len() {
        return Err("two versions have the same bytes");
    }
    if module.versions.len() > PluginModule::MAX_VERSIONS || module.history.len() > PluginEvent::MAX_KEPT {
        return Err("it has too many versions or events");
    }
    Ok(())
}

fn verify_removals(registry: &PluginRegistry) -> Result<(), String> {
    for (sha256, holders) in &registry.removals {
        if registry.has_bytes(sha256) {
            return Err(format!("module {sha256} is in use and to be removed"));
        }
        if holders.is_empty() {
            return Err(format!("module {sha256} is to be removed from no broker"));
        }
    }
    Ok(())
}
