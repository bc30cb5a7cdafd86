//! What a module says of itself, read from its outermost sections without compiling it.

use std::fmt;

use sha2::{Digest, Sha256};
use wasmparser::{Chunk, Encoding, Parser, Payload};

use crate::error::LoadError;
use crate::log::told;

const FILTERING: &str = "strandline:plugin/filtering";
const EXTRACTION: &str = "strandline:plugin/extraction";
/// What a plugin may import of the contract; the types are there for the others' sake.
const CONTRACT_IMPORTS: [&str; 2] = ["strandline:plugin/log", "strandline:plugin/types"];
/// Packages of WASI 0.2 that are answered without giving any power.
const WASI_PACKAGES: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// Most exports that an error names.
const NAMED_EXPORTS: usize = 8;

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    /// Says of each record whether it passes.
    Filter,
    /// Says of each record which bytes are its key.
    KeyExtractor,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::KeyExtractor => "key extractor",
        })
    }
}

/// Version of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Changes when plugins must be built anew.
    pub major: u32,
    /// Changes when something is added.
    pub minor: u32,
    /// Changes when something is put right.
    pub patch: u32,
}

impl Version {
    /// The newest version of the contract that this host speaks; it speaks every older one of the same major version.
    pub const HOST: Self = Self {
        major: 1,
        minor: 0,
        patch: 0,
    };

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
        };
        parts.next().is_none().then_some(version)
    }

    /// Whether a host of [`Version::HOST`] runs what was built for this version. Patches only put words right.
    fn is_spoken(self) -> bool {
        self.major == Self::HOST.major && (0..=Self::HOST.minor).contains(&self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Size in bytes.
    pub bytes: usize,
    /// What it is for.
    pub world: World,
    /// Version of the contract that it was built for.
    pub contract: Version,
    /// Names of everything that it imports, in its order.
    pub imports: Vec<String>,
    /// Full name of the interface that it exports.
    pub(crate) interface: String,
}

impl ModuleInfo {
    /// Reads the outermost sections of a module and judges what they say.
    pub(crate) fn read(bytes: &[u8], limit: usize) -> Result<Self, LoadError> {
        if bytes.len() > limit {
            let bytes = bytes.len();
            return Err(LoadError::TooLarge { bytes, limit });
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::NotWebAssembly);
        }
        let names = Names::read(bytes)?;
        let (world, contract, interface) = world_of(&names.exports)?;
        check_imports(&names.imports)?;
        Ok(Self {
            sha256: Sha256::digest(bytes).into(),
            bytes: bytes.len(),
            world,
            contract,
            imports: names.imports,
            interface,
        })
    }
}

/// Names of what a component imports and exports.
#[derive(Debug, Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let malformed = |error: wasmparser::BinaryReaderError| LoadError::Malformed(told(&error.to_string()));
        let mut names = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = bytes;
        loop {
            let Chunk::Parsed { consumed, payload } = parser.parse(rest, true).map_err(malformed)? else {
                return Err(truncated());
            };
            rest = rest.get(consumed..).ok_or_else(truncated)?;
            match payload {
                Payload::Version {
                    encoding: Encoding::Module,
                    ..
                } => {
                    return Err(LoadError::CoreModule);
                }
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        names
                            .imports
                            .push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        names
                            .exports
                            .push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                // What lies inside is the compiler's to check.
                Payload::ModuleSection { unchecked_range, .. }
                | Payload::ComponentSection { unchecked_range, .. } => {
                    rest = rest.get(unchecked_range.len()..).ok_or_else(truncated)?;
                }
                Payload::End(_) => return Ok(names),
                _ => {}
            }
        }
    }
}

fn truncated() -> LoadError {
    LoadError::Malformed("it ends in the middle of a section".to_owned())
}

fn world_of(exports: &[String]) -> Result<(World, Version, String), LoadError> {
    let mut found = None;
    for export in exports {
        let (name, version) = export.split_once('@').unwrap_or((export, ""));
        let world = match name {
            FILTERING => World::Filter,
            EXTRACTION => World::KeyExtractor,
            _ => continue,
        };
        if found.is_some() {
            return Err(LoadError::TwoWorlds);
        }
        let contract = Version::parse(version).ok_or_else(|| {
            LoadError::Malformed(told(&format!("{export} names no version of the contract")))
        })?;
        found = Some((world, contract, export.clone()));
    }
    match found {
        Some((_, contract, _)) if !contract.is_spoken() => Err(LoadError::Contract { found: contract }),
        Some(found) => Ok(found),
        None => Err(LoadError::NoWorld {
            exports: told(&listed(exports)),
        }),
    }
}

fn listed(exports: &[String]) -> String {
    match exports.len() {
        0 => "nothing".to_owned(),
        1..=NAMED_EXPORTS => exports.join(", "),
        more => format!(
            "{} and {} more",
            exports[..NAMED_EXPORTS].join(", "),
            more - NAMED_EXPORTS
        ),
    }
}

fn check_imports(imports: &[String]) -> Result<(), LoadError> {
    let mut forbidden = Vec::new();
    for import in imports {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        if CONTRACT_IMPORTS.contains(&name) {
            match Version::parse(version) {
                Some(version) if version.is_spoken() => {}
                Some(found) => return Err(LoadError::Contract { found }),
                None => forbidden.push(import.clone()),
            }
        } else if !is_wasi(name, version) {
            forbidden.push(import.clone());
        }
    }
    if forbidden.is_empty() {
        Ok(())
    } else {
        Err(LoadError::ForbiddenImports(forbidden))
    }
}

fn is_wasi(name: &str, version: &str) -> bool {
    let is_0_2 = Version::parse(version).is_some_and(|version| version.major == 0 && version.minor == 2);
    is_0_2 && WASI_PACKAGES.iter().any(|package| name.starts_with(package))
}
