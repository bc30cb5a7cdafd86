//! Configuration files of nats-server.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

use strandline_nats::Options;

fuzz_target!(|text: &str| {
    // A path whose directory does not exist: an include finds nothing.
    if let Err(error) = Options::from_text(text, Path::new("/nonexistent/nats.conf")) {
        assert!(!error.to_string().is_empty());
    }
});
