//! What a start does about what a crash left.

use std::io::ErrorKind;

use strandline_core::BrokerId;
use strandline_core::disk::EntryKind;
use strandline_core::metadata::PluginRegistry;
use strandline_core::plugin::Sha256;

use super::{KNOWN, ModuleFileError, ModuleFiles, UNFINISHED, module_of};

/// What a start did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tidied {
    /// Modules that were to be removed and are gone, durably: the metadata can forget them.
    pub(crate) removed: Vec<Sha256>,
    /// Unfinished pushes that were given up.
    pub(crate) given_up: usize,
    /// Names that nothing is known of; they are left alone.
    pub(crate) strangers: Vec<String>,
}

impl ModuleFiles {
    /// Finishes what a crash interrupted, by the metadata with everything in it that was ever acknowledged, before anything new is
    /// pushed. Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed; nothing that the metadata knows was touched.
    pub(crate) fn tidy(
        &self,
        registry: &PluginRegistry,
        broker: &BrokerId,
    ) -> Result<Tidied, ModuleFileError> {
        let mut tidied = Tidied::default();
        let pending: Vec<_> = registry.pending_removals(broker).collect();
        for sum in &pending {
            self.remove(sum)?;
            tidied.removed.push(*sum);
        }
        let directory = self.directory();
        let entries = match self.disk.list(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(tidied),
            other => other.map_err(ModuleFileError::io("list", &directory))?,
        };
        for entry in entries {
            match module_of(&entry.name).filter(|_| entry.kind == EntryKind::File) {
                Some((sum, true)) if registry.has_bytes(&sum) => self.finish(&sum)?,
                Some((sum, true)) => {
                    self.give_up(&sum)?;
                    tidied.given_up += 1;
                }
                Some((sum, false)) if registry.has_bytes(&sum) => {}
                _ => tidied.strangers.push(entry.name),
            }
        }
        tidied.strangers.sort();
        Ok(tidied)
    }

    /// Settles a push whose command was applied. A file that is not whole is not what was pushed: it goes if there is another, and
    /// is left for its damage to be told if there is none.
    fn finish(&self, sum: &Sha256) -> Result<(), ModuleFileError> {
        let (unfinished, known) = (self.path(sum, UNFINISHED), self.path(sum, KNOWN));
        if self.read_file(&known, sum).is_ok() {
            return self.give_up(sum);
        }
        match self.read_file(&unfinished, sum) {
            Ok(_) => self.settle(sum),
            Err(error) => {
                tracing::error!(%error, "a plugin is damaged");
                Ok(())
            }
        }
    }
}
