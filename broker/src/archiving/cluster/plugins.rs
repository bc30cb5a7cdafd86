//! Plugins and their attachments out of the bucket.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use strandline_core::metadata::{ClusterId, NewAttachment, State};
use strandline_core::plugin::{Attachment, ModuleName, ModuleVersion, Variant};
use strandline_storage_backends::tiered::Bucket;

use super::manifest::ClusterManifest;
use crate::context::Context;
use crate::plugins::sha256;
use crate::streams::describe;

/// What was restored of plugins, or would be.
#[derive(Debug, Default)]
pub(crate) struct RestoredPlugins {
    /// Versions of modules.
    pub(crate) versions: u64,
    /// Attachments to streams, with what was active in each.
    pub(crate) attachments: u64,
    /// What was not restored, and why.
    pub(crate) problems: Vec<String>,
}

impl RestoredPlugins {
    /// What this metadata has.
    pub(super) fn of(state: &State) -> Self {
        let modules = state.plugins().modules();
        Self {
            versions: modules.map(|module| module.versions.len() as u64).sum(),
            attachments: state.plugins().attachments().len() as u64,
            problems: Vec::new(),
        }
    }
}

/// Pushes every version in the order of their numbers and attaches what was active. Trials, what was active before and what
/// was done when are not restored.
pub(super) async fn restore_plugins(
    context: &Arc<Context>,
    bucket: &Bucket,
    (cluster, state): (&ClusterId, &State),
    by: &str,
) -> RestoredPlugins {
    let mut restored = RestoredPlugins::default();
    let mut numbers = HashMap::new();
    for module in state.plugins().modules() {
        for version in &module.versions {
            let name = &module.name;
            match push(context, bucket, (cluster, name, version), by).await {
                Ok(number) => {
                    numbers.insert((name.clone(), version.number), number);
                    restored.versions += 1;
                }
                Err(reason) => {
                    let number = version.number;
                    restored
                        .problems
                        .push(format!("plugin {name} version {number}: {reason}"));
                }
            }
        }
    }
    let here: HashSet<_> = attached(context);
    for entry in state.plugins().attachments() {
        // A second restore finds them.
        if here.contains(&identity(entry)) {
            continue;
        }
        match attach(context, entry, &numbers, by).await {
            Ok(()) => restored.attachments += 1,
            Err(reason) => {
                let (module, stream) = (&entry.module, &entry.stream);
                restored
                    .problems
                    .push(format!("plugin {module} on stream {stream}: {reason}"));
            }
        }
    }
    restored
}

pub(super) type Identity = (String, &'static str, i32, String);

pub(super) fn identity(entry: &Attachment) -> Identity {
    (
        entry.stream.to_string(),
        entry.side.word(),
        entry.order,
        entry.module.to_string(),
    )
}

fn attached(context: &Context) -> HashSet<Identity> {
    let state = context.metadata.state();
    state
        .plugins()
        .attachments()
        .map(|entry| identity(entry))
        .collect()
}

/// Pushes a version; the number that it has here.
async fn push(
    context: &Arc<Context>,
    bucket: &Bucket,
    (cluster, name, version): (&ClusterId, &ModuleName, &ModuleVersion),
    by: &str,
) -> Result<u32, String> {
    let sum = version.facts.sha256;
    let key = ClusterManifest::module_key(cluster, &sum);
    if version.facts.bytes > context.plugins.module_max_bytes() as u64 {
        return Err(format!("{key} is larger than plugins may be here"));
    }
    let bytes = bucket.get_range(&key, 0..version.facts.bytes).await;
    let bytes = bytes.map_err(|error| describe(&error))?;
    if sha256(&bytes) != sum {
        return Err(format!("{key} is damaged: its bytes have another sum"));
    }
    let pushed = Arc::clone(&context.plugins)
        .push(name.clone(), bytes.to_vec(), by.to_owned())
        .await;
    pushed
        .map(|(version, _)| version.number)
        .map_err(|error| describe(&error))
}

async fn attach(
    context: &Context,
    entry: &Attachment,
    numbers: &HashMap<(ModuleName, u32), u32>,
    by: &str,
) -> Result<(), String> {
    let number = numbers.get(&(entry.module.clone(), entry.active.version));
    let wanted = NewAttachment {
        stream: entry.stream.clone(),
        side: entry.side,
        order: entry.order,
        module: entry.module.clone(),
        variant: Variant {
            version: *number.ok_or("its version is not here")?,
            settings: entry.active.settings.clone(),
        },
        on_error: entry.on_error.clone(),
        limits: entry.limits,
        debug: entry.debug,
    };
    let attached = context.plugins.attach(wanted, by.to_owned()).await;
    attached.map(|_| ()).map_err(|error| describe(&error))
}
