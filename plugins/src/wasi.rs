//! Answers for what languages' runtimes import of WASI 0.2, without giving any power.
//!
//! Functions are defined as a component asks for them, by its own types: whatever the version within 0.2 and whatever of an
//! interface the runtime uses, there is an answer. A few functions have one of their own ([`Answer`]); all others say by
//! their type that there is nothing: an error where there can be one, else nothing, empty or 0.

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{LinkerInstance, Resource, ResourceAny, ResourceType, Val};

use crate::guest::{Exit, Guest};
use crate::log::Source;

/// Every resource of WASI: a number that says which.
#[derive(Debug)]
struct Stub;

const NOTHING: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// How many bytes a stream takes in one go.
const PERMIT: u64 = 64 << 10;
/// Most random bytes in one go.
const RANDOM_BYTES: u64 = 64 << 10;
/// Names of cases that say no, the first that a type has is taken.
const REFUSALS: [&str; 6] = [
    "closed",
    "access-denied",
    "access",
    "not-permitted",
    "not-supported",
    "unsupported",
];

/// Answers of functions for which "nothing" would be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The call ends as failed.
    Exit,
    /// The stream with this number.
    Stream(u32),
    /// How much may be written.
    Permit,
    /// What is written is printed.
    Print,
    /// It worked.
    Done,
    /// One unit of the clock; also what it stands at, since the runtime of Go stops where it stands at 0.
    One,
    /// So many random bytes.
    RandomBytes,
    /// A random number.
    RandomNumber,
    /// It is ready.
    Ready,
    /// All of them are ready.
    AllReady,
    /// By its type.
    Nothing,
}

impl Answer {
    fn of(interface: &str, function: &str) -> Self {
        match (interface, function) {
            ("wasi:cli/exit", _) => Self::Exit,
            ("wasi:cli/stdout", "get-stdout") => Self::Stream(STDOUT),
            ("wasi:cli/stderr", "get-stderr") => Self::Stream(STDERR),
            ("wasi:io/streams", "[method]output-stream.check-write") => Self::Permit,
            (
                "wasi:io/streams",
                "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush",
            ) => Self::Print,
            ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
                Self::Done
            }
            ("wasi:io/poll", "[method]pollable.ready") => Self::Ready,
            ("wasi:io/poll", "poll") => Self::AllReady,
            ("wasi:clocks/monotonic-clock", "now" | "resolution") => Self::One,
            ("wasi:random/random", "get-random-bytes")
            | ("wasi:random/insecure", "get-insecure-random-bytes") => Self::RandomBytes,
            ("wasi:random/random", "get-random-u64")
            | ("wasi:random/insecure", "get-insecure-random-u64") => Self::RandomNumber,
            _ => Self::Nothing,
        }
    }

    fn give(
        self,
        store: &mut StoreContextMut<'_, Guest>,
        params: &[Val],
        results: &[Type],
    ) -> wasmtime::Result<Option<Val>> {
        let subject = params
            .first()
            .map(|first| release(store, first))
            .transpose()?
            .flatten();
        for param in params.iter().skip(1) {
            release(store, param)?;
        }
        Ok(Some(match self {
            Self::Exit => return Err(Exit.into()),
            Self::Stream(stream) => resource(store, stream)?,
            Self::Permit => Val::Result(Ok(Some(Box::new(Val::U64(PERMIT))))),
            Self::Print => {
                print(store, subject, params.get(1));
                Val::Result(Ok(None))
            }
            Self::Done => Val::Result(Ok(None)),
            Self::One => Val::U64(1),
            Self::RandomBytes => random_bytes(store, params.first())?,
            Self::RandomNumber => Val::U64(store.data_mut().next_random()),
            Self::Ready => Val::Bool(true),
            Self::AllReady => all_of(params.first()),
            Self::Nothing => match results.first() {
                Some(result) => nothing(store, result)?,
                None => return Ok(None),
            },
        }))
    }
}

