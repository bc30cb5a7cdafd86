//! Why a plugin has no answer for a record.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use wasmtime::{Trap, WasmBacktrace};

use crate::guest::{Exit, Guest};

/// Most frames of a backtrace that are told.
const FRAMES: usize = 24;
/// Longest text of a cause in bytes.
const CAUSE_BYTES: usize = 400;
/// Paths of code that the author did not write.
const FOREIGN_PATHS: [&str; 5] = [
    "/rustc/",
    "/.cargo/registry/",
    "/library/std/",
    "/library/core/",
    "/library/alloc/",
];

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The plugin itself answered that it fails this record.
    Said,
    /// It trapped: a panic, an illegal access, endless recursion, a call of exit.
    Trap,
    /// It did not answer in time.
    Deadline,
    /// It trapped after it was refused more memory.
    Memory,
    /// Its answer is not as the contract says.
    Malformed,
    /// The budget of the batch was over before it was known which record fails.
    Unresolved,
    /// It has failed so often that it is not asked for a while.
    BreakerOpen,
    /// No instance of it could be made.
    Start,
}

/// Why a plugin has no answer for a record. Displays as one line; [`Failure::detail`] says where it happened.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(Arc<Told>);

#[derive(PartialEq, Eq)]
struct Told {
    cause: Cause,
    text: String,
    detail: String,
}

impl Failure {
    pub(crate) fn new(cause: Cause, text: impl Into<String>) -> Self {
        let (text, detail) = (text.into(), String::new());
        Self(Arc::new(Told { cause, text, detail }))
    }

    /// What went wrong.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The calls that led there, one a line, innermost first, with file and line where the module has debug info; may be empty.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The failure of a call of `function`, as the engine tells it.
    pub(crate) fn of_call(function: &str, error: &wasmtime::Error, guest: &Guest) -> Self {
        let cause = cause_of(error, guest);
        let frames = frames_of(error);
        let mut text = match cause {
            Cause::Deadline => format!("{function} did not return in time"),
            Cause::Memory => format!(
                "{function} wanted more than the {} MiB of memory that it may have",
                guest.memory_limit() >> 20
            ),
            Cause::Malformed => format!(
                "{function} returned what is not as the contract says: {}",
                shortened(error)
            ),
            _ => format!("{function} trapped: {}", shortened(error)),
        };
        if let Some(place) = frames.iter().find_map(Frame::place) {
            let _ = write!(text, ", at {place}");
        }
        let detail = frames.iter().map(Frame::line).collect();
        Self(Arc::new(Told { cause, text, detail }))
    }
}

fn cause_of(error: &wasmtime::Error, guest: &Guest) -> Cause {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Cause::Deadline,
        _ if guest.was_refused_memory() => Cause::Memory,
        Some(_) => Cause::Trap,
        None if error.is::<Exit>() => Cause::Trap,
        // Whatever else the engine finds: lists out of bounds, texts that are not UTF-8, allocators that answer nonsense.
        None => Cause::Malformed,
    }
}

/// The innermost message, which says what happened; the outer ones are the backtrace and where the engine was.
fn shortened(error: &wasmtime::Error) -> String {
    let mut text = error.root_cause().to_string();
    if text.len() > CAUSE_BYTES {
        text.truncate(text.floor_char_boundary(CAUSE_BYTES));
    }
    text
}

/// One call of a backtrace.
struct Frame {
    function: String,
    file: Option<String>,
    line: u32,
}

impl Frame {
    /// Where the author should look: the file and line, if they are the author's.
    fn place(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        let is_foreign = FOREIGN_PATHS.iter().any(|path| file.contains(path));
        (!is_foreign).then(|| format!("{} ({file}:{})", self.function, self.line))
    }

    fn line(&self) -> String {
        match &self.file {
            Some(file) => format!("at {} ({file}:{})\n", self.function, self.line),
            None => format!("at {}\n", self.function),
        }
    }
}

fn frames_of(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let mut frames = Vec::new();
    for frame in backtrace.frames() {
        let name = frame
            .func_name()
            .map_or_else(|| format!("function {}", frame.func_index()), shown_name);
        if frame.symbols().is_empty() {
            frames.push(Frame {
                function: name.clone(),
                file: None,
                line: 0,
            });
        }
        for symbol in frame.symbols() {
            frames.push(Frame {
                function: symbol.name().map_or_else(|| name.clone(), shown_name),
                file: symbol.file().map(str::to_owned),
                line: symbol.line().unwrap_or(0),
            });
        }
        if frames.len() >= FRAMES {
            break;
        }
    }
    frames.truncate(FRAMES);
    frames
}

/// A function's name without control characters, which would reach a terminal, and of bounded length.
fn shown_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.cause, self.0.text)
    }
}
