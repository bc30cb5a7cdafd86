//! A plugin's directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::component::Component;
use super::language::Language;
use super::toolchain::{self, Job, Lines};
use crate::exit::Failure;

/// What a project's cases are called.
const CASES: &str = "cases.json";

/// A directory with a plugin's sources.
#[derive(Debug)]
pub(super) struct Project {
    dir: PathBuf,
    language: Language,
    name: String,
}

/// What building took and made.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) component: Component,
    pub(super) took: Duration,
}

impl Project {
    /// The project in a directory.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let absolute = dir
            .canonicalize()
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", dir.display())))?;
        let name = absolute
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            dir: dir.to_owned(),
            language: Language::of(dir)?,
            name: name.unwrap_or_else(|| "plugin".to_owned()),
        })
    }

    /// What it is called: its directory's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where its component goes unless told otherwise.
    pub(super) fn module(&self) -> PathBuf {
        self.dir.join(format!("{}.wasm", self.name))
    }

    /// Its cases, if it has any.
    pub(super) fn cases(&self) -> Option<PathBuf> {
        Some(self.dir.join(CASES)).filter(|path| path.is_file())
    }

    /// Builds the component and checks that a broker would take it, before it is written.
    ///
    /// # Errors
    ///
    /// The toolchain is missing or refuses, or what it made is no plugin.
    pub(super) fn build(&self, lines: Lines, to: &Path) -> Result<Built, Failure> {
        let started = Instant::now();
        let job = Job {
            dir: &self.dir,
            lines,
        };
        let bytes = toolchain::component(self.language, job)?;
        let took = started.elapsed();
        let component = Component::check(to, bytes)?;
        std::fs::write(to, component.bytes())
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", to.display())))?;
        Ok(Built { component, took })
    }
}
