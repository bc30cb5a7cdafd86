//! The configuration in force, setting by setting.

use super::keys;
use super::values::Values;

/// Every setting that has a value, with where that comes from; secrets are not shown. The text is a valid file.
pub(crate) fn show(values: &Values) -> String {
    let mut text = String::new();
    for group in keys::GROUPS {
        let mut lines = String::new();
        for key in group.keys {
            let Some(setting) = values.get(key.name) else {
                continue;
            };
            let Some(value) = &setting.value else { continue };
            let shown = if key.secret {
                "\"***\"".to_owned()
            } else {
                quoted(&value.to_string())
            };
            lines.push_str(&format!("{}: {shown}  # {}\n", key.name, setting.origin));
        }
        if !lines.is_empty() {
            text.push_str(&format!("# {}\n{lines}\n", group.title));
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Quotes what YAML would not read back as the same text.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_');
    let is_list = text.starts_with('[') && text.ends_with(']') && !text.contains(':');
    if is_list
        || (text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-'))
            && text.chars().all(plain))
    {
        return text.to_owned();
    }
    if let Some(items) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix("]"))
        .filter(|items| items.contains("://"))
    {
        let items: Vec<String> = items.split(", ").map(|item| format!("{item:?}")).collect();
        return format!("[{}]", items.join(", "));
    }
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::super::problem::Problems;
    use super::super::value::{Origin, Raw};
    use super::*;

    #[test]
    fn what_is_shown_is_a_file_that_says_the_same_without_secrets() {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): (&str, &str)| {
            (
                name.to_owned(),
                Some(Raw::Text(text.to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        let settings = [
            ("listen", "[::1]:9292"),
            ("host", "a: b # c"),
            ("nats.servers", "nats://a:1,nats://[::1]:2"),
            ("clustering.raft.bootstrap.peers", "a,b"),
            ("nats.user", "u"),
            ("nats.password", "hunter2"),
        ];
        values.lay_over(settings.map(flag).to_vec(), &mut problems);
        let text = show(&values);
        assert!(!text.contains("hunter2"), "{text}");
        let mut again = Values::defaults();
        let entries = file::parse(&text, std::path::Path::new("f")).unwrap().into_iter();
        again.lay_over(
            entries
                .map(|entry| (entry.name, entry.raw, Origin::Default))
                .collect(),
            &mut problems,
        );
        assert_eq!(problems, Problems::default());
        for key in keys::all().filter(|key| !key.secret) {
            let value = |values: &Values| values.get(key.name).and_then(|setting| setting.value.clone());
            assert_eq!(value(&again), value(&values), "{}", key.name);
        }
    }
}
