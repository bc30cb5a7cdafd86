//! What plugins may do, and what comes of it.

#![expect(clippy::expect_used, clippy::panic, reason = "in what the tests share")]

mod guests;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::BytesMut;
use guests::{ACCEPT_ALL, ACCEPT_ALL_VALUES, Guest, JOKER, KEYS};
use proptest::prelude::*;
use strandline_core::record::{Fields, RecordIter, append_record};
use strandline_plugins::{
    AttachError, AttachOptions, Attachment, BreakerState, Cause, Found, Host, HostSettings, Judgement, Keys,
    Level, Limits, Needs, Origin, Packer, Parts, Source, ValueNeed, Verdict, World,
};

static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(HostSettings::default()).expect("host"));

fn attach_to(host: &Host, guest: &Guest, options: AttachOptions) -> Attachment {
    let module = host.load(&guest.wasm()).expect("module");
    host.attach(&module, options).expect("attachment")
}

/// With a budget that no test reaches, however busy the machine is.
fn filter(guest: &Guest) -> Attachment {
    attach_to(&HOST, guest, patient())
}

fn filter_with_budget(guest: &Guest, millis: u64) -> Attachment {
    attach_to(&HOST, guest, with_budget(millis))
}

fn extractor(guest: &Guest) -> Attachment {
    let world = World::KeyExtractor;
    attach_to(&HOST, guest, AttachOptions { world, ..patient() })
}

fn with_budget(millis: u64) -> AttachOptions {
    let limits = Limits {
        budget: Duration::from_millis(millis),
        ..Limits::default()
    };
    AttachOptions {
        limits,
        ..AttachOptions::new(World::Filter)
    }
}

fn patient() -> AttachOptions {
    with_budget(60_000)
}

/// Packs values, all in one batch.
fn packed(needs: Needs, values: &[&[u8]]) -> Packer {
    let mut packer = Packer::new();
    packer.begin(needs, usize::MAX);
    for value in values {
        assert!(packer.push_parts(&Parts {
            key: None,
            subject: b"s",
            headers: &[],
            value
        }));
    }
    packer
}

/// One verdict a value, as letters: `p` pass, `d` drop, `q` dead-letter, `f` the plugin's own failure, else the cause's letter.
fn letters(attachment: &Attachment, values: &[&[u8]]) -> String {
    let mut packer = packed(attachment.needs(), values);
    let mut out = Judgement::new();
    attachment.judge(packer.batch(), &mut out);
    assert_eq!(out.len(), values.len());
    (0..values.len()).map(|index| letter(&out, index)).collect()
}

fn letter(out: &Judgement, index: usize) -> char {
    match (
        out.verdict(index),
        out.failure(index).map(|failure| failure.cause()),
    ) {
        (Verdict::Pass, None) => 'p',
        (Verdict::Drop, None) => 'd',
        (Verdict::DeadLetter, None) => 'q',
        (Verdict::Fail, Some(cause)) => match cause {
            Cause::Said => 'f',
            Cause::Trap => 'T',
            Cause::Deadline => 'L',
            Cause::Memory => 'M',
            Cause::Malformed => 'W',
            Cause::Unresolved => 'U',
            Cause::BreakerOpen => 'B',
            Cause::Start => 'S',
        },
        other => panic!("{other:?}"),
    }
}

/// Each character is the value of a record.
fn judged(attachment: &Attachment, values: &str) -> String {
    let values: Vec<&[u8]> = values.as_bytes().chunks(1).collect();
    letters(attachment, &values)
}

#[test]
fn verdicts_come_back_in_order() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, "adqf-"), "pdqfp");
    let numbers = joker.numbers();
    assert_eq!([numbers.records, numbers.passed, numbers.dropped], [5, 2, 1]);
    assert_eq!([numbers.dead_lettered, numbers.failed, numbers.calls], [1, 1, 1]);
    assert_eq!(numbers.histogram.iter().sum::<u64>(), 1);
    assert!(numbers.memory_bytes >= 4 << 16 && numbers.instances == 1);
}

