//! Compiled modules on disk. Whatever happens here only costs that a module is compiled once more.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::artefact;

const SUFFIX: &str = "plugin";
const PART_SUFFIX: &str = "part";

/// A directory of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    limit: u64,
    /// Numbers the files that are being written.
    parts: AtomicU64,
}

impl Cache {
    /// Makes the directory if there is none, for its owner alone, and removes what an interrupted process left half written.
    pub(crate) fn open(dir: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for (path, ..) in files(dir, PART_SUFFIX)? {
            fs::remove_file(path)?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            limit,
            parts: AtomicU64::new(0),
        })
    }

    /// The compiled module, if it is there and whole. What cannot be used is removed.
    pub(crate) fn get(&self, engine: &Engine, module: &[u8; 32]) -> Option<Component> {
        let path = self.path(engine, module);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a compiled plugin, compiling it again");
                return None;
            }
        };
        match artefact::revive(engine, &file, module) {
            Ok(component) => Some(component),
            Err(problem) => {
                tracing::warn!(path = %path.display(), %problem, "cannot use a compiled plugin, compiling it again");
                remove(&path);
                None
            }
        }
    }

    /// Keeps a compiled module, and removes the oldest ones where all are more than they may be.
    pub(crate) fn put(&self, component: &Component, module: &[u8; 32]) {
        let path = self.path(component.engine(), module);
        let file = match artefact::seal(component, module) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, "a compiled plugin cannot be written down");
                return;
            }
        };
        if let Err(error) = self.write(&path, &file).and_then(|()| self.make_room(&path)) {
            tracing::warn!(path = %path.display(), %error, "cannot keep a compiled plugin");
        }
    }

    fn path(&self, engine: &Engine, module: &[u8; 32]) -> PathBuf {
        let mut name = String::with_capacity(96);
        for byte in module {
            name.push_str(&format!("{byte:02x}"));
        }
        name.push_str(&format!("-{:016x}.{SUFFIX}", artefact::compatibility(engine)));
        self.dir.join(name)
    }

    fn write(&self, path: &Path, file: &[u8]) -> io::Result<()> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let part = path.with_extension(format!("{}-{number}.{PART_SUFFIX}", std::process::id()));
        let written = new_file(&part)
            .and_then(|mut part| part.write_all(file))
            .and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            remove(&part);
        }
        written
    }

    fn make_room(&self, newest: &Path) -> io::Result<()> {
        let mut files = files(&self.dir, SUFFIX)?;
        files.sort_by_key(|(path, modified, _)| (path == newest, *modified));
        let mut bytes: u64 = files.iter().map(|(.., bytes)| bytes).sum();
        for (path, _, size) in files {
            if bytes <= self.limit {
                break;
            }
            fs::remove_file(path)?;
            bytes -= size;
        }
        Ok(())
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a file of compiled plugins");
    }
}

/// Files with this ending: path, time of the last change, size.
fn files(dir: &Path, suffix: &str) -> io::Result<Vec<(PathBuf, SystemTime, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != suffix) {
            continue;
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) => found.push((path, metadata.modified()?, metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
