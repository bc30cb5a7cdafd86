//! Passes records whose JSON value has a field that equals one of some values.
//!
//! Settings: `{"field": "$.level", "any_of": ["error", "fatal"]}`. The field is a path; the values are texts, numbers,
//! truth values or null.

use serde::Deserialize;
use strandline_plugin::json::{Path, Value};
use strandline_plugin::{Record, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    field: Path,
    any_of: Vec<Scalar>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Scalar {
    fn is(&self, value: Value<'_>) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Bool(wanted) => value.as_bool() == Some(*wanted),
            Self::Number(wanted) => value.as_f64() == Some(*wanted),
            Self::Text(wanted) => value == wanted.as_str(),
        }
    }
}

#[strandline_plugin::filter(needs(value))]
fn json_field(record: &Record<'_>, settings: &Settings) -> Verdict {
    let Some(found) = record.json().find(&settings.field) else {
        return Verdict::drop().because(format_args!("it has no field {}", settings.field));
    };
    if settings.any_of.iter().any(|wanted| wanted.is(found)) {
        Verdict::pass()
    } else {
        let raw = String::from_utf8_lossy(found.raw().unwrap_or_default());
        Verdict::drop().because(format_args!("its {} is {raw}", settings.field))
    }
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, FilterTest, TestRecord, json};

    use super::*;

    fn errors() -> FilterTest<json_field> {
        testing::filter(json!({ "field": "$.level", "any_of": ["error", 50, null] })).unwrap()
    }

    #[test]
    fn texts_numbers_and_null_pass() {
        for level in [json!("error"), json!(50), json!(50.0), json!(null)] {
            let record = TestRecord::new().json(json!({ "time": 1, "level": level, "text": "level" }));
            assert_eq!(errors().judge(&record), Verdict::pass(), "{level}");
        }
    }

    #[test]
    fn what_is_dropped_is_dropped_for_a_reason() {
        let info = TestRecord::new().json(json!({ "level": "info" }));
        assert_eq!(errors().judge(&info), Verdict::drop());
        assert_eq!(errors().reason(&info), "its $.level is \"info\"");
        let other = TestRecord::new().json(json!({ "text": "error" }));
        assert_eq!(errors().reason(&other), "it has no field $.level");
        assert_eq!(
            errors().judge(&TestRecord::new().value("level=error")),
            Verdict::drop()
        );
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        let error = testing::filter::<json_field>(json!({ "field": "$level", "any_of": [] }))
            .err()
            .unwrap();
        assert!(error.contains("no path into JSON"), "{error}");
    }
}
