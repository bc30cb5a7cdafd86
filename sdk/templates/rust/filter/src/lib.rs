//! Passes records whose JSON value has a certain text in one of its fields.

use serde::Deserialize;
use strandline_plugin::json::Path;
use strandline_plugin::{Record, Verdict};

/// What an operator writes for an attachment, as JSON: `{"field": "level", "is": "error"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to look: `level`, `user.name`, `items[0].id`.
    field: Path,
    /// What has to stand there.
    is: String,
}

/// Asked about every record. `needs` names what it reads of one: key, subject, headers, value.
#[strandline_plugin::filter(needs(value))]
fn plugin_name(record: &Record<'_>, settings: &Settings) -> Verdict {
    match record.json().find(&settings.field) {
        Some(found) if found == settings.is.as_str() => Verdict::pass(),
        Some(_) => Verdict::drop().because(format_args!("its {} is not {}", settings.field, settings.is)),
        None => Verdict::drop().because(format_args!("it has no {}", settings.field)),
    }
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, FilterTest, TestRecord, json};

    use super::*;

    fn errors() -> FilterTest<plugin_name> {
        testing::filter(json!({ "field": "level", "is": "error" })).unwrap()
    }

    #[test]
    fn only_errors_pass() {
        let error = TestRecord::new().json(json!({ "level": "error", "text": "disk full" }));
        let info = TestRecord::new().json(json!({ "level": "info" }));
        assert_eq!(
            errors().judge_all(&[error, info]),
            [Verdict::pass(), Verdict::drop()]
        );
    }

    #[test]
    fn what_is_dropped_is_dropped_for_a_reason() {
        let info = TestRecord::new().json(json!({ "level": "info" }));
        assert_eq!(errors().reason(&info), "its level is not error");
        assert_eq!(
            errors().reason(&TestRecord::new().value("no JSON")),
            "it has no level"
        );
    }
}
