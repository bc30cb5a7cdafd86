//! What is found is what serde_json finds; what is no JSON does no harm.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value as Parsed;

use super::*;

fn find<'v>(text: &'v str, path: &str) -> Option<Value<'v>> {
    Value::new(text.as_bytes()).find(&path.parse().unwrap())
}

fn raw<'v>(text: &'v str, path: &str) -> Option<&'v str> {
    find(text, path)?
        .raw()
        .map(|raw| std::str::from_utf8(raw).unwrap())
}

const ORDER: &str = r#" { "id" : 17, "user": {"name": "Ada", "a.b": [true, null], "id": 3}, "total": -12.50,
    "note": "}]{[\"\\", "tags": [ "x", {"y": [1, [2, 3]]} , [] ], "empty": {} , "last": false } "#;

#[test]
fn fields_and_elements_are_found_at_any_depth() {
    assert_eq!(raw(ORDER, "id"), Some("17"));
    assert_eq!(raw(ORDER, "user.id"), Some("3"));
    assert_eq!(raw(ORDER, "$.user['a.b'][1]"), Some("null"));
    assert_eq!(raw(ORDER, "$[\"user\"].name"), Some("\"Ada\""));
    assert_eq!(raw(ORDER, "tags[1].y[1][0]"), Some("2"));
    assert_eq!(raw(ORDER, "last"), Some("false"));
    assert_eq!(raw(ORDER, "tags[2]"), Some("[]"));
    assert_eq!(raw("[[1], [2]]", "[1][0]"), Some("2"));
    assert_eq!(raw(" 5 ", "$"), Some("5"));
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "name",
        "user.name.x",
        "tags[3]",
        "tags.x",
        "user[0]",
        "empty.x",
        "tags[2][0]",
        "id[0]",
    ] {
        assert!(find(ORDER, path).is_none(), "{path}");
    }
}

#[test]
fn values_are_read_as_what_they_are() {
    let get = |path| find(ORDER, path).unwrap();
    assert_eq!(get("id").as_u64(), Some(17));
    assert_eq!(get("total").as_f64(), Some(-12.5));
    assert_eq!(get("total").as_i64(), None);
    assert_eq!(get("user.name").as_str(), Some("Ada"));
    assert_eq!(get("last").as_bool(), Some(false));
    assert!(get("user['a.b'][1]").is_null());
    assert_eq!(get("note").as_str(), None);
    assert_eq!(get("note").text().unwrap(), "}]{[\"\\");
    assert!(get("note") == "}]{[\"\\");
    assert!(get("id") != "17" && get("user.name") != "Adam" && get("user.name") == "Ada");
    assert_eq!(get("user").kind(), Some(Kind::Object));
    assert_eq!(get("tags").kind(), Some(Kind::Array));
    for path in ["user.name", "user", "tags", "last"] {
        assert_eq!(
            (get(path).as_i64(), get(path).as_f64(), get(path).is_null()),
            (None, None, false)
        );
    }
}

#[test]
fn escapes_mean_what_json_says() {
    let text = r#"{"a\u0062\"c": "\u00e9\ud83d\ude00\/\b\f\n\r\t", "half": "\ud83d", "bad": "\x"}"#;
    assert!(find(text, "$['ab\"c']").unwrap() == "é😀/\u{8}\u{c}\n\r\t");
    for path in ["half", "bad"] {
        assert_eq!(find(text, path).unwrap().text(), None);
    }
}

#[test]
fn text_that_breaks_off_gives_what_stands_before() {
    let text = r#"{"a": 1, "b": {"c": "x"#;
    assert_eq!(raw(text, "a"), Some("1"));
    assert_eq!(find(text, "b.c").unwrap().text(), None);
    assert_eq!(raw(text, "b"), None);
    assert!(find(text, "d").is_none());
}

#[test]
fn a_number_is_only_what_json_calls_one() {
    for text in ["-infinity", "-nan", "+1", ".5", "1_0", "0x1", "-", ""] {
        assert_eq!(Value::new(text.as_bytes()).as_f64(), None, "{text}");
    }
}

