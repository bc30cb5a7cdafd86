//! What is wrong with an attribute or its function is said in a sentence that shows the way out.

use proc_macro2::TokenStream;

use crate::plugin::{World, expand};

fn expanded(world: World, attribute: &str, function: &str) -> String {
    let parse = |text: &str| text.parse::<TokenStream>().unwrap();
    expand(world, parse(attribute), parse(function)).to_string()
}

/// The text of the error.
fn error(attribute: &str, function: &str) -> String {
    let expanded = expanded(World::Filter, attribute, function);
    let text = expanded.split('"').nth(1);
    assert!(expanded.contains("compile_error"), "{expanded}");
    text.unwrap().to_owned()
}

const FUNCTION: &str = "fn f(record: &Record<'_>, settings: &Settings) -> Verdict { todo!() }";

#[test]
fn a_mistake_in_the_attribute_is_explained() {
    for (attribute, text) in [
        (
            "needs(values)",
            "no part of a record is called `values`: a plugin needs key, subject, headers, value or",
        ),
        ("needs(key, key)", "`key` is said twice"),
        (
            "needs(value(first = 3))",
            "of a value there is the whole, `value`, or `value(prefix = BYTES)`",
        ),
        (
            "needs(value(prefix = 5000000000))",
            "number too large to fit in target type",
        ),
        (
            "need(key)",
            "unknown argument `need`: there is needs(…), and a plugin needs",
        ),
        ("needs(key), more", "nothing more can follow the needs"),
    ] {
        let error = error(attribute, FUNCTION);
        assert!(error.starts_with(text), "{attribute}: {error}");
    }
}

#[test]
fn a_function_that_does_not_fit_is_explained() {
    for (function, text) in [
        (
            "async fn f(record: &Record<'_>) -> bool { true }",
            "a plugin's function cannot be async; a filter is `fn name(",
        ),
        (
            "unsafe fn f(record: &Record<'_>) -> bool { true }",
            "a plugin's function cannot be unsafe; a filter is",
        ),
        (
            "fn f<T>(record: &Record<'_>) -> bool { true }",
            "a plugin's function cannot be generic; a filter is",
        ),
        (
            "fn f(record: &Record<'_>) {}",
            "the answer is missing; a filter is",
        ),
        ("fn f() -> bool { true }", "a filter is `fn name(record"),
        (
            "fn f(record: Record<'_>) -> bool { true }",
            "this is handed in by reference; a filter is",
        ),
        (
            "fn f(record: &Record<'_>, settings: &mut Settings) -> bool { true }",
            "this is handed in by reference",
        ),
    ] {
        let error = error("", function);
        assert!(error.starts_with(text), "{function}: {error}");
    }
}

#[test]
fn a_function_with_an_error_is_still_there() {
    assert!(expanded(World::Filter, "needs(x)", FUNCTION).contains("fn f (record"));
}

#[test]
fn lifetimes_that_were_left_out_are_those_of_the_record() {
    for (output, wanted) in [
        ("Option<Key<'_>>", "Option < Key < 'record > >"),
        (
            "Result<Option<&str>, String>",
            "Result < Option < & 'record str > , String >",
        ),
        ("Key<'static>", "Key < 'static >"),
    ] {
        let function = format!("fn f(record: &Record, settings: &Settings) -> {output} {{ todo!() }}");
        let expanded = expanded(World::KeyExtractor, "", &function);
        let signature = format!(
            "fn f < 'record > (record : & Record < 'record > , settings : & 'record Settings) -> {wanted}"
        );
        let packed = |text: &str| text.split_whitespace().collect::<String>();
        assert!(packed(&expanded).contains(&packed(&signature)), "{expanded}");
    }
}

#[test]
fn lifetimes_that_were_given_stay() {
    let function = "fn f<'a>(record: &Record<'a>, settings: &'a Settings) -> Option<Key<'a>> { todo!() }";
    let expanded = expanded(World::KeyExtractor, "needs(key)", function);
    assert!(
        expanded.contains("'a") && !expanded.contains("'record"),
        "{expanded}"
    );
}
