//! Placeholder face, replaced by the crate's owner.
