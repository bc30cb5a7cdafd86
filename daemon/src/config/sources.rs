//! Where settings come from, in the order of their weight: file, environment, flags.

use std::path::PathBuf;
use std::sync::Arc;

use super::data_dir::Account;
use super::environment;
use super::file::{self, FileError};
use super::nats_mode::Invocation;
use super::problem::{Problem, Problems};
use super::resolve::{Config, resolve};
use super::value::{Origin, Raw};
use super::values::Values;

/// What the process was given.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// How it was invoked.
    pub(crate) invocation: Invocation,
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Settings from the command line: name, value, flag.
    pub(crate) flags: Vec<(String, String, String)>,
}

impl Sources {
    /// The environment of this process with a file and flags. What is not text cannot be a setting.
    pub(crate) fn of_process(
        invocation: Invocation,
        file: Option<PathBuf>,
        flags: Vec<(String, String, String)>,
    ) -> Self {
        let variables = std::env::vars_os();
        Self {
            invocation,
            file,
            environment: variables
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags,
        }
    }

    /// Nothing but defaults.
    #[cfg(test)]
    pub(crate) fn new(invocation: Invocation) -> Self {
        Self {
            invocation,
            file: None,
            environment: Vec::new(),
            flags: Vec::new(),
        }
    }
}

/// Reads the configuration of this process.
///
/// # Errors
///
/// Everything that is wrong, at once.
pub(crate) fn read(sources: &Sources) -> Result<Config, Problems> {
    read_with(sources, &Account::current())
}

/// Reads the configuration on behalf of an account.
pub(crate) fn read_with(sources: &Sources, account: &Account) -> Result<Config, Problems> {
    let (mut values, mut problems, mut notices) = (Values::defaults(), Problems::default(), Vec::new());
    if let Some(path) = &sources.file {
        let entries = from_file(&Arc::new(path.clone()), &mut problems);
        values.lay_over(entries, &mut problems);
    }
    let variables = environment::settings(sources.environment.iter().cloned(), &mut problems, &mut notices);
    values.lay_over(variables, &mut problems);
    let flags = sources.flags.iter().cloned();
    let flags = flags.map(|(name, value, flag)| (name, Some(Raw::Text(value)), Origin::Flag(flag)));
    values.lay_over(flags.collect(), &mut problems);
    let mut config = resolve(values, sources.invocation, account, problems)?;
    notices.append(&mut config.notices);
    Ok(Config { notices, ..config })
}

fn from_file(path: &Arc<PathBuf>, problems: &mut Problems) -> Vec<(String, Option<Raw>, Origin)> {
    let origin = |file: Option<Arc<PathBuf>>, line| Origin::File {
        path: file.unwrap_or_else(|| Arc::clone(path)),
        line,
    };
    match file::read(path) {
        Ok(entries) => entries
            .into_iter()
            .map(|entry| (entry.name, entry.raw, origin(entry.file, entry.line)))
            .collect(),
        Err(error) => {
            let reason = error.to_string();
            let origin = match error {
                FileError::Syntax(syntax) => origin(syntax.file, syntax.line),
                _ => origin(None, 0),
            };
            problems.push(Problem::File { origin, reason });
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
