//! Why a module cannot become a plugin.

use crate::World;

/// Why a module cannot become a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a WebAssembly binary at all.
    #[error("not a WebAssembly binary: {0}")]
    NotWebAssembly(String),
    /// There is nothing to do.
    #[error("already a component: it can be used as it is")]
    AlreadyComponent,
    /// No world has this name.
    #[error("no world is called {0:?}: there are filter and key-extractor")]
    UnknownWorld(String),
    /// It exports no function of any world.
    #[error(
        "exports nothing of the contract, neither strandline:plugin/filtering@1.0.0#judge (a filter) nor \
         strandline:plugin/extraction@1.0.0#extract (a key extractor): was it linked with the SDK, as a library?"
    )]
    NoPlugin,
    /// It exports functions of both.
    #[error("exports the functions of both worlds, filter and key-extractor: a plugin is one of them")]
    TwoWorlds,
    /// It is of this world, but not wholly.
    #[error("a plugin of the world {world} exports {}, which this module does not", missing.join(" and "))]
    Missing {
        /// What the module seems to be.
        world: World,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// It needs something that no host gives.
    #[error(
        "imports {name:?} from {module:?}, which no host gives: only strandline:plugin/log@1.0.0 and WASI can be imported"
    )]
    ForbiddenImport {
        /// The import's module.
        module: String,
        /// Its name there.
        name: String,
    },
    /// The parts do not fit each other, in the words of the encoder.
    #[error("cannot be made a component: {0}")]
    Encode(String),
}

impl Error {
    pub(crate) fn encode(error: impl std::fmt::Display) -> Self {
        Self::Encode(format!("{error:#}"))
    }
}
