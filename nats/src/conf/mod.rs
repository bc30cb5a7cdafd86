//! nats-server's configuration format: a relaxed JSON with comments, blocks, variables and includes.
//!
//! ```text
//! listen: 127.0.0.1:4222      # key and value by colon, equals sign or a blank
//! max_payload = 2MB
//! authorization {
//!   users = [ {user: a, password: $PASSWORD} ]
//! }
//! include "other.conf"
//! ```
//!
//! [`parse_file`] gives a tree of [`Value`]s with their places, so that whoever reads it can name file and line of what is
//! wrong. Numbers may have a suffix (`k`, `kb`, `m`, ... with powers of 1000 and `ki`, `kib`, ... of 1024).

mod lexer;
mod parser;
mod value;

pub use parser::{parse_file, parse_text};
pub use value::{ConfError, Entry, Place, Value};
