//! `strandline version`.

use std::io::Write;

use crate::exit::{Exit, Failure};

/// Prints the version.
pub(crate) fn run(output: &mut impl Write) -> Result<Exit, Failure> {
    writeln!(output, "strandline {}", env!("CARGO_PKG_VERSION"))
        .map_err(|error| super::output_failure(&error))?;
    Ok(Exit::Success)
}
