//! Passes records whose subject has one of some words in a certain place, and sends the others to the dead letters if
//! asked to.
//!
//! Settings: `{"token": 1, "allow": ["eu", "us"], "dead_letter": true}`. Tokens of a subject are counted from 0.

use std::collections::HashSet;

use serde::Deserialize;
use strandline_plugin::{Record, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    token: usize,
    allow: HashSet<String>,
    #[serde(default)]
    dead_letter: bool,
}

#[strandline_plugin::filter(needs(subject))]
fn allow_list(record: &Record<'_>, settings: &Settings) -> Verdict {
    let token = record.token(settings.token);
    if token.is_some_and(|token| settings.allow.contains(token)) {
        return Verdict::pass();
    }
    let verdict = if settings.dead_letter {
        Verdict::dead_letter()
    } else {
        Verdict::drop()
    };
    verdict.because(format_args!("{:?} is not on the list", token.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use strandline_plugin::testing::{self, TestRecord, json};

    use super::*;

    fn on(subject: &str) -> TestRecord {
        TestRecord::new().subject(subject)
    }

    #[test]
    fn only_what_is_on_the_list_passes() {
        let filter = testing::filter::<allow_list>(json!({ "token": 1, "allow": ["eu", "us"] })).unwrap();
        let subjects = ["orders.eu", "orders.us.new", "orders.uk", "eu", "orders.eu2"].map(on);
        let passed: Vec<_> = filter
            .judge_all(&subjects)
            .into_iter()
            .map(Verdict::passes)
            .collect();
        assert_eq!(passed, [true, true, false, false, false]);
        assert_eq!(filter.reason(&on("orders.uk")), "\"uk\" is not on the list");
    }

    #[test]
    fn the_others_go_to_the_dead_letters_if_asked_to() {
        let settings = json!({ "token": 0, "allow": [], "dead_letter": true });
        let filter = testing::filter::<allow_list>(settings).unwrap();
        assert_eq!(filter.judge(&on("orders")), Verdict::dead_letter());
    }
}
