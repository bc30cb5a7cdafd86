//! A component that is a plugin.

use std::path::{Path, PathBuf};

use strandline_plugins::{Host, HostSettings, Module, ModuleInfo, World};

use super::project::Project;
use super::toolchain::Lines;
use crate::exit::Failure;

/// Bytes that a broker would take, compiled.
#[derive(Debug)]
pub(super) struct Component {
    name: String,
    bytes: Vec<u8>,
    host: Host,
    module: Module,
}

/// What `DIR|FILE.wasm` on the command line stands for.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) component: Component,
    /// The cases beside it, if there are any.
    pub(super) cases: Option<PathBuf>,
}

impl Component {
    /// Compiles bytes that are to be called by a file's name.
    ///
    /// # Errors
    ///
    /// A broker would not take them.
    pub(super) fn check(path: &Path, bytes: Vec<u8>) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::named(&name, bytes)
    }

    /// As [`check`](Self::check), by any name.
    pub(super) fn named(name: &str, bytes: Vec<u8>) -> Result<Self, Failure> {
        Self::on(host(None)?, name, bytes)
    }

    /// The same component, from this directory of compiled ones if it is there, into it if not.
    pub(super) fn cached(&self, cache: &Path) -> Result<Self, Failure> {
        Self::on(host(Some(cache))?, &self.name, self.bytes.clone())
    }

    fn on(host: Host, name: &str, bytes: Vec<u8>) -> Result<Self, Failure> {
        let loaded = host.load(&bytes);
        let module = loaded.map_err(|error| Failure::new(format!("{name} cannot be pushed: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            bytes,
            host,
            module,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    pub(super) fn info(&self) -> &ModuleInfo {
        self.module.info()
    }

    pub(super) fn world(&self) -> World {
        self.info().world
    }

    /// Its SHA-256 in hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        self.info()
            .sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl Given {
    /// A component by its file, or a project by its directory, which is built first.
    ///
    /// # Errors
    ///
    /// It cannot be read or built, or is no plugin.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if !path.is_dir() {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
            let component = Component::check(path, bytes)?;
            return Ok(Self {
                component,
                cases: None,
            });
        }
        let project = Project::open(path)?;
        let built = project.build(Lines::Keep, &project.module())?;
        Ok(Self {
            component: built.component,
            cases: project.cases(),
        })
    }
}

/// A host on this machine: that of a broker, but for the breaker, which would keep an author from seeing what fails.
fn host(cache: Option<&Path>) -> Result<Host, Failure> {
    let mut settings = HostSettings {
        cache_dir: cache.map(Path::to_owned),
        ..HostSettings::default()
    };
    settings.breaker.failures = 0;
    Host::new(settings).map_err(|error| Failure::new(error.to_string()))
}
