//! Why a host, a module or an attachment cannot be.

use std::time::Duration;

use crate::failure::Failure;
use crate::inspect::{Version, World};
use crate::log::told;

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// This machine cannot run compiled plugins, or the settings ask for too much.
    #[error("the engine for plugins does not start: {0}")]
    Engine(String),
    /// The directory for compiled modules cannot be made.
    #[error("the directory for compiled plugins {path} cannot be used: {error}")]
    Cache {
        /// The directory.
        path: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A thread could not be started.
    #[error("the thread that ends plugins' calls does not start: {0}")]
    Thread(std::io::Error),
}

/// Why a module is refused, in one sentence for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Over the limit of the host.
    #[error(
        "the module has {bytes} bytes, more than the {limit} that this server takes; build it optimised and strip debug info"
    )]
    TooLarge {
        /// Size of the module.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes do not begin as WebAssembly does.
    #[error(
        "this is not WebAssembly (it does not begin with \\0asm); push the .wasm file that the build made"
    )]
    NotWebAssembly,
    /// A core module.
    #[error(
        "this is a core WebAssembly module, not a component; build it for wasm32-wasip2, or make a component of it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// Damaged, truncated or of a proposal that the host does not know.
    #[error("the module is damaged or uses what this server does not know: {0}")]
    Malformed(String),
    /// It exports neither interface of the contract.
    #[error(
        "the component is no plugin: it exports neither strandline:plugin/filtering nor strandline:plugin/extraction, but {exports}; \
         build it with an SDK or for a world of strandline:plugin@1.0.0"
    )]
    NoWorld {
        /// What it exports.
        exports: String,
    },
    /// It exports both.
    #[error("the component is a filter and a key extractor at once; make two modules of it")]
    TwoWorlds,
    /// Built for a contract that this host does not speak.
    #[error("the plugin was built for version {found} of the contract and this server speaks 1.0; {}", remedy(*found))]
    Contract {
        /// What it was built for.
        found: Version,
    },
    /// It asks for more than plugins get.
    #[error(
        "the plugin imports {}, which no plugin is given; plugins may import strandline:plugin/log@1.0.0 and wasi:cli, clocks, \
         filesystem, io, random and sockets of 0.2",
        told(&.0.join(", "))
    )]
    ForbiddenImports(
        /// Names of the imports.
        Vec<String>,
    ),
    /// A function of the contract is missing or has other types.
    #[error(
        "{function} of the plugin is not as the contract says: {problem}; build it for a world of strandline:plugin@1.0.0"
    )]
    WrongSignature {
        /// Name of the function.
        function: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The compiler does not take it.
    #[error("the plugin does not compile: {0}")]
    Compile(String),
}

fn remedy(found: Version) -> &'static str {
    if found > Version::HOST {
        "upgrade the server, or build the plugin with an SDK of the server's version (`strandline plugin new` writes one)"
    } else {
        "build it again with an SDK of 1.0"
    }
}

/// Why a module cannot be attached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AttachError {
    /// The plugin's own `init` refuses the settings.
    #[error("the plugin refuses its settings: {0}")]
    Settings(
        /// What it says.
        String,
    ),
    /// Its first instance cannot be made.
    #[error("the plugin does not start: {0}")]
    Start(Failure),
    /// A limit that is no limit.
    #[error("the budget of an attachment must be from 10 ms to 60 s, not {0:?}")]
    Budget(Duration),
    /// Attached as what it is not.
    #[error("the module is a {found}, not a {wanted}")]
    World {
        /// What the attachment needs.
        wanted: World,
        /// What the module is.
        found: World,
    },
}