#[test]
fn nesting_takes_no_stack() {
    let deep = format!(
        "{{\"deep\": {}{}, \"a\": 1}}",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert_eq!(raw(&deep, "a"), Some("1"));
}

#[test]
fn a_path_says_what_is_wrong_with_it() {
    let error = |path: &str| path.parse::<Path>().unwrap_err().to_string();
    assert_eq!(
        error("a..b"),
        "\"a..b\" is no path into JSON, at byte 1: a name is missing"
    );
    assert_eq!(
        error("$.a[x]"),
        "\"$.a[x]\" is no path into JSON, at byte 3: between brackets stands a number from 0, or a name in quotes"
    );
    for (path, problem) in [
        ("", "it is empty"),
        ("$a", "a dot or a bracket is missing"),
        ("a[0", "a closing bracket is missing"),
        ("a['x]", "the quote is not closed"),
        ("a['x'", "a closing bracket is missing"),
        ("a]", "a name with a bracket"),
        ("a[0]b", "a dot or a bracket is missing"),
        ("a[+1]", "between brackets"),
    ] {
        assert!(error(path).contains(problem), "{path}: {}", error(path));
    }
}

#[test]
fn a_path_is_a_string_in_settings() {
    let path: Path = serde_json::from_str("\"$.a[2]\"").unwrap();
    assert_eq!(path, "$.a[2]".parse().unwrap());
    assert_eq!(serde_json::to_string(&path).unwrap(), "\"$.a[2]\"");
    let error = serde_json::from_str::<Path>("\"a.\"").unwrap_err();
    assert!(
        error.to_string().contains("at byte 1: a name is missing"),
        "{error}"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"\\\\{}\\[\\],:.é😀\n]{0,12}", "[a-z]{1,20}"]
}

fn any_json() -> impl Strategy<Value = Parsed> {
    let leaf = prop_oneof![
        Just(Parsed::Null),
        any::<bool>().prop_map(Parsed::from),
        any::<i64>().prop_map(Parsed::from),
        // serde_json itself does not read every number exactly as it was written.
        any::<i32>().prop_map(|number| Parsed::from(f64::from(number) / 8.0)),
        any_text().prop_map(Parsed::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Parsed::from),
            btree_map(any_text(), inner, 0..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// Every value below is found where it is, and is what it is.
fn check(value: Value<'_>, parsed: &Parsed) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        &serde_json::from_slice::<Parsed>(value.raw().unwrap()).unwrap(),
        parsed
    );
    prop_assert_eq!(value.is_null(), parsed.is_null());
    prop_assert_eq!(value.as_bool(), parsed.as_bool());
    prop_assert_eq!(value.as_i64(), parsed.as_i64());
    prop_assert_eq!(value.as_f64().is_some(), parsed.is_number());
    let text = value.text();
    prop_assert_eq!(text.as_deref(), parsed.as_str());
    prop_assert!(parsed.as_str().is_none_or(|text| value == text));
    for (name, inner) in parsed.as_object().into_iter().flatten() {
        check(value.field(name).unwrap(), inner)?;
    }
    for (index, inner) in parsed.as_array().into_iter().flatten().enumerate() {
        check(value.index(index).unwrap(), inner)?;
    }
    let length = parsed.as_array().map_or(0, Vec::len);
    prop_assert!(value.index(length).is_none() && value.field("not there").is_none());
    Ok(())
}

/// Asks for everything that can be asked for.
fn ask(text: &[u8]) {
    for path in ["$", "a", "a.b", "[1]", "a[0].b", "b[2]"] {
        if let Some(value) = Value::new(text).find(&path.parse().unwrap()) {
            let _ = (
                value.kind(),
                value.raw(),
                value.text(),
                value.as_f64(),
                value.as_bool(),
                value == "a",
            );
        }
    }
}

proptest! {
    #[test]
    fn all_that_serde_json_finds_is_found(parsed in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&parsed) } else { serde_json::to_string(&parsed) }.unwrap();
        check(Value::new(text.as_bytes()), &parsed)?;
    }

    #[test]
    fn damaged_json_does_no_harm(
        parsed in any_json(),
        at in any::<prop::sample::Index>(),
        byte in prop::option::of(any::<u8>()),
    ) {
        let mut text = serde_json::to_vec(&parsed).unwrap();
        let at = at.index(text.len());
        match byte {
            Some(byte) => text[at] = byte,
            None => text.truncate(at),
        }
        ask(&text);
    }

    #[test]
    fn garbage_does_no_harm(text in "[a-b\"\\\\{}\\[\\],:0-9 \n]{0,64}", bytes in vec(any::<u8>(), 0..64)) {
        ask(text.as_bytes());
        ask(&bytes);
    }
}
