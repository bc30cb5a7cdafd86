//! The example plugins of `sdk/examples`, in all of their languages, on the real host. `tests/run` builds them and names their
//! directory in STRANDLINE_TEST_PLUGINS.

#![expect(clippy::expect_used, reason = "in what the tests share")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use strandline_plugins::{
    AttachError, AttachOptions, Attachment, Found, Host, HostSettings, Judgement, Keys, Packer, Parts,
    Verdict, World,
};

static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(HostSettings::default()).expect("host"));

fn directory() -> Option<PathBuf> {
    std::env::var_os("STRANDLINE_TEST_PLUGINS").map(PathBuf::from)
}

fn try_attach(directory: &Path, name: &str, world: World, settings: &str) -> Result<Attachment, AttachError> {
    let bytes = std::fs::read(directory.join(format!("{name}.wasm"))).expect("tests/run has built it");
    let module = HOST.load(&bytes).expect(name);
    let settings = settings.to_owned();
    HOST.attach(
        &module,
        AttachOptions {
            settings,
            ..AttachOptions::new(world)
        },
    )
}

/// A record with these parts.
fn record<'a>(
    key: Option<&'a str>,
    subject: &'a str,
    headers: &'a [(&'a [u8], &'a [u8])],
    value: &'a str,
) -> Parts<'a> {
    Parts {
        key: key.map(str::as_bytes),
        subject: subject.as_bytes(),
        headers,
        value: value.as_bytes(),
    }
}

fn with_value(value: &str) -> Parts<'_> {
    record(None, "s", &[], value)
}