#[test]
fn an_empty_batch_asks_nobody() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, ""), "");
    assert_eq!(joker.numbers().calls, 0);
    let mut packer = Packer::new();
    let mut out = Judgement::new();
    joker.judge(packer.batch(), &mut out);
    assert!(out.is_empty() && out.all_pass());
}

#[test]
fn values_of_no_bytes_and_of_a_mebibyte_and_more_than_a_batch_pass() {
    let all = filter(&ACCEPT_ALL_VALUES);
    let (mebibyte, large) = (vec![7; 1 << 20], vec![7; 5 << 20]);
    assert_eq!(letters(&all, &[b"", &mebibyte, b"x"]), "ppp");
    let mut packer = packed(all.needs(), &[&large]);
    assert!(
        !packer.push_parts(&Parts {
            key: None,
            subject: b"",
            headers: &[],
            value: b""
        }),
        "full"
    );
    let mut out = Judgement::new();
    all.judge(packer.batch(), &mut out);
    assert!(out.all_pass());
    assert_eq!(judged(&filter(&JOKER), ""), "");
    assert_eq!(letters(&filter(&JOKER), &[b"", b"d"]), "pd");
}

#[test]
fn a_record_that_traps_fails_alone() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, "aadtaaaqaaa"), "ppdTpppqppp");
    assert_eq!(judged(&joker, "t"), "T");
    let numbers = joker.numbers();
    assert!(numbers.traps >= 4, "{numbers:?}");
    let lines = joker.log().read(0, 100).lines;
    assert!(
        lines
            .iter()
            .any(|line| line.source == Source::Host && line.text.contains("judge trapped: wasm")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.text.starts_with("at ")),
        "the calls that led there: {lines:?}"
    );
}

#[test]
fn endless_recursion_and_a_memory_bomb_fail_alone() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, "aara"), "ppTp");
    assert_eq!(judged(&joker, "aama"), "ppMp");
    let numbers = joker.numbers();
    assert!(numbers.memory_failures > 0);
    assert!(
        numbers.memory_bytes <= 2 * (64 << 20),
        "the bombs' memory is given back: {numbers:?}"
    );
}

#[test]
fn an_endless_loop_fails_alone_and_within_the_budget() {
    // On a busy machine the budget may end before everything is known; what is known is right then, too.
    let is_resolved = (0..10).any(|_| {
        let joker = filter_with_budget(&JOKER, 3_000);
        let start = std::time::Instant::now();
        let judged = judged(&joker, "aaaaaaaaaaaaaaalaaaaaaaaadaaaaaa");
        assert!(start.elapsed() < Duration::from_secs(60), "it ends at all");
        assert!(joker.numbers().deadlines > 1);
        let right = "pppppppppppppppLpppppppppdpppppp";
        let is_right = |(found, right)| found == right || found == 'U';
        assert!(judged.chars().zip(right.chars()).all(is_right), "{judged}");
        judged == right
    });
    assert!(is_resolved);
}

#[test]
fn what_is_unresolved_when_the_budget_ends_fails() {
    let joker = filter_with_budget(&JOKER, 10);
    let judged = judged(&joker, &"l".repeat(200));
    assert!(
        judged.contains('U') && judged.chars().all(|letter| "LUS".contains(letter)),
        "{judged}"
    );
}

#[test]
fn answers_of_the_wrong_length_and_bytes_that_are_no_verdicts_are_bisected() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, "aavad"), "ppWpd");
    assert_eq!(judged(&joker, "aawad"), "ppWpd");
    assert!(joker.numbers().malformed >= 4);
}

