//! Finds a field in JSON without parsing the rest more than is needed to step over it, and without allocating.
//!
//! ```
//! use strandline_plugin::json::{Path, Value};
//!
//! let value = Value::new(br#"{"user": {"name": "Ada", "tags": ["a", "b"]}, "age": 36}"#);
//! assert_eq!(value.field("age").and_then(|age| age.as_u64()), Some(36));
//!
//! let path: Path = "$.user.tags[1]".parse()?;
//! assert!(value.find(&path).is_some_and(|tag| tag == "b"));
//! # Ok::<(), strandline_plugin::json::PathError>(())
//! ```
//!
//! What is found is what a whole parser would find in valid JSON. Input that is not JSON is no error: nothing is found
//! in it, or what stands before the place where it breaks off. Of two fields of one name the first is found.

mod block;
mod path;
mod scan;
mod text;
mod value;

pub use path::{Path, PathError};
pub use value::{Kind, Value};

#[cfg(test)]
mod tests;
