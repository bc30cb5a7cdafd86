//! `strandline storage compact`: space that the redb backend no longer uses.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use strandline_broker::maintenance::{self, Compacted};

use super::directory::refused;
use crate::commands::output_failure;
use crate::exit::{Exit, Failure};

/// Which data directory.
#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The broker's data directory; the broker must be stopped
    #[arg(long, short, value_name = "PATH")]
    data_dir: PathBuf,
}

/// Does it and says so.
pub(crate) fn run(args: &CompactArgs, output: &mut dyn Write) -> Result<Exit, Failure> {
    let text = compact(&args.data_dir)?;
    output
        .write_all(text.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(Exit::Success)
}

/// Compacts; shows the length of the file on the error output meanwhile if that is a terminal.
fn compact(data_dir: &Path) -> Result<String, Failure> {
    let mut errors = std::io::stderr();
    let is_watched = errors.is_terminal();
    let compacted = maintenance::compact(data_dir, |bytes| {
        if is_watched {
            // Nobody is harmed if it cannot be shown.
            let _ = write!(errors, "\rcompacting, {bytes} bytes now ");
        }
    });
    if is_watched {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let compacted = compacted.map_err(|error| refused("cannot compact the storage", &error))?;
    Ok(summary(data_dir, compacted))
}

fn summary(data_dir: &Path, compacted: Option<Compacted>) -> String {
    match compacted {
        None => format!(
            "no stream in {} is kept by the redb backend\n",
            data_dir.display()
        ),
        Some(Compacted { before, after }) => {
            let freed = before.saturating_sub(after);
            format!("compacted from {before} to {after} bytes, {freed} bytes freed\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(directory: &Path) -> Result<String, String> {
        let mut output = Vec::new();
        let args = CompactArgs {
            data_dir: directory.to_owned(),
        };
        run(&args, &mut output).map_err(|failure| failure.message)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_directory_that_is_not_there_is_refused_and_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert!(run_on(&missing).unwrap_err().contains("missing"));
        assert!(!missing.exists());
    }

    #[test]
    fn a_directory_without_the_backend_has_nothing_to_compact() {
        let directory = tempfile::tempdir().unwrap();
        assert!(run_on(directory.path()).unwrap().contains("no stream in"));
    }
}