#[test]
fn a_plugin_that_keeps_failing_is_left_alone_and_tried_again() {
    let failing = |cool_down| {
        let mut settings = HostSettings::default();
        settings.breaker.cool_down = cool_down;
        let host = Host::new(settings).expect("host");
        let joker = attach_to(&host, &JOKER, patient());
        for _ in 0..5 {
            assert_eq!(judged(&joker, "tt"), "TT");
        }
        assert_eq!(joker.numbers().breaker, BreakerState::Open);
        joker
    };
    let left_alone = failing(Duration::from_secs(3_600));
    let calls = left_alone.numbers().calls;
    assert_eq!(judged(&left_alone, "aa"), "BB");
    let numbers = left_alone.numbers();
    assert_eq!(
        (numbers.calls, numbers.refused_batches),
        (calls, 1),
        "nobody is asked"
    );
    let tried_again = failing(Duration::ZERO);
    assert_eq!(judged(&tried_again, "aa"), "pp");
    let numbers = tried_again.numbers();
    assert_eq!(
        (numbers.breaker, numbers.breaker_openings, numbers.refused_batches),
        (BreakerState::Closed, 1, 0)
    );
}

#[test]
fn single_poison_records_do_not_open_the_breaker() {
    let joker = filter(&JOKER);
    for _ in 0..20 {
        assert_eq!(judged(&joker, "aaat"), "pppT");
    }
}

