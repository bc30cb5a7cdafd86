//! The master keys of encryption: from a variable, as with Liftbridge, or from a file with earlier ones behind the current.

use std::io::Read;
use std::path::Path;

use strandline_broker::settings::{MasterKey, MasterKeys};

use super::problem::{Problem, Problems};
use super::values::Values;

const KEY: &str = "encryption.key";
const FILE: &str = "encryption.key.file";
const ENCRYPTS: &str = "streams.encryption";

/// Longest key file in bytes; a key takes 64 at the most.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// The master keys, the current one first.
pub(crate) fn master_keys(values: &Values, problems: &mut Problems, notices: &mut Vec<String>) -> MasterKeys {
    let found = match (values.text(KEY), values.path(FILE)) {
        (Some(_), Some(_)) => Err(Problem::Contradiction {
            key: KEY,
            origin: values.origin(KEY),
            other_key: FILE,
            other_origin: values.origin(FILE),
            reason:
                "write the key into the file, as its first line if it is the current one, and remove it here"
                    .to_owned(),
        }),
        (Some(text), None) => parse(text)
            .map(|key| vec![key])
            .map_err(|reason| invalid(values, KEY, reason)),
        (None, Some(path)) => {
            notices.extend(open_to_others(&path));
            read(&path).map_err(|reason| invalid(values, FILE, reason))
        }
        (None, None) if values.bool(ENCRYPTS) == Some(true) => Err(Problem::Incomplete {
            origin: values.origin(ENCRYPTS),
            key: ENCRYPTS,
            missing: FILE,
            reason: "streams are encrypted with keys that a master key wraps; make one with `openssl rand -hex 32`",
        }),
        (None, None) => Ok(Vec::new()),
    };
    MasterKeys::new(found.unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    }))
}

fn invalid(values: &Values, key: &'static str, reason: String) -> Problem {
    Problem::Invalid {
        origin: values.origin(key),
        key,
        reason,
    }
}

fn parse(text: &str) -> Result<MasterKey, String> {
    MasterKey::parse(text).map_err(|error| format!("holds no key: {error}"))
}

/// One key a line. The lines are not shown: they are secret also when they are wrong.
fn read(path: &Path) -> Result<Vec<MasterKey>, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot be read: {}: {error}", path.display()))?;
    if text.len() as u64 > FILE_MAX_BYTES {
        return Err(format!("is over {FILE_MAX_BYTES} bytes: {}", path.display()));
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let keys = lines.map(|(number, line)| {
        parse(line).map_err(|reason| format!("{reason}, in line {number} of {}", path.display()))
    });
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(format!("holds no key: {} is empty", path.display()));
    }
    Ok(keys)
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!("{FILE}: others than its owner may use {path} (mode {mode:03o}); `chmod 600 {path}`")
    })
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    fn resolve(settings: &[(&str, &str)]) -> (MasterKeys, Problems, Vec<String>) {
        let (mut values, mut problems, mut notices) = (Values::defaults(), Problems::default(), Vec::new());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let keys = master_keys(&values, &mut problems, &mut notices);
        (keys, problems, notices)
    }

    fn current(keys: &MasterKeys) -> Option<String> {
        keys.current().map(|key| key.id().to_string())
    }

    fn id(text: &str) -> Option<String> {
        MasterKey::parse(text).ok().map(|key| key.id().to_string())
    }

    #[test]
    fn a_key_comes_from_its_setting_or_from_the_first_line_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys");
        std::fs::write(&file, "t7w!z%C*F-JaNcRf\r\n\n+KbPeShVmYq3t6w9\n").unwrap();
        let path = file.display().to_string();
        let (keys, problems, notices) = resolve(&[(FILE, &path), (ENCRYPTS, "true")]);
        assert_eq!(
            (current(&keys), problems),
            (id("t7w!z%C*F-JaNcRf"), Problems::default())
        );
        assert_eq!(notices.len(), 1, "everybody may read it: {notices:?}");
        let (keys, problems, _) = resolve(&[(KEY, "+KbPeShVmYq3t6w9")]);
        assert_eq!(
            (current(&keys), problems),
            (id("+KbPeShVmYq3t6w9"), Problems::default())
        );
        assert_eq!(current(&resolve(&[]).0), None);
    }

    #[test]
    fn what_is_no_key_is_named_but_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys");
        std::fs::write(&file, "t7w!z%C*F-JaNcRf\nhunter2\n").unwrap();
        let (path, gone) = (file.display().to_string(), directory.path().join("gone"));
        let gone = gone.display().to_string();
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[(KEY, "hunter2")], "16 or 32 characters"),
            (&[(FILE, &path)], "in line 2 of"),
            (&[(FILE, &gone)], "cannot be read"),
            (
                &[(KEY, "t7w!z%C*F-JaNcRf"), (FILE, &path)],
                "contradict each other",
            ),
            (&[(ENCRYPTS, "true")], "needs encryption.key.file"),
        ];
        for (settings, part) in cases {
            let (keys, problems, _) = resolve(settings);
            let text = problems.to_string();
            assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
            assert_eq!(current(&keys), None);
        }
    }
}
