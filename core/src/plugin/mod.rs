//! Plugins as the metadata knows them: modules with immutable versions, and their attachments to streams.
//!
//! Nothing here runs a plugin or knows WebAssembly. What a module is made of stands in `docs/plugin-contract.md`.

mod attachment;
mod digest;
mod event;
mod module;
mod name;

pub use attachment::{
    Attachment, AttachmentId, Canary, CanaryMode, ErrorHandling, ErrorPolicy, PluginLimits, Side,
    UnknownWord, Variant,
};
pub use digest::{InvalidSha256, Sha256};
pub use event::{PluginAction, PluginEvent};
pub use module::{ContractVersion, ModuleFacts, ModuleVersion, PluginModule, World};
pub use name::{InvalidModuleName, ModuleName};
