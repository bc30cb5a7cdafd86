//! The types, the client and the server that are generated from `proto/strandline/v1/admin.proto`.
//!
//! What the fields mean is written there.

// Generated code is checked by its generator, not by this workspace's lints.
#![allow(missing_docs, unused_qualifications, unreachable_pub)]
#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args
)]

include!(concat!(env!("OUT_DIR"), "/strandline.v1.rs"));
