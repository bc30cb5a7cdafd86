//! The compilers of the languages, which make a component of a project.

mod c;
mod go;
mod rust;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::language::Language;
use crate::exit::Failure;

pub(super) use c::sources as c_sources;

/// What to build.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    /// The project's directory.
    pub(super) dir: &'a Path,
    /// Of the author's code.
    pub(super) lines: Lines,
}

/// Whether files and lines stay in the component, for backtraces. They cost size, and nothing while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    Keep,
    Strip,
}

/// Runs the toolchain; what the compiler says goes where this process's errors go.
///
/// # Errors
///
/// Something is missing, or the compiler refuses.
pub(super) fn component(language: Language, job: Job<'_>) -> Result<Vec<u8>, Failure> {
    match language {
        Language::Rust => rust::component(job),
        Language::Go => componentized(&go::core_module(job)?),
        Language::C => componentized(&c::core_module(job)?),
    }
}

fn componentized(core: &[u8]) -> Result<Vec<u8>, Failure> {
    strandline_componentize::componentize(core)
        .map_err(|error| Failure::new(format!("what the compiler made is no plugin: {error}")))
}

/// Runs a compiler. Its output is kept, its errors are passed through.
fn compile(command: &mut Command, get: &str) -> Result<Vec<u8>, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| cannot_run(&name, &error, get))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Failure::new(format!(
        "{name} could not build the plugin: {}",
        output.status
    )))
}

/// What a tool answers; none if it is not there or fails.
fn ask(command: &mut Command) -> Option<String> {
    let Ok(Output { status, stdout, .. }) = command.stdin(Stdio::null()).stderr(Stdio::null()).output()
    else {
        return None;
    };
    let text = String::from_utf8_lossy(&stdout).trim().to_owned();
    status.success().then_some(text)
}

fn cannot_run(name: &str, error: &std::io::Error, get: &str) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return Failure::new(format!("{name} is missing: {get}"));
    }
    Failure::new(format!("cannot run {name}: {error}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// A directory for what a compiler makes on the way.
fn scratch() -> Result<(tempfile::TempDir, PathBuf), Failure> {
    let dir = tempfile::tempdir()
        .map_err(|error| Failure::new(format!("cannot make a temporary directory: {error}")))?;
    let module = dir.path().join("core.wasm");
    Ok((dir, module))
}
