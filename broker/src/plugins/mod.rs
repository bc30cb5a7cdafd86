//! Plugins on this broker: the bytes of modules, and what is attached to streams.
//!
//! What there is says the metadata; [`Plugins`] keeps the bytes of modules, rehearses with the host what operators ask for, and
//! makes what the metadata says of a stream into [`StreamPlugins`], which its partitions and readers look at once a batch. What
//! becomes of a record by the verdict of a plugin is theirs.

mod ask;
mod chains;
mod change;
mod fetch;
mod inbound;
mod live;
mod outbound;
mod path;
mod reasons;
mod service;
mod shadow;
mod store;

#[cfg(test)]
mod tests;

pub(crate) use chains::Link;
pub(crate) use change::PluginError;
pub(crate) use outbound::{NotReady, Outbound};
pub(crate) use path::{FilterWish, Path};
pub(crate) use service::Plugins;
pub(crate) use store::{
    MODULES_DIRECTORY, ModuleFileError, PLUGINS_DIRECTORY, module_of, read_module, sha256,
};