fn packed(attachment: &Attachment, records: &[Parts<'_>]) -> Packer {
    let mut packer = Packer::new();
    packer.begin(attachment.needs(), usize::MAX);
    assert!(records.iter().all(|record| packer.push_parts(record)));
    packer
}

/// The verdicts on the records: `p` pass, `d` drop, `q` dead-letter, `f` fail, as the plugin said itself.
fn judged(attachment: &Attachment, records: &[Parts<'_>]) -> String {
    let mut out = Judgement::new();
    attachment.judge(packed(attachment, records).batch(), &mut out);
    let letter = |verdict| match verdict {
        Verdict::Drop => 'd',
        Verdict::Pass => 'p',
        Verdict::DeadLetter => 'q',
        Verdict::Fail => 'f',
    };
    out.verdicts().map(letter).collect()
}

fn explained(attachment: &Attachment, record: Parts<'_>) -> String {
    attachment
        .explain(packed(attachment, &[record]).batch())
        .remove(0)
}

fn key(attachment: &Attachment, record: Parts<'_>) -> Option<String> {
    let mut packer = packed(attachment, &[record]);
    let mut keys = Keys::new();
    let batch = packer.batch();
    attachment.extract(batch, &mut keys);
    match keys.get(batch, 0) {
        Found::Key(key) => Some(String::from_utf8(key.to_vec()).expect("keys of these tests are text")),
        Found::NoKey => None,
        Found::Failed => Some("failed".to_owned()),
    }
}

fn filter(name: &str, settings: &str, check: impl FnOnce(&Attachment)) {
    if let Some(directory) = directory() {
        check(&try_attach(&directory, name, World::Filter, settings).expect(name));
    }
}

fn extractor(name: &str, settings: &str, check: impl FnOnce(&Attachment)) {
    if let Some(directory) = directory() {
        check(&try_attach(&directory, name, World::KeyExtractor, settings).expect(name));
    }
}

#[test]
fn json_field() {
    filter(
        "json_field",
        r#"{"field": "$.log.level", "any_of": ["error", 50]}"#,
        |attached| {
            let values = [
                r#"{"log": {"level": "error"}}"#,
                r#"{"log": {"level": 50.0}}"#,
                r#"{"log": {}}"#,
                "no JSON",
            ];
            assert_eq!(judged(attached, &values.map(with_value)), "ppdd");
            assert_eq!(
                explained(attached, with_value("{}")),
                "it has no field $.log.level"
            );
        },
    );
}

#[test]
fn header_match() {
    filter(
        "header_match",
        r#"{"header": "Region", "starts_with": "eu-"}"#,
        |attached| {
            let headers: [&[(&[u8], &[u8])]; 3] = [
                &[(b"A", b"b"), (b"Region", b"eu-1")],
                &[(b"Region", b"us-1")],
                &[],
            ];
            assert_eq!(
                judged(attached, &headers.map(|headers| record(None, "s", headers, ""))),
                "pdd"
            );
        },
    );
}

#[test]
fn allow_list() {
    filter(
        "allow_list",
        r#"{"token": 1, "allow": ["eu"], "dead_letter": true}"#,
        |attached| {
            let subjects = ["orders.eu", "orders.us", "eu"];
            assert_eq!(
                judged(attached, &subjects.map(|subject| record(None, subject, &[], ""))),
                "pqq"
            );
        },
    );
}

#[test]
fn sample() {
    filter("sample", r#"{"percent": 50}"#, |attached| {
        let keys = (0..1_000).map(|key| format!("user-{key}")).collect::<Vec<_>>();
        let records = keys
            .iter()
            .map(|key| record(Some(key), "s", &[], ""))
            .collect::<Vec<_>>();
        let verdicts = judged(attached, &records);
        let passed = verdicts.matches('p').count();
        assert!((400..600).contains(&passed), "{passed}");
        assert_eq!(judged(attached, &records[..100]), verdicts[..100]);
    });
}

#[test]
fn least_in_go() {
    filter("least", r#"{"field": "amount", "least": 100}"#, |attached| {
        let values = [
            r#"{"amount": 100}"#,
            r#"{"amount": 99.5}"#,
            r#"{"amount": "100"}"#,
            "{}",
        ];
        assert_eq!(judged(attached, &values.map(with_value)), "pdfd");
        assert_eq!(
            explained(attached, with_value(r#"{"amount": 1}"#)),
            "its amount is 1, less than 100"
        );
        // Enough garbage for the collector of Go to run many times.
        let large = format!("{{\"pad\": \"{}\", \"amount\": 250}}", "x".repeat(1_000));
        let many = vec![with_value(&large); 1_000];
        for _ in 0..50 {
            assert_eq!(judged(attached, &many), "p".repeat(1_000));
        }
    });
}

#[test]
fn key_from_json() {
    extractor(
        "key_from_json",
        r#"{"field": "user.id", "required": true}"#,
        |attached| {
            assert_eq!(
                key(attached, with_value(r#"{"user": {"id": "ada"}}"#)).unwrap(),
                "ada"
            );
            assert_eq!(
                key(attached, with_value(r#"{"user": {"id": "a\"b"}}"#)).unwrap(),
                "a\"b"
            );
            assert_eq!(key(attached, with_value("{}")).unwrap(), "failed");
            assert!(
                attached.log().read(0, 10).lines[0]
                    .text
                    .contains("no text or number at user.id")
            );
        },
    );
}

#[test]
fn key_from_subject() {
    extractor("key_from_subject", r#"{"token": 1}"#, |attached| {
        assert_eq!(
            key(attached, record(None, "sensors.device-7.heat", &[], "")).unwrap(),
            "device-7"
        );
        assert_eq!(key(attached, record(None, "sensors", &[], "")), None);
    });
}

#[test]
fn column_in_c() {
    extractor("column", r#"{"column": 1, "divider": ";"}"#, |attached| {
        assert_eq!(key(attached, with_value("a;bc;d")).unwrap(), "bc");
        assert_eq!(key(attached, with_value("a")), None);
    });
}

#[test]
fn settings_that_do_not_fit_are_refused_in_every_language() {
    let Some(directory) = directory() else { return };
    for (name, world, text) in [
        ("json_field", World::Filter, "missing field `field`"),
        ("least", World::Filter, "field is missing"),
        ("column", World::KeyExtractor, "column is missing"),
    ] {
        let error = try_attach(&directory, name, world, "{}")
            .expect_err(name)
            .to_string();
        assert!(error.contains(text), "{name}: {error}");
    }
}
