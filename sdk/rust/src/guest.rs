//! The boundary of the module: the functions that the host calls, by the canonical ABI of the component model.
//!
//! This is the only module with unsafe code. It rests on what the canonical ABI says:
//! - `cabi_realloc` has given every pointer that comes in, for as many bytes as are said, and the callee owns them;
//! - a result that does not fit a register is told by its address, and is read before the next call begins;
//! - an instance is called by one thread at a time, and never while a call is under way.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, handle_alloc_error, realloc};
use std::cell::{Cell, OnceCell, RefCell};

use crate::filter::{self, Filter};
use crate::key_extractor::{self, Answer, KeyExtractor};
use crate::log::Level;
use crate::needs::{Needs, ValueNeed};

/// The worlds as component types, for the linker. `strandline-componentize` makes them from `plugin.wit`, and tests
/// that they are up to date.
pub const FILTER_TYPE: &[u8; 518] = include_bytes!("world/filter.component-type");
/// As [`FILTER_TYPE`].
pub const KEY_EXTRACTOR_TYPE: &[u8; 508] = include_bytes!("world/key-extractor.component-type");

thread_local! {
    /// Where results lie that do not fit a register; the longest is that of `init`.
    static RESULT: Cell<[usize; 4]> = const { Cell::new([0; 4]) };
}

/// An instance of a filter, from its first call on.
pub struct FilterGuest<F: Filter> {
    instance: OnceCell<filter::Instance<F>>,
    verdicts: RefCell<Vec<u8>>,
    reasons: RefCell<Texts>,
}

impl<F: Filter> FilterGuest<F> {
    /// Before its first call.
    #[expect(clippy::new_without_default, reason = "const")]
    pub const fn new() -> Self {
        Self {
            instance: OnceCell::new(),
            verdicts: RefCell::new(Vec::new()),
            reasons: RefCell::new(Texts {
                texts: Vec::new(),
                places: Vec::new(),
            }),
        }
    }

    /// `filtering.init`.
    ///
    /// # Safety
    ///
    /// `settings` is as the canonical ABI says.
    pub unsafe fn init(&self, settings: *mut u8, len: usize) -> *const u8 {
        start();
        let settings = unsafe { argument(settings, len) };
        initialised(
            filter::Instance::new(&settings).map(|instance| *self.instance.get_or_init(|| instance).needs()),
        )
    }

    /// `filtering.judge`.
    ///
    /// # Safety
    ///
    /// `batch` is as the canonical ABI says.
    pub unsafe fn judge(&self, batch: *mut u8, len: usize) -> *const u8 {
        let batch = unsafe { argument(batch, len) };
        let mut verdicts = self.verdicts.borrow_mut();
        match self.instance.get() {
            Some(instance) => instance.judge(&batch, &mut verdicts),
            None => verdicts.clear(),
        }
        list(verdicts.as_ptr(), verdicts.len())
    }

    /// `filtering.explain`.
    ///
    /// # Safety
    ///
    /// `batch` is as the canonical ABI says.
    pub unsafe fn explain(&self, batch: *mut u8, len: usize) -> *const u8 {
        let batch = unsafe { argument(batch, len) };
        let texts = self
            .instance
            .get()
            .map(|instance| instance.explain(&batch))
            .unwrap_or_default();
        let mut reasons = self.reasons.borrow_mut();
        reasons.places = texts
            .iter()
            .map(|text| [text.as_ptr().addr(), text.len()])
            .collect();
        reasons.texts = texts;
        list(reasons.places.as_ptr().cast(), reasons.places.len())
    }
}

/// A list of strings as the host reads it.
struct Texts {
    /// What `places` points to.
    texts: Vec<String>,
    places: Vec<[usize; 2]>,
}

/// An instance of a key extractor, from its first call on.
pub struct KeyExtractorGuest<K: KeyExtractor> {
    instance: OnceCell<key_extractor::Instance<K>>,
    answer: RefCell<Answer>,
}

impl<K: KeyExtractor> KeyExtractorGuest<K> {
    /// Before its first call.
    #[expect(clippy::new_without_default, reason = "const")]
    pub const fn new() -> Self {
        Self {
            instance: OnceCell::new(),
            answer: RefCell::new(Answer::new()),
        }
    }

    /// `extraction.init`.
    ///
    /// # Safety
    ///
    /// `settings` is as the canonical ABI says.
    pub unsafe fn init(&self, settings: *mut u8, len: usize) -> *const u8 {
        start();
        let settings = unsafe { argument(settings, len) };
        let instance = key_extractor::Instance::new(&settings);
        initialised(instance.map(|instance| *self.instance.get_or_init(|| instance).needs()))
    }

    /// `extraction.extract`.
    ///
    /// # Safety
    ///
    /// `batch` is as the canonical ABI says.
    pub unsafe fn extract(&self, batch: *mut u8, len: usize) -> *const u8 {
        let batch = unsafe { argument(batch, len) };
        let mut answer = self.answer.borrow_mut();
        match self.instance.get() {
            Some(instance) => instance.extract(&batch, &mut answer),
            None => answer.clear(),
        }
        list(answer.bytes().as_ptr(), answer.bytes().len())
    }
}

