//! Compiled modules as files, and the one call of this crate that the compiler cannot check.
//!
//! ```text
//!    0  [8]   "SLPLUG01"
//!    8  [32]  SHA-256 of the module
//!   40  u64   what the compiled form depends on: engine version, its settings, features of the processor
//!   48  u64   length of the compiled module
//!   56        the compiled module
//!   ..  [32]  SHA-256 of everything before
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 8] = b"SLPLUG01";
const HEAD_BYTES: usize = 56;
const DIGEST_BYTES: usize = 32;

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// It is of another module, engine or processor.
    #[error("it is of another module, engine or processor")]
    Foreign,
    /// The engine does not take it.
    #[error("the engine refuses it: {0}")]
    Refused(String),
}

/// What the compiled form of a module depends on, beside the module.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// The file of a compiled module.
pub(crate) fn seal(component: &Component, module: &[u8; 32]) -> wasmtime::Result<Vec<u8>> {
    let compiled = component.serialize()?;
    let mut file = Vec::with_capacity(HEAD_BYTES + compiled.len() + DIGEST_BYTES);
    file.extend_from_slice(&head(component.engine(), module, compiled.len()));
    file.extend_from_slice(&compiled);
    let digest = Sha256::digest(&file);
    file.extend_from_slice(&digest);
    Ok(file)
}

/// The compiled module of a file that [`seal`] made for the same module and engine.
pub(crate) fn revive(engine: &Engine, file: &[u8], module: &[u8; 32]) -> Result<Component, Unusable> {
    let (sealed, digest) = file.split_last_chunk::<DIGEST_BYTES>().ok_or(Unusable::Damaged)?;
    if Sha256::digest(sealed).as_slice() != digest {
        return Err(Unusable::Damaged);
    }
    let (found, compiled) = sealed
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(Unusable::Damaged)?;
    if *found != head(engine, module, compiled.len()) {
        return Err(Unusable::Foreign);
    }
    deserialize(engine, compiled).map_err(|error| Unusable::Refused(format!("{error:#}")))
}

fn head(engine: &Engine, module: &[u8; 32], length: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..40].copy_from_slice(module);
    head[40..48].copy_from_slice(&compatibility(engine).to_le_bytes());
    head[48..].copy_from_slice(&(length as u64).to_le_bytes());
    head
}

#[expect(
    unsafe_code,
    reason = "there is no other way to use a module that was compiled before; see SAFETY"
)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` wants bytes that `Component::serialize` made. They are in memory, so that nobody changes
    // them between the check and the use. The only caller has found the digest that `seal`, and nobody else, puts behind the
    // bytes of `serialize`, so they are what was written, whatever has become of the disk. The head under the same digest says
    // that they were made of this module, by an engine with the same compatibility hash, which the engine checks once more. The
    // digest does not stop somebody who may write to the directory and wants to be run: it is the broker's own, as its binary is.
    unsafe { Component::deserialize(engine, compiled) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: [u8; 32] = [7; 32];

    fn engine() -> Engine {
        Engine::default()
    }

    fn file(engine: &Engine) -> Vec<u8> {
        let component = Component::new(
            engine,
            wat::parse_str("(component)").expect("text of a component"),
        )
        .expect("empty component");
        seal(&component, &MODULE).expect("sealed")
    }

    #[test]
    fn what_was_sealed_comes_back() {
        let engine = engine();
        assert!(revive(&engine, &file(&engine), &MODULE).is_ok());
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let engine = engine();
        let file = file(&engine);
        let places = (0..HEAD_BYTES)
            .chain((HEAD_BYTES..file.len()).step_by(97))
            .chain([file.len() - 1]);
        for place in places {
            let mut changed = file.clone();
            changed[place] ^= 1;
            assert_eq!(
                revive(&engine, &changed, &MODULE).err(),
                Some(Unusable::Damaged),
                "byte {place}"
            );
            assert_eq!(
                revive(&engine, &file[..place], &MODULE).err(),
                Some(Unusable::Damaged),
                "cut at {place}"
            );
        }
    }

    #[test]
    fn another_module_and_another_engine_are_foreign() {
        let engine = engine();
        let file = file(&engine);
        assert_eq!(revive(&engine, &file, &[8; 32]).err(), Some(Unusable::Foreign));
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).expect("engine");
        assert_eq!(revive(&other, &file, &MODULE).err(), Some(Unusable::Foreign));
    }
}