#[test]
fn what_a_plugin_says_is_kept_without_control_characters() {
    let joker = filter(&JOKER);
    assert_eq!(judged(&joker, "s"), "p");
    let lines = joker.log().read(0, 10).lines;
    let texts: Vec<_> = lines
        .iter()
        .map(|line| (line.level, line.source, line.text.as_str()))
        .collect();
    let expected = [
        (Level::Warn, Source::Plugin, "said\u{fffd}[31m"),
        (Level::Warn, Source::Plugin, "and more"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn reasons_are_told() {
    let joker = filter(&JOKER);
    let mut packer = packed(joker.needs(), &[b"d", b"q"]);
    assert_eq!(joker.explain(packer.batch()), ["why"; 2]);
    assert_eq!(joker.numbers().records, 0);
}

#[test]
fn settings_reach_init_and_may_be_refused() {
    // Refuses everything that is longer than `{}` with the settings themselves.
    let guest = Guest {
        init: r"(if (i32.gt_u (local.get $len) (i32.const 2)) (then
            (i32.store8 (i32.const 64) (i32.const 1))
            (i32.store (i32.const 68) (local.get $ptr))
            (i32.store (i32.const 72) (local.get $len))
            (return (i32.const 64))))",
        ..ACCEPT_ALL
    };
    assert_eq!(judged(&filter(&guest), "a"), "p");
    let module = HOST.load(&guest.wasm()).expect("module");
    let settings = r#"{"field": 1"#.to_owned();
    let refused = HOST.attach(
        &module,
        AttachOptions {
            settings,
            ..AttachOptions::new(World::Filter)
        },
    );
    let error = refused.expect_err("refused");
    assert!(
        matches!(&error, AttachError::Settings(why) if why == r#"{"field": 1"#),
        "{error}"
    );
    // A plugin may have said as much as it liked, in a status that is a header, and on a terminal.
    let settings = format!("\u{1b}[31m\n{}", "x".repeat(1 << 20));
    let options = AttachOptions {
        settings,
        ..AttachOptions::new(World::Filter)
    };
    let error = HOST.attach(&module, options).expect_err("refused").to_string();
    assert!(
        error.len() < 1_100 && !error.contains(char::is_control),
        "{} bytes",
        error.len()
    );
}

#[test]
fn an_init_that_never_ends_or_traps_is_no_attachment() {
    for (init, millis, cause) in [
        ("(loop $l (br $l))", 50, Cause::Deadline),
        ("unreachable", 60_000, Cause::Trap),
        (
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable",
            60_000,
            Cause::Memory,
        ),
    ] {
        let settings = HostSettings {
            init_time: Duration::from_millis(millis),
            ..HostSettings::default()
        };
        let host = Host::new(settings).expect("host");
        let module = host.load(&Guest { init, ..ACCEPT_ALL }.wasm()).expect("module");
        let error = host
            .attach(&module, AttachOptions::new(World::Filter))
            .expect_err("no start");
        assert!(
            matches!(&error, AttachError::Start(failure) if failure.cause() == cause),
            "{error}"
        );
    }
}

/// The engine reports failed growth also where it never asked whether memory may grow. Taking such a report for the last growth
/// gave its room back, so that a plugin could have had 4 GiB.
#[test]
fn growth_that_is_impossible_gives_no_room() {
    let init = "(loop $more
        (drop (memory.grow (i32.const 0x7fffffff)))
        (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))";
    let plugin = filter(&Guest { init, ..ACCEPT_ALL });
    assert!(
        plugin.numbers().memory_bytes <= 64 << 20,
        "{:?}",
        plugin.numbers()
    );
}

#[test]
fn attachments_are_checked_against_their_module() {
    let module = HOST.load(&ACCEPT_ALL.wasm()).expect("module");
    let error = HOST
        .attach(&module, AttachOptions::new(World::KeyExtractor))
        .expect_err("a filter");
    assert_eq!(error.to_string(), "the module is a filter, not a key extractor");
    let limits = Limits {
        budget: Duration::ZERO,
        ..Limits::default()
    };
    let error = HOST.attach(
        &module,
        AttachOptions {
            limits,
            ..AttachOptions::new(World::Filter)
        },
    );
    assert!(matches!(error, Err(AttachError::Budget(_))));
}

/// What an extractor finds in values.
fn keys(attachment: &Attachment, values: &[&[u8]]) -> Vec<String> {
    let mut packer = packed(attachment.needs(), values);
    let mut out = Keys::new();
    attachment.extract(packer.batch(), &mut out);
    let batch = packer.batch();
    let found = |index| match out.get(batch, index) {
        Found::NoKey => "none".to_owned(),
        Found::Key(key) => format!("{:?}", String::from_utf8_lossy(key)),
        Found::Failed => format!("{:?}", out.failure(index).expect("a reason").cause()),
    };
    (0..values.len()).map(found).collect()
}

#[test]
fn keys_are_spans_of_the_batch_or_literals() {
    let extractor = extractor(&KEYS);
    let values: [&[u8]; 7] = [b"abc", b"n", b"x", b"e", b"f", b"", b"z"];
    let expected = ["\"abc\"", "none", "\"lit\"", "\"\"", "Said", "\"\"", "\"z\""];
    assert_eq!(keys(&extractor, &values), expected);
    let numbers = extractor.numbers();
    assert_eq!([numbers.keyed, numbers.keyless, numbers.failed], [5, 1, 1]);
}

#[test]
fn spans_out_of_range_fail_their_record_alone() {
    let extractor = extractor(&KEYS);
    for bad in ["o", "b", "y"] {
        let values: [&[u8]; 5] = [b"abc", b"x", bad.as_bytes(), b"h", b"last"];
        // Only in a batch of one does the head say that it has one record.
        let expected = ["\"abc\"", "\"lit\"", "Malformed", "\"\\u{18}\\0\"", "\"last\""];
        assert_eq!(keys(&extractor, &values), expected, "{bad}");
    }
}

#[test]
fn only_what_is_needed_is_packed_and_reserved_headers_are_not() {
    let mut bytes = BytesMut::new();
    let fields = Fields {
        key: Some(b"k"),
        value: b"value",
        subject: "a.b",
        reply: "r",
    };
    append_record(&mut bytes, &fields, [("h", &b"v"[..]), ("h", b"")]).expect("record");
    let record = RecordIter::new(&bytes).next().expect("one");
    let pack = |needs| {
        let mut packer = Packer::new();
        packer.begin(needs, 1);
        assert!(packer.push(&record));
        assert!(!packer.push(&record), "over the limit of records");
        packer.batch().bytes().to_vec()
    };
    let none = pack(Needs::default());
    assert_eq!(none, words(&[1, 24, 24, 0, 0, 0, 0, 5]));
    let mut all = words(&[1, 24, 24 + 1 + 3 + 19 + 5, 1, 3, 19, 5, 5]);
    all.extend_from_slice(b"ka.b\x01\0\0\0\x01\0\0\0hv\x01\0\0\0\0\0\0\0hvalue");
    assert_eq!(pack(Needs::ALL), all);
    let prefix = pack(Needs {
        value: ValueNeed::Prefix(2),
        ..Needs::default()
    });
    assert_eq!(
        prefix,
        [words(&[1, 24, 26, 0, 0, 0, 2, 5]), b"va".to_vec()].concat()
    );
    let parts = Parts {
        key: Some(b"k"),
        subject: b"a.b",
        headers: &[(b"h", b"v"), (b"h", b"")],
        value: b"value",
    };
    let mut packer = Packer::new();
    packer.begin(Needs::ALL, 1);
    assert!(packer.push_parts(&parts));
    assert_eq!(packer.batch().bytes(), all);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn many_threads_ask_at_once_and_the_instances_are_bounded() {
    let settings = HostSettings {
        instances: 2,
        idle_instances: 1,
        ..HostSettings::default()
    };
    let host = Host::new(settings).expect("host");
    let joker = Arc::new(attach_to(&host, &JOKER, patient()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(judged(&joker, "adtq"), "pdTq");
                }
            });
        }
    });
    let numbers = joker.numbers();
    assert_eq!(
        (numbers.records, numbers.failed, numbers.instances),
        (640, 160, 1)
    );
    drop(host);
    assert_eq!(
        judged(&joker, "d"),
        "d",
        "an attachment outlives the host's handle"
    );
}