/// Runs what has to run before the first call: what C libraries that are linked in set up. That it is called here also
/// keeps the linker from running it at every call.
fn start() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // `init` is the first function that is called, and is called once.
    unsafe { __wasm_call_ctors() }
}

/// `cabi_realloc`: memory for what the host passes in.
///
/// # Safety
///
/// `old` was given by this function for `old_len` bytes, which are 0 where there is no `old`.
pub unsafe fn reallocate(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
    if len == 0 {
        return std::ptr::without_provenance_mut(align);
    }
    let Ok(layout) = Layout::from_size_align(len, align) else {
        std::process::abort();
    };
    let new = if old_len == 0 {
        unsafe { alloc(layout) }
    } else {
        unsafe { realloc(old, Layout::from_size_align_unchecked(old_len, align), len) }
    };
    if new.is_null() {
        handle_alloc_error(layout);
    }
    new
}

/// Takes over the bytes that the host has placed.
unsafe fn argument(at: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 {
        Vec::new()
    } else {
        unsafe { Vec::from_raw_parts(at, len, len) }
    }
}

/// The address of a `list`.
fn list(at: *const u8, len: usize) -> *const u8 {
    result([at.addr(), len, 0, 0])
}

/// The address of a `result<needs, string>`: a byte that says which; from the fifth byte on, the needs (three flags,
/// and at the ninth the variant of the value with its number) or the text.
fn initialised(outcome: Result<Needs, String>) -> *const u8 {
    result(match outcome {
        Ok(needs) => {
            let (value, bytes) = match needs.value {
                ValueNeed::None => (0, 0),
                ValueNeed::Prefix(bytes) => (1, bytes),
                ValueNeed::Whole => (2, 0),
            };
            let flags = [needs.key.into(), needs.subject.into(), needs.headers.into(), 0];
            [0, u32::from_le_bytes(flags) as usize, value, bytes as usize]
        }
        // The instance is of no more use to the host.
        Err(text) => {
            let text = text.leak();
            [1, text.as_ptr().addr(), text.len(), 0]
        }
    })
}

fn result(words: [usize; 4]) -> *const u8 {
    RESULT.with(|result| {
        result.set(words);
        result.as_ptr().cast_const().cast()
    })
}

/// `log.write`.
pub(crate) fn log(level: Level, message: &str) {
    #[link(wasm_import_module = "strandline:plugin/log@1.0.0")]
    unsafe extern "C" {
        #[link_name = "write"]
        fn write(level: u32, message: *const u8, len: usize);
    }
    // The host reads the text before it returns.
    unsafe { write(level as u32, message.as_ptr(), message.len()) }
}

/// The exports of a filter. The attribute `filter` calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_filter {
    ($plugin:ty) => {
        const _: () = {
            use $crate::guest;
            ::std::thread_local! {
                static GUEST: guest::FilterGuest<$plugin> = const { guest::FilterGuest::new() };
            }

            #[unsafe(link_section = "component-type:strandline-filter")]
            static TYPE: [u8; guest::FILTER_TYPE.len()] = *guest::FILTER_TYPE;

            #[unsafe(export_name = "strandline:plugin/filtering@1.0.0#init")]
            unsafe extern "C" fn init(settings: *mut u8, len: usize) -> *const u8 {
                GUEST.with(|guest| unsafe { guest.init(settings, len) })
            }

            #[unsafe(export_name = "strandline:plugin/filtering@1.0.0#judge")]
            unsafe extern "C" fn judge(batch: *mut u8, len: usize) -> *const u8 {
                GUEST.with(|guest| unsafe { guest.judge(batch, len) })
            }

            #[unsafe(export_name = "strandline:plugin/filtering@1.0.0#explain")]
            unsafe extern "C" fn explain(batch: *mut u8, len: usize) -> *const u8 {
                GUEST.with(|guest| unsafe { guest.explain(batch, len) })
            }

            $crate::export_memory!();
        };
    };
}

/// The exports of a key extractor. The attribute `key_extractor` calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_key_extractor {
    ($plugin:ty) => {
        const _: () = {
            use $crate::guest;
            ::std::thread_local! {
                static GUEST: guest::KeyExtractorGuest<$plugin> = const { guest::KeyExtractorGuest::new() };
            }

            #[unsafe(link_section = "component-type:strandline-key-extractor")]
            static TYPE: [u8; guest::KEY_EXTRACTOR_TYPE.len()] = *guest::KEY_EXTRACTOR_TYPE;

            #[unsafe(export_name = "strandline:plugin/extraction@1.0.0#init")]
            unsafe extern "C" fn init(settings: *mut u8, len: usize) -> *const u8 {
                GUEST.with(|guest| unsafe { guest.init(settings, len) })
            }

            #[unsafe(export_name = "strandline:plugin/extraction@1.0.0#extract")]
            unsafe extern "C" fn extract(batch: *mut u8, len: usize) -> *const u8 {
                GUEST.with(|guest| unsafe { guest.extract(batch, len) })
            }

            $crate::export_memory!();
        };
    };
}

/// What every plugin exports.
#[doc(hidden)]
#[macro_export]
macro_rules! export_memory {
    () => {
        #[unsafe(export_name = "cabi_realloc")]
        unsafe extern "C" fn reallocate(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
            unsafe { $crate::guest::reallocate(old, old_len, align, len) }
        }
    };
}
