//! From core module to component.

use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::preview1::{self, PREVIEW1};
use crate::{Error, World};

/// Where a core module finds the host's log.
const LOG: &str = "strandline:plugin/log@1.0.0";

/// What the host calls to place its arguments, and the memory that it places them in.
const EVERY_WORLD: [&str; 2] = ["memory", "cabi_realloc"];

/// Makes a component of a core module that exports the functions of one of the worlds, under the names that the
/// canonical ABI gives them. It tells the world from them.
///
/// # Errors
///
/// [`Error`] says what the module lacks.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, Error> {
    let shape = Shape::of(module)?;
    let world = shape.world()?;
    shape.check_imports()?;
    let mut module = module.to_vec();
    if !shape.typed {
        let (resolve, id) = world.resolve()?;
        embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8).map_err(Error::encode)?;
    }
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .map_err(Error::encode)?;
    if shape.imports.iter().any(|(module, _)| module == PREVIEW1) {
        let adapter = preview1::adapter()?;
        encoder = encoder.adapter(PREVIEW1, &adapter).map_err(Error::encode)?;
    }
    encoder.encode().map_err(Error::encode)
}

/// What a module shows of itself.
#[derive(Default)]
struct Shape {
    exports: Vec<String>,
    imports: Vec<(String, String)>,
    /// It carries the types of its world already.
    typed: bool,
}

impl Shape {
    fn of(module: &[u8]) -> Result<Self, Error> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            shape.look(payload.map_err(not_webassembly)?)?;
        }
        Ok(shape)
    }

    fn look(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => return Err(Error::AlreadyComponent),
            Payload::ExportSection(section) => {
                for export in section {
                    self.exports
                        .push(export.map_err(not_webassembly)?.name.to_owned());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(not_webassembly)?;
                    self.imports
                        .push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::CustomSection(section) => self.typed |= section.name().starts_with("component-type"),
            _ => {}
        }
        Ok(())
    }

    fn has(&self, export: &str) -> bool {
        self.exports.iter().any(|name| name == export)
    }

    fn world(&self) -> Result<World, Error> {
        let touches = |world: &World| world.exports().iter().any(|export| self.has(export));
        let world = match World::ALL.into_iter().filter(touches).collect::<Vec<_>>()[..] {
            [world] => world,
            [] => return Err(Error::NoPlugin),
            _ => return Err(Error::TwoWorlds),
        };
        let wanted = world.exports().iter().chain(&EVERY_WORLD);
        let missing: Vec<_> = wanted
            .filter(|export| !self.has(export))
            .map(|&name| name.to_owned())
            .collect();
        if missing.is_empty() {
            Ok(world)
        } else {
            Err(Error::Missing { world, missing })
        }
    }

    fn check_imports(&self) -> Result<(), Error> {
        let given = |module: &str| module == LOG || module == PREVIEW1 || module.starts_with("wasi:");
        match self.imports.iter().find(|(module, _)| !given(module)) {
            None => Ok(()),
            Some((module, name)) => Err(Error::ForbiddenImport {
                module: module.clone(),
                name: name.clone(),
            }),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_webassembly(error: wasmparser::BinaryReaderError) -> Error {
    Error::NotWebAssembly(error.to_string())
}
