//! `strandline plugin build`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use strandline_plugins::{Needs, ValueNeed};

use super::cases::Cases;
use super::component::Component;
use super::project::{Built, Project};
use super::toolchain::Lines;
use super::tryout::Tryout;
use crate::exit::Failure;

/// A plugin to build.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct BuildArgs {
    /// Its directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// File to write the component to [default: the directory's name with .wasm, in the directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave out files and lines of the code, which errors in `plugin logs` name otherwise
    #[arg(long)]
    strip: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Builds a component and says what it is.
pub(in crate::commands::plugin) fn run(args: &BuildArgs) -> Result<String, Failure> {
    let project = Project::open(&args.dir)?;
    let lines = if args.strip { Lines::Strip } else { Lines::Keep };
    let path = args.output.clone().unwrap_or_else(|| project.module());
    let built = project.build(lines, &path)?;
    let needs = needs(&project, &built.component);
    Ok(if args.json {
        let component = &built.component;
        let object = json!({
            "path": path,
            "bytes": component.bytes().len(),
            "sha256": component.sha256(),
            "world": component.world().to_string(),
            "contract": component.info().contract.to_string(),
            "imports": component.info().imports,
            "needs": needs.ok(),
            "seconds": built.took.as_secs_f64(),
        });
        format!("{object}\n")
    } else {
        let mut text = describe(&built, &path.display().to_string());
        let _ = match needs {
            Ok(needs) => writeln!(text, "needs    {needs}"),
            Err(reason) => writeln!(text, "needs    {reason}"),
        };
        let _ = writeln!(
            text,
            "\nstrandline plugin push {} {}",
            project.name(),
            path.display()
        );
        text
    })
}

fn describe(built: &Built, path: &str) -> String {
    let Built { component, took } = built;
    let info = component.info();
    let rows = [
        ("built", format!("{path} in {:.1} s", took.as_secs_f64())),
        ("size", format!("{} bytes", component.bytes().len())),
        ("sha-256", component.sha256()),
        ("world", format!("{}, contract {}", info.world, info.contract)),
        ("imports", info.imports.join(", ")),
    ];
    rows.iter()
        .map(|(what, value)| format!("{what:8} {value}\n"))
        .collect()
}

/// What the plugin reads of a record. It says so when it has settings, which those of the cases are.
fn needs(project: &Project, component: &Component) -> Result<String, String> {
    let settings = match project.cases() {
        Some(path) => Cases::read(&path).map_err(|error| error.to_string())?.settings,
        None => "{}".to_owned(),
    };
    match Tryout::new(component, &settings) {
        Ok(tryout) => Ok(describe_needs(tryout.attachment().needs())),
        Err(error) => Err(format!("told once it has settings; with {settings}: {error}")),
    }
}

/// What is copied of a record.
pub(super) fn describe_needs(needs: Needs) -> String {
    let value = match needs.value {
        ValueNeed::None => None,
        ValueNeed::Prefix(bytes) => Some(format!("{bytes} bytes of the value")),
        ValueNeed::Whole => Some("value".to_owned()),
    };
    let parts = [
        (needs.key, "key"),
        (needs.subject, "subject"),
        (needs.headers, "headers"),
    ];
    let parts = parts.iter().filter(|(needed, _)| *needed);
    let parts: Vec<_> = parts.map(|(_, part)| (*part).to_owned()).chain(value).collect();
    if parts.is_empty() {
        return "nothing".to_owned();
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_told_in_words() {
        assert_eq!(describe_needs(Needs::default()), "nothing");
        assert_eq!(describe_needs(Needs::ALL), "key, subject, headers, value");
        let prefix = Needs {
            value: ValueNeed::Prefix(64),
            ..Needs::default()
        };
        assert_eq!(describe_needs(prefix), "64 bytes of the value");
    }
}
