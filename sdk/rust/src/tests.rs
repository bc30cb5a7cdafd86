//! Plugins of every shape, through the packed bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

use crate::batch::Batch;
use crate::testing::{Extracted, TestRecord, json, logged};
use crate::{Key, Needs, Record, ValueNeed, Verdict, testing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Least {
    least: usize,
}

#[crate::filter(needs(value(prefix = 4)))]
fn long_enough(record: &Record<'_>, settings: &Least) -> Result<Verdict, String> {
    match record.value() {
        b"fail" => Err(format!("fails for {} bytes", record.value_len())),
        b"dead" => Ok(Verdict::dead_letter().because("dead")),
        _ if record.value_len() >= settings.least => Ok(Verdict::pass()),
        _ => Ok(Verdict::drop()),
    }
}

#[crate::filter]
fn everything(record: &Record<'_>) -> bool {
    record.key() == Some(b"k")
        && record.tokens().eq(["a", "b"])
        && record.header_text("x") == Some("1")
        && record
            .headers()
            .map(|header| (header.name(), header.value))
            .eq([("x", &b"1"[..]), ("x", b"2")])
        && record.text() == Some("v")
}

#[crate::filter(needs(key))]
fn needs_too_little(record: &Record<'_>) -> bool {
    record.value().is_empty()
}

#[crate::key_extractor(needs(subject, value))]
fn keys(record: &Record<'_>, settings: &Prefix) -> Result<Option<Key<'_>>, &'static str> {
    match record.token(1) {
        None => Ok(None),
        Some("fail") => Err("told to fail"),
        Some("value") => Ok(Some(record.value().into())),
        Some("settings") => Ok(Some(settings.prefix.as_str().into())),
        Some(token) => Ok(Some(format!("{}{token}", settings.prefix).into())),
    }
}

#[derive(Deserialize)]
struct Prefix {
    prefix: String,
}

#[crate::key_extractor(needs(subject))]
fn last_token(record: &Record<'_>) -> Option<&str> {
    record.tokens().next_back()
}

fn value(value: &str) -> TestRecord {
    TestRecord::new().value(value)
}

#[test]
fn a_filter_gives_every_kind_of_verdict() {
    let filter = testing::filter::<long_enough>(json!({ "least": 3 })).unwrap();
    let records = ["long", "", "dead", "fail", "abc"].map(value);
    let wanted = [
        Verdict::pass(),
        Verdict::drop(),
        Verdict::dead_letter(),
        Verdict::fail(),
        Verdict::pass(),
    ];
    assert_eq!(filter.judge_all(&records), wanted);
    assert_eq!(filter.judge_all(&[]), []);
}

#[test]
fn reasons_are_of_their_own_records() {
    let filter = testing::filter::<long_enough>(json!({ "least": 3 })).unwrap();
    let batch = testing::pack(&["fail, please", "dead", ""].map(value), &filter.needs());
    assert_eq!(filter.explain_packed(&batch), ["fails for 12 bytes", "dead", ""]);
    assert_eq!(filter.reason(&value("")), "");
}

#[test]
fn a_reason_is_not_made_unless_asked_for() {
    struct Unasked;
    impl std::fmt::Display for Unasked {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("nobody asked")
        }
    }
    assert_eq!(Verdict::drop().because(Unasked), Verdict::drop());
}

#[test]
fn a_record_shows_all_of_its_parts() {
    let filter = testing::filter::<everything>(json!({})).unwrap();
    let record = value("v")
        .key("k")
        .subject("a.b")
        .header("x", "1")
        .header("x", "2");
    assert_eq!(filter.needs(), Needs::ALL);
    assert_eq!(filter.judge(&record), Verdict::pass());
    assert_eq!(filter.judge(&record.key("other")), Verdict::drop());
}

#[test]
fn needs_are_those_of_the_attribute() {
    let filter = testing::filter::<long_enough>(json!({ "least": 3 })).unwrap();
    let wanted = Needs {
        value: ValueNeed::Prefix(4),
        ..Needs::NONE
    };
    assert_eq!(filter.needs(), wanted);
}

