//! What opens the administration to callers from elsewhere.

use strandline_broker::settings::{Address, Secret};

use super::problem::{Problem, Problems};
use super::values::Values;

const TOKEN: &str = "admin.token";
const TOKEN_FILE: &str = "admin.token.file";

/// The token, if one is set. One that would travel in the clear is worth a notice.
pub(crate) fn token(
    values: &Values,
    listen: &Address,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) -> Option<Secret> {
    let (key, text) = match (values.text(TOKEN), values.path(TOKEN_FILE)) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            problems.push(Problem::Contradiction {
                key: TOKEN,
                origin: values.origin(TOKEN),
                other_key: TOKEN_FILE,
                other_origin: values.origin(TOKEN_FILE),
                reason: "there is one token; remove one of the two".to_owned(),
            });
            return None;
        }
        (Some(text), None) => (TOKEN, Ok(text.to_owned())),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path);
            let unreadable = |error| format!("cannot be read: {}: {error}", path.display());
            (TOKEN_FILE, text.map_err(unreadable))
        }
    };
    let checked = text.and_then(|text| Secret::bearer(text.trim()).map_err(|error| error.to_string()));
    match checked {
        Ok(token) => {
            notices.extend(in_the_clear(values, listen).then(|| {
                format!(
                    "the api is served without tls, so that {TOKEN} can be read on the way; set tls.cert and tls.key"
                )
            }));
            Some(token)
        }
        Err(reason) => {
            problems.push(Problem::Invalid {
                origin: values.origin(key),
                key,
                reason,
            });
            None
        }
    }
}

fn in_the_clear(values: &Values, listen: &Address) -> bool {
    let is_local = matches!(listen.host.as_deref(), Some("localhost" | "127.0.0.1" | "::1"));
    !values.is_set("tls.cert") && !is_local
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    fn resolve(settings: &[(&str, &str)], listen: &str) -> (Option<Secret>, String, Vec<String>) {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let mut notices = Vec::new();
        let token = token(&values, &listen.parse().unwrap(), &mut problems, &mut notices);
        (token, problems.to_string(), notices)
    }

    const GOOD: &str = "0123456789abcdef";

    #[test]
    fn the_token_comes_from_the_configuration_or_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, format!("{GOOD}\n")).unwrap();
        for (key, value) in [(TOKEN, GOOD), (TOKEN_FILE, file.to_str().unwrap())] {
            let (token, problems, _) = resolve(&[(key, value)], "127.0.0.1:1");
            assert_eq!(token, Some(Secret::new(GOOD)), "{problems}");
        }
        assert_eq!(resolve(&[], ":1"), (None, String::new(), Vec::new()));
    }

    #[test]
    fn a_token_that_cannot_work_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "").unwrap();
        let (empty, gone) = (file.to_str().unwrap(), "/no/such/file");
        let cases = [
            (TOKEN, "hunter2", "16 to 256"),
            (TOKEN, "0123456789 abcdef", "blanks"),
            (TOKEN_FILE, empty, "16 to 256"),
            (TOKEN_FILE, gone, "cannot be read: /no/such/file"),
        ];
        for (key, value, text) in cases {
            let (token, problems, _) = resolve(&[(key, value)], ":1");
            assert!(token.is_none() && problems.contains(text), "{problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
        let (token, problems, _) = resolve(&[(TOKEN, GOOD), (TOKEN_FILE, empty)], ":1");
        assert!(token.is_none() && problems.contains("contradict"), "{problems}");
    }

    #[test]
    fn a_token_that_travels_in_the_clear_is_told_about() {
        assert_eq!(resolve(&[(TOKEN, GOOD)], ":1").2.len(), 1);
        assert_eq!(resolve(&[(TOKEN, GOOD)], "localhost:1").2.len(), 0);
        assert_eq!(resolve(&[(TOKEN, GOOD), ("tls.cert", "c")], ":1").2.len(), 0);
    }
}
