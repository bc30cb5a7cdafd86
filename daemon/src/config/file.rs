//! Reading a configuration file, whichever of the two formats it is in.

use std::io::Read;
use std::path::Path;

use super::entry::{Entry, SyntaxError};
use super::{first_format, yaml};

/// Largest file that is read; settings fit in a few kilobytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file gives no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is far larger than any configuration.
    #[error("the configuration file is larger than {MAX_FILE_BYTES} bytes; is it the right one?")]
    TooLarge,
    /// It is not text.
    #[error("the configuration file is not utf-8 text; is it the right one?")]
    NotText,
    /// It does not follow its format.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

/// Reads the settings of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| FileError::NotText)?;
    Ok(parse(&text, path)?)
}

/// Reads the settings of a text that stands in this file.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, SyntaxError> {
    if is_first_format(text) {
        first_format::parse(text, path)
    } else {
        yaml::parse(text)
    }
}

/// Whether a text is in Liftbridge's first format. It is if a line does what no line of YAML settings does: opens a block
/// (`log {`), assigns with `=`, is a `//` comment or ends with `;`.
fn is_first_format(text: &str) -> bool {
    text.lines().map(without_comment).any(|line| {
        let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
        let rest = name_end
            .and_then(|end| line.get(end..))
            .unwrap_or_default()
            .trim_start();
        let named = name_end.is_some_and(|end| end > 0);
        line.starts_with("//")
            || line.ends_with(';')
            || (named && (rest.starts_with('=') || opens_block(rest)))
    })
}

/// `name {`, and `name: {` unless it is closed on the same line, which YAML has as well.
fn opens_block(rest: &str) -> bool {
    let Some(value) = rest.strip_prefix(':') else {
        return rest.starts_with('{');
    };
    value.trim_start().starts_with('{') && !value.contains('}')
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        ""
    } else {
        line.split(" #").next().unwrap_or(line).trim_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_told_by_what_yaml_never_has() {
        for text in [
            "log {\n a: 1\n}",
            "a = 2",
            "// hello\na: 1",
            "a: 1;\nb: 2;",
            "log: {\n a.b: 1\n}",
            "nats{\nuser: x\n}",
            "log { level: debug }",
        ] {
            assert!(is_first_format(text), "{text:?}");
        }
        for text in [
            "a: 1",
            "a:\n  b: 2",
            "# log {\na: 1",
            "a: 'x=y'",
            "servers: nats://a:1",
            "a: {b: 1}",
            "---\na: [x, y]",
            "a: 1 # log {",
        ] {
            assert!(!is_first_format(text), "{text:?}");
        }
    }
}
