//! Takes the key of a record from a field of its JSON value.

use serde::Deserialize;
use strandline_plugin::json::Path;
use strandline_plugin::{Key, Record};

/// What an operator writes for an attachment, as JSON: `{"field": "user.id"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to look: `id`, `user.id`, `items[0].id`.
    field: Path,
}

/// Asked about every record without a key. `needs` names what it reads of one: subject, headers, value.
#[strandline_plugin::key_extractor(needs(value))]
fn plugin_name(record: &Record<'_>, settings: &Settings) -> Option<Key<'_>> {
    let found = record.json().find(&settings.field)?;
    match found.number() {
        Some(digits) => Some(Key::from(digits)),
        None => found.text().map(Key::from),
    }
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, TestRecord, json};

    use super::*;

    #[test]
    fn texts_and_numbers_are_keys() {
        let extractor = testing::key_extractor::<plugin_name>(json!({ "field": "user.id" })).unwrap();
        let key = |value| extractor.key(&TestRecord::new().value(value));
        assert_eq!(key(r#"{"user": {"id": "ada"}}"#).unwrap(), b"ada");
        assert_eq!(key(r#"{"user": {"id": 17}}"#).unwrap(), b"17");
        assert_eq!(key(r#"{"user": "ada"}"#), None);
    }
}
