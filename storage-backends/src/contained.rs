//! Panics that end where they are found: redb asserts what a damaged file breaks.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Does work that may panic; an error if it did.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = IS_CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(before);
    done.map_err(|_| Panicked)
}

/// What was contained.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Whether a panic on this thread now is one that a storage engine makes an error of. For panic hooks, which need not tell of it
/// twice.
pub fn panic_is_contained() -> bool {
    IS_CONTAINED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_is_known_to_be_contained_only_meanwhile() {
        assert!(!panic_is_contained());
        let inner = contain(|| {
            assert!(contain(|| panic!("within")).is_err());
            panic_is_contained()
        });
        assert!(inner.unwrap());
        assert!(!panic_is_contained());
    }
}