/// Defines one item of a WASI interface, which is named without its version.
pub(crate) fn define(
    room: &mut LinkerInstance<'_, Guest>,
    interface: &str,
    name: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let answer = Answer::of(interface, name);
            room.func_new(
                name,
                move |mut store, function: ComponentFunc, params, results| {
                    let types: Vec<Type> = function.results().collect();
                    let given = answer.give(&mut store, params, &types)?;
                    if let (Some(given), Some(result)) = (given, results.first_mut()) {
                        *result = given;
                    }
                    Ok(())
                },
            )
        }
        ComponentItem::Resource(_) => room.resource(name, ResourceType::host::<Stub>(), |_, _| Ok(())),
        _ => Ok(()),
    }
}

/// The value of a type that says that there is nothing.
fn nothing(store: &mut StoreContextMut<'_, Guest>, ty: &Type) -> wasmtime::Result<Val> {
    Ok(match ty {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char('\0'),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Own(_) => resource(store, NOTHING)?,
        Type::Record(record) => {
            let mut fields = Vec::new();
            for field in record.fields() {
                fields.push((field.name.to_owned(), nothing(store, &field.ty)?));
            }
            Val::Record(fields)
        }
        Type::Tuple(tuple) => {
            let mut values = Vec::new();
            for ty in tuple.types() {
                values.push(nothing(store, &ty)?);
            }
            Val::Tuple(values)
        }
        Type::Result(result) => {
            let error = result.err().map(|error| nothing(store, &error)).transpose()?;
            Val::Result(Err(error.map(Box::new)))
        }
        Type::Enum(cases) => Val::Enum(refusal(cases.names())),
        Type::Variant(variant) => {
            let name = refusal(variant.cases().map(|case| case.name));
            let payload = variant
                .cases()
                .find(|case| case.name == name)
                .and_then(|case| case.ty);
            let payload = payload.map(|ty| nothing(store, &ty)).transpose()?;
            Val::Variant(name, payload.map(Box::new))
        }
        _ => wasmtime::bail!("the host has no such thing to give"),
    })
}

/// The case that says no, or the first.
fn refusal<'a>(cases: impl Iterator<Item = &'a str>) -> String {
    let cases: Vec<&str> = cases.collect();
    let known = REFUSALS.iter().find(|no| cases.contains(no));
    known.or(cases.first()).copied().unwrap_or_default().to_owned()
}

fn resource(store: &mut StoreContextMut<'_, Guest>, number: u32) -> wasmtime::Result<Val> {
    let resource = Resource::<Stub>::new_own(number);
    Ok(Val::Resource(ResourceAny::try_from_resource(resource, store)?))
}

/// Gives up the handles in a parameter, which would else be kept for ever; tells the number of a single one.
fn release(store: &mut StoreContextMut<'_, Guest>, param: &Val) -> wasmtime::Result<Option<u32>> {
    match param {
        Val::Resource(handle) => Ok(Some(handle.try_into_resource::<Stub>(&mut *store)?.rep())),
        Val::List(values) | Val::Tuple(values) if values.iter().any(|v| matches!(v, Val::Resource(_))) => {
            for value in values {
                release(store, value)?;
            }
            Ok(None)
        }
        Val::Option(Some(value)) => release(store, value),
        _ => Ok(None),
    }
}

fn print(store: &mut StoreContextMut<'_, Guest>, stream: Option<u32>, bytes: Option<&Val>) {
    let source = match stream {
        Some(STDOUT) => Source::Stdout,
        Some(STDERR) => Source::Stderr,
        _ => return,
    };
    if let Some(Val::List(bytes)) = bytes {
        let bytes = bytes.iter().filter_map(|byte| match byte {
            Val::U8(byte) => Some(*byte),
            _ => None,
        });
        store.data_mut().print(source, bytes);
    }
}

fn random_bytes(store: &mut StoreContextMut<'_, Guest>, length: Option<&Val>) -> wasmtime::Result<Val> {
    let length = match length {
        Some(Val::U64(length)) if *length <= RANDOM_BYTES => *length,
        _ => wasmtime::bail!("the host gives no more than {RANDOM_BYTES} random bytes at once"),
    };
    let guest = store.data_mut();
    Ok(Val::List(
        (0..length).map(|_| Val::U8(guest.next_random() as u8)).collect(),
    ))
}

fn all_of(handles: Option<&Val>) -> Val {
    let count = match handles {
        Some(Val::List(handles)) => handles.len() as u32,
        _ => 0,
    };
    Val::List((0..count).map(Val::U32).collect())
}