#[test]
fn idle_instances_go_after_a_while_and_come_back() {
    let settings = HostSettings {
        idle_time: Duration::from_millis(20),
        ..HostSettings::default()
    };
    let host = Host::new(settings).expect("host");
    let joker = attach_to(&host, &JOKER, patient());
    for _ in 0..500 {
        if joker.numbers().instances == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((joker.numbers().instances, joker.numbers().memory_bytes), (0, 0));
    assert_eq!(judged(&joker, "d"), "d");
}

#[test]
fn idle_instances_are_bounded_over_all_attachments() {
    let settings = HostSettings {
        idle_memory: 1 << 20,
        ..HostSettings::default()
    };
    let host = Host::new(settings).expect("host");
    let module = host.load(&ACCEPT_ALL.wasm()).expect("module");
    let attach = |_| host.attach(&module, patient()).expect("attached");
    let attachments: Vec<Attachment> = (0..20).map(attach).collect();
    let memory: u64 = attachments
        .iter()
        .map(|attachment| attachment.numbers().memory_bytes)
        .sum();
    assert!((1..=1 << 20).contains(&memory), "{memory}");
    assert!(
        attachments
            .iter()
            .all(|attachment| judged(attachment, "a") == "p")
    );
}

#[test]
fn a_module_is_compiled_once_for_everybody() {
    let host = Host::new(HostSettings::default()).expect("host");
    let wasm = JOKER.wasm();
    let modules: Vec<_> = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| host.load(&wasm).expect("module")))
            .collect();
        loads
            .into_iter()
            .map(|load| load.join().expect("no panic"))
            .collect()
    });
    let compiled = modules
        .iter()
        .filter(|module| matches!(module.origin(), Origin::Compiled(_)))
        .count();
    let found = modules
        .iter()
        .filter(|module| module.origin() == Origin::Memory)
        .count();
    assert_eq!((compiled, found), (1, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever a batch is made of, every record gets what it would get alone.
    #[test]
    fn a_batch_is_judged_as_its_records_one_by_one(values in "[adqftvwa]{0,24}") {
        static REFERENCE: LazyLock<Attachment> = LazyLock::new(|| lasting(&JOKER));
        static BATCHES: LazyLock<Attachment> = LazyLock::new(|| lasting(&JOKER));
        let one_by_one: String = values.chars().map(|value| judged(&REFERENCE, &value.to_string())).collect();
        prop_assert_eq!(judged(&BATCHES, &values), one_by_one);
    }
}

/// With a breaker that never opens and a budget that no test reaches.
fn lasting(guest: &Guest) -> Attachment {
    let mut settings = HostSettings::default();
    settings.breaker.failures = 0;
    let host = Host::new(settings).expect("host");
    attach_to(&host, guest, patient())
}
