//! Takes the key from a token of the subject: `device-7` of `sensors.device-7.temperature`.
//!
//! Settings: `{"token": 1}`. Tokens are counted from 0; a subject with fewer leaves its record without a key.

use serde::Deserialize;
use strandline_plugin::Record;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    token: usize,
}

#[strandline_plugin::key_extractor(needs(subject))]
fn key_from_subject(record: &Record<'_>, settings: &Settings) -> Option<&str> {
    record.token(settings.token)
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, TestRecord, json};

    use super::*;

    #[test]
    fn the_token_is_the_key() {
        let extractor = testing::key_extractor::<key_from_subject>(json!({ "token": 1 })).unwrap();
        let key = |subject| extractor.key(&TestRecord::new().subject(subject));
        assert_eq!(key("sensors.device-7.temperature").unwrap(), b"device-7");
        assert_eq!(key("sensors"), None);
    }
}
