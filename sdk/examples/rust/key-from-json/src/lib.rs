//! Takes the key from a field of the JSON value: a text, or the digits of a number.
//!
//! Settings: `{"field": "$.user.id"}`; with `"required": true` a record without the field is left to the error policy.

use serde::Deserialize;
use strandline_plugin::json::Path;
use strandline_plugin::{Key, Record};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    field: Path,
    #[serde(default)]
    required: bool,
}

#[strandline_plugin::key_extractor(needs(value))]
fn key_from_json(record: &Record<'_>, settings: &Settings) -> Result<Option<Key<'_>>, String> {
    let found = record.json().find(&settings.field);
    let key = found.and_then(|value| match value.number() {
        Some(number) => Some(Key::from(number)),
        None => value.text().map(Key::from),
    });
    match key {
        None if settings.required => Err(format!("no text or number at {}", settings.field)),
        key => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, Extracted, TestRecord, json};

    use super::*;

    #[test]
    fn texts_and_numbers_are_keys() {
        let extractor = testing::key_extractor::<key_from_json>(json!({ "field": "user.id" })).unwrap();
        let key = |value| extractor.key(&TestRecord::new().value(value));
        assert_eq!(key(r#"{"user": {"id": "ada"}}"#).unwrap(), b"ada");
        assert_eq!(key(r#"{"user": {"id": 17}}"#).unwrap(), b"17");
        assert_eq!(key(r#"{"user": {"id": "a\"b"}}"#).unwrap(), b"a\"b");
        assert_eq!(key(r#"{"user": {"id": null}}"#), None);
        assert_eq!(key(r#"{"id": "ada"}"#), None);
        assert_eq!(key("ada"), None);
    }

    #[test]
    fn a_required_field_that_is_missing_is_a_failure() {
        let settings = json!({ "field": "id", "required": true });
        let extractor = testing::key_extractor::<key_from_json>(settings).unwrap();
        assert_eq!(extractor.extract(&TestRecord::new().value("{}")), Extracted::Fail);
        assert_eq!(
            testing::logged()[0].1,
            "no key can be told: no text or number at id"
        );
    }
}
