//! Passes records with a header of a certain value.
//!
//! Settings: `{"header": "Content-Type", "equals": "application/json"}`; `"starts_with"` in place of `"equals"`
//! compares the start, and without either the header only has to be there.

use serde::Deserialize;
use strandline_plugin::{Record, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    header: String,
    equals: Option<String>,
    starts_with: Option<String>,
}

#[strandline_plugin::filter(needs(headers))]
fn header_match(record: &Record<'_>, settings: &Settings) -> Verdict {
    let Some(value) = record.header(&settings.header) else {
        return Verdict::drop().because(format_args!("it has no header {}", settings.header));
    };
    let equals = settings
        .equals
        .as_ref()
        .is_none_or(|wanted| value == wanted.as_bytes());
    let starts = settings
        .starts_with
        .as_ref()
        .is_none_or(|start| value.starts_with(start.as_bytes()));
    if equals && starts {
        Verdict::pass()
    } else {
        Verdict::drop().because(format_args!(
            "its {} is {}",
            settings.header,
            value.escape_ascii()
        ))
    }
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, JsonValue, TestRecord, json};

    use super::*;

    fn verdict(settings: JsonValue, value: &str) -> Verdict {
        let record = TestRecord::new().header("Other", "x").header("Region", value);
        testing::filter::<header_match>(settings).unwrap().judge(&record)
    }

    #[test]
    fn values_are_compared_whole_or_by_their_start() {
        assert_eq!(
            verdict(json!({ "header": "Region", "equals": "eu-1" }), "eu-1"),
            Verdict::pass()
        );
        assert_eq!(
            verdict(json!({ "header": "Region", "equals": "eu-1" }), "eu-10"),
            Verdict::drop()
        );
        assert_eq!(
            verdict(json!({ "header": "Region", "starts_with": "eu-" }), "eu-10"),
            Verdict::pass()
        );
        assert_eq!(
            verdict(json!({ "header": "Region", "starts_with": "us-" }), "eu-1"),
            Verdict::drop()
        );
    }

    #[test]
    fn without_a_value_the_header_has_to_be_there() {
        assert_eq!(verdict(json!({ "header": "Region" }), ""), Verdict::pass());
        assert_eq!(verdict(json!({ "header": "region" }), ""), Verdict::drop());
    }

    #[test]
    fn the_reason_shows_what_was_found() {
        let filter = testing::filter::<header_match>(json!({ "header": "Region", "equals": "eu" })).unwrap();
        assert_eq!(
            filter.reason(&TestRecord::new().header("Region", "us")),
            "its Region is us"
        );
        assert_eq!(filter.reason(&TestRecord::new()), "it has no header Region");
    }
}
