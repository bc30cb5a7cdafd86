//! The languages that there is an SDK for.

use std::path::Path;

use crate::exit::Failure;

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands::plugin) enum Language {
    /// Rust 1.88 or later
    Rust,
    /// Go 1.24 or later
    Go,
    /// C11, with clang or zig
    C,
}

impl Language {
    /// All there are.
    pub(super) const ALL: [Self; 3] = [Self::Rust, Self::Go, Self::C];

    /// Its name on the command line, which is that of its directory of templates.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::C => "c",
        }
    }

    /// The directories of its SDK.
    pub(super) fn sdk(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["rust", "macros"],
            Self::Go => &["go"],
            Self::C => &["c"],
        }
    }

    /// The command that tests a plugin natively.
    pub(super) fn native_test(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Go => "go test",
            Self::C => "cc -I strandline/c plugin_test.c -o plugin_test && ./plugin_test",
        }
    }

    /// The language of the project in a directory, by its files.
    ///
    /// # Errors
    ///
    /// There is no project, or files of more than one language.
    pub(super) fn of(dir: &Path) -> Result<Self, Failure> {
        let there: Vec<_> = Self::ALL
            .into_iter()
            .filter(|language| language.is_in(dir))
            .collect();
        match there[..] {
            [language] => Ok(language),
            [] => Err(Failure::new(format!(
                "{} holds no plugin: no Cargo.toml, go.mod or .c file; `strandline plugin new` writes one",
                dir.display()
            ))),
            _ => Err(Failure::new(format!(
                "{} holds files of more than one language: keep a plugin in a directory of its own",
                dir.display()
            ))),
        }
    }

    fn is_in(self, dir: &Path) -> bool {
        match self {
            Self::Rust => dir.join("Cargo.toml").is_file(),
            Self::Go => dir.join("go.mod").is_file(),
            Self::C => super::toolchain::c_sources(dir).is_ok_and(|sources| !sources.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_known_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Language::of(dir.path()).unwrap_err();
        assert!(failure.message.contains("plugin new"), "{failure}");
        std::fs::write(dir.path().join("plugin_test.c"), "").unwrap();
        assert!(Language::of(dir.path()).is_err(), "a test alone is no plugin");
        std::fs::write(dir.path().join("plugin.c"), "").unwrap();
        assert_eq!(Language::of(dir.path()).unwrap(), Language::C);
        std::fs::write(dir.path().join("go.mod"), "").unwrap();
        let failure = Language::of(dir.path()).unwrap_err();
        assert!(failure.message.contains("more than one language"), "{failure}");
    }
}
