//! `strandline plugin new`.

use std::path::{Path, PathBuf};

use clap::Args;
use strandline_componentize::World;

use super::language::Language;
use super::sdk;
use crate::exit::Failure;

/// Longest name of a plugin.
const NAME_MAX_BYTES: usize = 64;
/// Names that a compiler has another use for: words of Rust, crates of every project, packages of Go.
const TAKEN: &str = "alloc as async await box break build const continue core crate deps do dyn else enum examples extern \
     false fn for gen if impl in incremental let loop main match mod move mut plugin priv proc-macro pub \
     ref return self serde serde-json static std strandline strandline-plugin strandline-plugin-macros \
     struct super syn test trait true try type union unsafe use where while yield";

/// A plugin to begin with. Nothing but the toolchain of its language is needed to build it.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct NewArgs {
    /// Name of the plugin: small letters, digits and dashes
    #[arg(value_parser = name)]
    name: String,
    /// Language
    #[arg(long, value_enum)]
    lang: Language,
    /// What it is: filter says of each record whether it passes, key-extractor which bytes are its key
    #[arg(long, default_value = "filter", value_name = "filter|key-extractor")]
    world: World,
    /// Directory to write it to [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Writes a project.
pub(in crate::commands::plugin) fn run(args: &NewArgs) -> Result<String, Failure> {
    let NewArgs {
        name, lang, world, ..
    } = args;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", dir.display()));
    let is_taken = match std::fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
    };
    if is_taken {
        return Err(Failure::new(format!(
            "{} is there already and not empty: take another name, or say --dir",
            dir.display()
        )));
    }
    std::fs::create_dir_all(&dir).map_err(failed)?;
    sdk::write_project(&dir, *lang, *world, name).map_err(failed)?;
    let text = readme(name, *lang, *world, &file_name(&dir, name));
    std::fs::write(dir.join("README.md"), text).map_err(failed)?;
    Ok(format!(
        "wrote {}, a {world} in {}\n\ncd {}\n{}\nstrandline plugin test\n",
        dir.display(),
        lang.word(),
        dir.display(),
        lang.native_test(),
    ))
}

/// What the directory is called, which its component is called after.
fn file_name(dir: &Path, name: &str) -> String {
    dir.file_name()
        .map_or_else(|| name.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn readme(name: &str, language: Language, world: World, file: &str) -> String {
    let (what, side, settings) = match (world, language) {
        (World::Filter, _) => (
            "A filter for Strandline: says of each record whether it passes.",
            "",
            r#"{"field": "level", "is": "error"}"#,
        ),
        (World::KeyExtractor, language) => (
            "A key extractor for Strandline: says which bytes are the key of a record that came without one.",
            " --side key",
            match language {
                Language::Rust => r#"{"field": "user.id"}"#,
                Language::Go | Language::C => r#"{"field": "user"}"#,
            },
        ),
    };
    let test = language.native_test();
    format!(
        "# {name}\n\n{what}\n\n```\n{test}\nstrandline plugin build\nstrandline plugin test\nstrandline plugin bench\n\
         strandline plugin push {name} {file}.wasm\nstrandline plugin attach STREAM {name}{side} --settings '{settings}'\n```\n\n\
         `{test}` tries the plugin natively, `plugin test` the component with the cases in `cases.json`, as a broker would run\n\
         it. `strandline/` holds the SDK; `strandline plugin new` of a later version writes a later one.\n"
    )
}

/// A name that compilers and brokers take.
fn name(text: &str) -> Result<String, String> {
    let is_fine = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= NAME_MAX_BYTES;
    if !is_fine {
        return Err(format!(
            "a name begins with a small letter and has small letters, digits and single dashes, {NAME_MAX_BYTES} at the most, as \
             in errors-only"
        ));
    }
    if TAKEN.split_whitespace().any(|taken| taken == text) {
        return Err(format!(
            "{text} means something else to a compiler; take another name, such as {text}-filter"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_compilers_take() {
        for good in ["a", "errors-only", "key2"] {
            assert_eq!(name(good), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "A",
            "2x",
            "-x",
            "x-",
            "a--b",
            "a_b",
            "a/b",
            "ä",
            "..",
            &"x".repeat(65),
            "fn",
            "serde",
            "main",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_there_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "").unwrap();
        let args = NewArgs {
            name: "x".to_owned(),
            lang: Language::C,
            world: World::Filter,
            dir: Some(dir.path().to_owned()),
        };
        let failure = run(&args).unwrap_err();
        assert!(failure.message.contains("not empty"), "{failure}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
