//! Reasons of verdicts: made only while somebody asks for them.

use std::cell::{Cell, RefCell};
use std::fmt::{Display, Write};

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
    static GIVEN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes why the record at hand gets its verdict, if anybody wants to know. Of several reasons the last one counts.
#[inline]
pub(crate) fn give(reason: impl Display) {
    if WANTED.get() {
        note(&reason);
    }
}

#[cold]
fn note(reason: &dyn Display) {
    let mut text = String::new();
    // A `Display` that fails leaves what it wrote until then.
    let _ = write!(text, "{reason}");
    GIVEN.set(text);
}

/// What is given as the reason while `judge` runs.
pub(crate) fn collect(judge: impl FnOnce()) -> String {
    GIVEN.set(String::new());
    WANTED.set(true);
    judge();
    WANTED.set(false);
    GIVEN.take()
}