#[test]
#[should_panic = "reads the value of a record but does not need it"]
fn to_read_what_is_not_needed_is_told_in_tests() {
    let _ = testing::filter::<needs_too_little>(json!({}))
        .unwrap()
        .judge(&value("v"));
}

#[test]
fn settings_that_do_not_fit_are_told_in_a_sentence() {
    let error = |settings| testing::filter::<long_enough>(settings).err().unwrap();
    assert_eq!(
        error(json!({})),
        "the settings do not fit: missing field `least` at line 1 column 2"
    );
    assert!(error(json!({ "least": 1, "most": 2 })).contains("unknown field `most`, expected `least`"));
    assert!(
        testing::filter::<everything>(json!({ "any": 1 }))
            .err()
            .unwrap()
            .contains("unknown field `any`")
    );
}

#[test]
fn keys_are_spans_where_they_stand_in_the_batch_and_literals_elsewhere() {
    let extractor = testing::key_extractor::<keys>(json!({ "prefix": "p-" })).unwrap();
    let subjects = ["s", "s.x", "s.value", "s.fail", "s.settings"];
    let records = subjects.map(|subject| value("v").subject(subject));
    let key = |text: &str| Extracted::Key(text.into());
    let wanted = [Extracted::NoKey, key("p-x"), key("v"), Extracted::Fail, key("p-")];
    assert_eq!(extractor.extract_all(&records), wanted);
    assert_eq!(logged().pop().unwrap().1, "no key can be told: told to fail");
}

#[test]
fn a_span_points_into_the_batch() {
    let extractor = testing::key_extractor::<last_token>(json!({})).unwrap();
    let record = TestRecord::new().subject("a.bc");
    let batch = testing::pack(std::slice::from_ref(&record), &extractor.needs());
    let answer = extractor.extract_packed(&batch);
    assert_eq!(answer, [34_u32.to_le_bytes(), 36_u32.to_le_bytes()].concat());
    assert_eq!(batch[34..36], *b"bc");
}

/// A host of a later version 1.x may lengthen the fixed part.
#[test]
fn a_longer_fixed_part_is_stepped_over() {
    let mut batch = [2_u32, 28].map(u32::to_le_bytes).concat();
    for text in [b"abc", b"xyz"] {
        batch.extend([31_u32, u32::MAX, 0, 0, 3, 3, 77].map(u32::to_le_bytes).concat());
        batch.extend(text);
    }
    let mut values = Vec::new();
    let parsed = Batch::parse(&batch, &Needs::ALL).unwrap();
    parsed
        .for_each(|record| values.push(record.value().to_vec()))
        .unwrap();
    assert_eq!(values, [b"abc", b"xyz"]);
}

#[test]
fn a_malformed_batch_gets_no_verdicts() {
    let filter = testing::filter::<everything>(json!({})).unwrap();
    let whole = testing::pack(&[value("v").key("k").header("x", "1")], &Needs::ALL);
    for end in 0..whole.len() {
        assert!(filter.judge_packed(&whole[..end]).is_empty(), "cut at {end}");
    }
    assert!(filter.judge_packed(&[&whole[..], b"more"].concat()).is_empty());
    assert!(
        logged()
            .iter()
            .all(|(_, text)| text == "the host gave a malformed batch")
    );
}

proptest! {
    #[test]
    fn garbage_is_judged_without_a_panic(bytes in vec(any::<u8>(), 0..200), head in any::<bool>()) {
        let head = if head { [1_u32, 24].map(u32::to_le_bytes).concat() } else { Vec::new() };
        let batch = [head, bytes].concat();
        let verdicts = testing::filter::<everything>(json!({})).unwrap().judge_packed(&batch);
        prop_assert!(verdicts.is_empty() || verdicts.len() == batch[0] as usize);
    }
}
