//! clang with lld and wasi-libc, or zig, which has all of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Job, Lines, ask, compile, read, scratch};
use crate::exit::Failure;

const GET_C: &str = "on Debian `apt-get install clang lld wasi-libc libclang-rt-dev-wasm32`; or `pip install ziglang`, which \
                     has it all; or name another compiler in WASM_CC";
/// Where the compiler is named, with its first arguments.
const VARIABLE: &str = "WASM_CC";

pub(super) fn core_module(job: Job<'_>) -> Result<Vec<u8>, Failure> {
    let sources = sources(job.dir)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", job.dir.display())))?;
    let (_dir, module) = scratch()?;
    let mut compiler = compiler()?;
    compiler.args([
        "--target=wasm32-wasi",
        "-mexec-model=reactor",
        "-O2",
        "-Wall",
        "-Wextra",
    ]);
    compiler.arg(match job.lines {
        Lines::Keep => "-g",
        Lines::Strip => "-Wl,--strip-debug",
    });
    compiler
        .args(["-I", "strandline/c", "-o"])
        .arg(&module)
        .args(&sources);
    compile(compiler.current_dir(job.dir), GET_C)?;
    read(&module)
}

/// The files to compile, by name: those that are no tests.
///
/// # Errors
///
/// The directory cannot be read.
pub(in super::super) fn sources(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = PathBuf::from(entry?.file_name());
        let stem = name.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let is_source = name.extension().is_some_and(|extension| extension == "c");
        if is_source && !stem.unwrap_or_default().ends_with("_test") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// The compiler that is named, or the first that has everything.
fn compiler() -> Result<Command, Failure> {
    if let Ok(named) = std::env::var(VARIABLE) {
        let mut words = named.split_whitespace();
        if let Some(program) = words.next() {
            let mut command = Command::new(program);
            command.args(words);
            return Ok(command);
        }
    }
    let missing = missing_of_clang();
    if missing.is_empty() {
        return Ok(Command::new("clang"));
    }
    zig().ok_or_else(|| Failure::new(format!("plugins in C need {}: {GET_C}", missing.join(", "))))
}

fn zig() -> Option<Command> {
    let ways: [(&str, &[&str]); 2] = [("zig", &[]), ("python3", &["-m", "ziglang"])];
    ways.into_iter().find_map(|(program, arguments)| {
        ask(Command::new(program).args(arguments).arg("version"))?;
        let mut command = Command::new(program);
        command.args(arguments).arg("cc");
        Some(command)
    })
}

/// What clang lacks for WebAssembly, by the names of Debian's packages.
fn missing_of_clang() -> Vec<&'static str> {
    let asked = |argument: &str| {
        let mut clang = Command::new("clang");
        ask(clang.arg("--target=wasm32-wasi").arg(argument)).map(PathBuf::from)
    };
    if asked("--version").is_none() {
        return vec!["clang"];
    }
    // clang answers with the bare name where it finds no file.
    let has = |argument: &str| asked(argument).is_some_and(|path| path.is_absolute() && path.exists());
    [
        ("lld", "-print-prog-name=wasm-ld"),
        ("wasi-libc", "-print-file-name=libc.a"),
        ("libclang-rt-dev-wasm32", "-print-libgcc-file-name"),
    ]
    .into_iter()
    .filter(|(_, argument)| !has(argument))
    .map(|(package, _)| package)
    .collect()
}
