//! Modules that are no plugins, and files of the cache that are no use.

#![expect(clippy::expect_used, reason = "in what the tests share")]

mod guests;

use std::fs;
use std::path::{Path, PathBuf};

use guests::{ACCEPT_ALL, Guest, JOKER};
use sha2::{Digest, Sha256};
use strandline_plugins::{
    AttachOptions, Attachment, Host, HostSettings, Judgement, LoadError, Module, Origin, Packer, Parts,
    Source, Verdict, Version, World,
};

fn host() -> Host {
    Host::new(HostSettings::default()).expect("host")
}

fn load(wasm: &[u8]) -> LoadError {
    host().load(wasm).expect_err("no plugin")
}

fn component(text: &str) -> LoadError {
    load(&wat::parse_str(text).expect("text of a component"))
}

#[test]
fn what_is_no_component_is_named() {
    assert_eq!(load(b""), LoadError::NotWebAssembly);
    assert_eq!(load(b"#!/bin/sh"), LoadError::NotWebAssembly);
    assert_eq!(
        load(&wat::parse_str("(module)").expect("module")),
        LoadError::CoreModule
    );
    let error = load(b"\0asm\xff\0\0\0").to_string();
    assert!(
        error.starts_with("the module is damaged or uses what this server does not know"),
        "{error}"
    );
}

#[test]
fn a_cut_or_changed_module_is_refused_and_never_a_panic() {
    let host = host();
    let wasm = ACCEPT_ALL.wasm();
    for length in (8..wasm.len()).step_by(31) {
        host.load(&wasm[..length]).expect_err("cut");
    }
    for place in (0..wasm.len()).step_by(53) {
        let mut changed = wasm.clone();
        changed[place] ^= 0x55;
        // Some bytes do not matter.
        if let Ok(module) = host.load(&changed) {
            let _ = host.attach(&module, AttachOptions::new(World::Filter));
        }
    }
}

#[test]
fn a_module_over_the_limit_is_refused() {
    let settings = HostSettings {
        module_bytes: 100,
        ..HostSettings::default()
    };
    let host = Host::new(settings).expect("host");
    let error = host.load(&ACCEPT_ALL.wasm()).expect_err("too large");
    assert!(matches!(error, LoadError::TooLarge { limit: 100, .. }));
}

#[test]
fn the_world_is_found_by_what_is_exported() {
    let error = component("(component)").to_string();
    assert!(
        error.contains("exports neither") && error.contains("but nothing"),
        "{error}"
    );
    let error = component(r#"(component (instance $i) (export "wasi:http/handler@0.2.0" (instance $i)))"#);
    assert!(
        matches!(&error, LoadError::NoWorld { exports } if exports == "wasi:http/handler@0.2.0"),
        "{error}"
    );
    let both = r#"(component (instance $i) (export "strandline:plugin/filtering@1.0.0" (instance $i))
        (export "strandline:plugin/extraction@1.0.0" (instance $i)))"#;
    assert_eq!(component(both), LoadError::TwoWorlds);
}

#[test]
fn a_newer_contract_is_named_and_a_newer_patch_is_none() {
    for (interface, found) in [
        ("strandline:plugin/filtering@1.1.0", (1, 1, 0)),
        ("strandline:plugin/filtering@2.0.0", (2, 0, 0)),
        ("strandline:plugin/filtering@0.9.3", (0, 9, 3)),
    ] {
        let (major, minor, patch) = found;
        let found = Version { major, minor, patch };
        assert_eq!(
            load(
                &Guest {
                    interface,
                    ..ACCEPT_ALL
                }
                .wasm()
            ),
            LoadError::Contract { found }
        );
    }
    let patched = Guest {
        interface: "strandline:plugin/filtering@1.0.7",
        ..ACCEPT_ALL
    };
    assert_eq!(
        host()
            .load(&patched.wasm())
            .expect("spoken")
            .info()
            .contract
            .patch,
        7
    );
}

#[test]
fn forbidden_imports_are_all_named() {
    let error = component(
        r#"(component (import "wasi:http/types@0.2.0" (instance)) (import "wasi:cli/stdin@0.3.0" (instance))
        (import "wasi:cli/stdin@0.2.9" (instance)) (import "own" (func))
        (instance $i) (export "strandline:plugin/filtering@1.0.0" (instance $i)))"#,
    );
    let names = ["wasi:http/types@0.2.0", "wasi:cli/stdin@0.3.0", "own"].map(str::to_owned);
    assert_eq!(error, LoadError::ForbiddenImports(names.to_vec()));
}

#[test]
fn functions_of_the_contract_must_be_there_with_their_types() {
    let error =
        component(r#"(component (instance $i) (export "strandline:plugin/filtering@1.0.0" (instance $i)))"#);
    assert!(
        matches!(error, LoadError::WrongSignature { function: "init", .. }),
        "{error}"
    );
    let other_function = Guest {
        ask: "extract",
        ..ACCEPT_ALL
    };
    assert!(matches!(
        load(&other_function.wasm()),
        LoadError::WrongSignature {
            function: "judge",
            ..
        }
    ));
}

#[test]
fn a_module_tells_what_it_is_and_imports() {
    let host = host();
    let wasm = JOKER.wasm();
    let info = host.inspect(&wasm).expect("a plugin");
    assert_eq!(
        (info.world, info.contract, info.bytes),
        (World::Filter, Version::HOST, wasm.len())
    );
    assert_eq!(info.imports, ["strandline:plugin/log@1.0.0"]);
    assert_eq!(&info, host.load(&wasm).expect("module").info());
}

/// Asks WASI for what runtimes ask for, and traps if there is anything.
const CURIOUS: Guest = Guest {
    imports: r#"
    (import "wasi:io/error@0.2.3" (instance $error (export "error" (type $e (sub resource)))))
    (alias export $error "error" (type $error-type))
    (import "wasi:io/streams@0.2.3" (instance $streams
        (export "output-stream" (type $o (sub resource)))
        (export "input-stream" (type $i (sub resource)))
        (alias outer 1 $error-type (type $outer))
        (export "error" (type $e (eq $outer)))
        (type $stream-error' (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $stream-error')))
        (export "[method]output-stream.check-write"
            (func (param "self" (borrow $o)) (result (result u64 (error $stream-error)))))
        (export "[method]output-stream.blocking-write-and-flush"
            (func (param "self" (borrow $o)) (param "contents" (list u8)) (result (result (error $stream-error)))))
        (export "[method]input-stream.blocking-read"
            (func (param "self" (borrow $i)) (param "len" u64) (result (result (list u8) (error $stream-error)))))))
    (alias export $streams "output-stream" (type $output))
    (alias export $streams "input-stream" (type $input))
    (import "wasi:cli/stderr@0.2.3" (instance $stderr
        (alias outer 1 $output (type $outer)) (export "output-stream" (type $o (eq $outer)))
        (export "get-stderr" (func (result (own $o))))))
    (import "wasi:cli/stdin@0.2.3" (instance $stdin
        (alias outer 1 $input (type $outer)) (export "input-stream" (type $o (eq $outer)))
        (export "get-stdin" (func (result (own $o))))))
    (import "wasi:cli/environment@0.2.0" (instance $environment
        (export "get-environment" (func (result (list (tuple string string)))))))
    (import "wasi:clocks/wall-clock@0.2.3" (instance $clock
        (type $d' (record (field "seconds" u64) (field "nanoseconds" u32)))
        (export "datetime" (type $d (eq $d')))
        (export "now" (func (result $d)))))
    (import "wasi:clocks/monotonic-clock@0.2.3" (instance $monotonic (export "now" (func (result u64)))))
    (import "wasi:random/random@0.2.3" (instance $random
        (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
        (export "get-random-u64" (func (result u64)))))
    (import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
    (core func $get-stderr (canon lower (func $stderr "get-stderr")))
    (core func $get-stdin (canon lower (func $stdin "get-stdin")))
    (core func $check-write (canon lower (func $streams "[method]output-stream.check-write") (memory $memory)))
    (core func $print (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
    (core func $read (canon lower (func $streams "[method]input-stream.blocking-read") (memory $memory) (realloc $realloc)))
    (core func $drop-output (canon resource.drop $output))
    (core func $get-environment (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
    (core func $now (canon lower (func $clock "now") (memory $memory)))
    (core func $ticks (canon lower (func $monotonic "now")))
    (core func $bytes (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
    (core func $number (canon lower (func $random "get-random-u64")))
    (core func $leave (canon lower (func $exit "exit")))"#,
    instances: r#"(with "wasi" (instance (export "stderr" (func $get-stderr)) (export "stdin" (func $get-stdin))
        (export "check-write" (func $check-write)) (export "print" (func $print)) (export "read" (func $read))
        (export "drop" (func $drop-output)) (export "environment" (func $get-environment)) (export "now" (func $now))
        (export "ticks" (func $ticks)) (export "bytes" (func $bytes)) (export "number" (func $number)) (export "exit" (func $leave))))"#,
    core: r#"
        (import "wasi" "stderr" (func $stderr (result i32)))
        (import "wasi" "stdin" (func $stdin (result i32)))
        (import "wasi" "check-write" (func $check-write (param i32 i32)))
        (import "wasi" "print" (func $print (param i32 i32 i32 i32)))
        (import "wasi" "read" (func $read (param i32 i64 i32)))
        (import "wasi" "drop" (func $drop (param i32)))
        (import "wasi" "environment" (func $environment (param i32)))
        (import "wasi" "now" (func $now (param i32)))
        (import "wasi" "ticks" (func $ticks (result i64)))
        (import "wasi" "bytes" (func $bytes (param i64 i32)))
        (import "wasi" "number" (func $number (result i64)))
        (import "wasi" "exit" (func $exit (param i32)))
        (data (i32.const 16) "line one\nline ")
        (data (i32.const 32) "two")
        (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
        (func $look (local $e i32) (local $round i32)
            (local.set $e (call $stderr))
            (call $check-write (local.get $e) (i32.const 200))
            (call $must (i32.eqz (i32.load8_u (i32.const 200))))
            (call $must (i64.eq (i64.load (i32.const 208)) (i64.const 65536)))
            (call $print (local.get $e) (i32.const 16) (i32.const 14) (i32.const 200))
            (call $must (i32.eqz (i32.load8_u (i32.const 200))))
            (call $print (local.get $e) (i32.const 32) (i32.const 3) (i32.const 200))
            (call $drop (local.get $e))
            ;; stdin is at its end: an error whose case is "closed"
            (call $read (call $stdin) (i64.const 10) (i32.const 200))
            (call $must (i32.load8_u (i32.const 200)))
            (call $must (i32.eq (i32.load8_u (i32.const 204)) (i32.const 1)))
            (call $environment (i32.const 200))
            (call $must (i32.eqz (i32.load (i32.const 204))))
            (i64.store (i32.const 200) (i64.const -1))
            (call $now (i32.const 200))
            (call $must (i64.eqz (i64.load (i32.const 200))))
            ;; the runtime of Go stops when the monotonic clock stands at 0
            (call $must (i64.eq (call $ticks) (i64.const 1)))
            (call $bytes (i64.const 100) (i32.const 200))
            (call $must (i32.eq (i32.load (i32.const 204)) (i32.const 100)))
            (call $must (i64.ne (call $number) (call $number)))
            ;; handles do not pile up
            (loop $again
                (call $drop (call $stderr))
                (local.set $round (i32.add (local.get $round) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $round) (i32.const 20000)))))"#,
    init: "(call $look)",
    answer: "(call $exit (i32.const 1)) (i32.const 0)",
    ..ACCEPT_ALL
};

#[test]
fn wasi_answers_without_giving_anything() {
    let host = host();
    let module = host.load(&CURIOUS.wasm()).expect("module");
    let plugin = host
        .attach(&module, AttachOptions::new(World::Filter))
        .expect("started");
    let lines = plugin.log().read(0, 10).lines;
    let texts: Vec<_> = lines
        .iter()
        .map(|line| (line.source, line.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [(Source::Stderr, "line one"), (Source::Stderr, "line two")]
    );
    let out = judgement(&plugin, b"v");
    let failure = out.failure(0).expect("it has called exit");
    assert_eq!(failure.to_string(), "judge trapped: it called exit");
}

/// What a plugin says of one record with this value.
fn judgement(plugin: &Attachment, value: &[u8]) -> Judgement {
    let mut packer = Packer::new();
    packer.begin(plugin.needs(), 1);
    let (subject, headers) = (&b"s"[..], &[][..]);
    assert!(packer.push_parts(&Parts {
        key: None,
        subject,
        headers,
        value
    }));
    let mut out = Judgement::new();
    plugin.judge(packer.batch(), &mut out);
    out
}

fn judge(host: &Host, module: &Module, value: &[u8]) -> Verdict {
    let plugin = host
        .attach(module, AttachOptions::new(World::Filter))
        .expect("started");
    judgement(&plugin, value).verdict(0)
}

fn cached(dir: &Path, limit: u64) -> Host {
    let settings = HostSettings {
        cache_dir: Some(dir.join("compiled")),
        cache_bytes: limit,
        ..HostSettings::default()
    };
    Host::new(settings).expect("host")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("compiled")).expect("directory");
    entries.map(|entry| entry.expect("entry").path()).collect()
}

fn is_compiled(module: &Module) -> bool {
    matches!(module.origin(), Origin::Compiled(_))
}

#[test]
fn a_compiled_module_is_used_again_unless_its_file_is_damaged() {
    let dir = tempfile::tempdir().expect("directory");
    let wasm = ACCEPT_ALL.wasm();
    let load = || cached(dir.path(), u64::MAX).load(&wasm).expect("module");
    assert!(is_compiled(&load()));
    assert!(matches!(load().origin(), Origin::Cache(_)));
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).expect("file");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..100], &[], &flipped] {
        fs::write(&file, damaged).expect("written");
        assert!(is_compiled(&load()), "compiled again");
        assert_eq!(fs::read(&file).expect("file").len(), whole.len(), "and kept");
        assert!(!is_compiled(&load()));
    }
}

/// Each of these files is whole by its own SHA-256, under the name of the module that is asked for.
#[test]
fn a_file_of_another_module_or_engine_is_not_used() {
    let dir = tempfile::tempdir().expect("directory");
    let load = |wasm: &[u8]| cached(dir.path(), u64::MAX).load(wasm).expect("module");
    let (one, other) = (ACCEPT_ALL.wasm(), JOKER.wasm());
    load(&one);
    let of_one = fs::read(files(dir.path()).remove(0)).expect("file");
    fs::remove_file(files(dir.path()).remove(0)).expect("removed");
    load(&other);
    let file = files(dir.path()).remove(0);
    let of_other = fs::read(&file).expect("file");
    let foreign = [
        ("another module", of_one),
        ("another engine by the head", sealed(&of_other, 40, &[0xff; 8])),
        ("another format", sealed(&of_other, 0, b"SLPLUG00")),
        (
            "another version of the engine",
            sealed(&of_other, place_of_version(&of_other), b"47"),
        ),
    ];
    for (what, foreign) in foreign {
        assert_ne!(foreign, of_other, "{what}");
        fs::write(&file, foreign).expect("written");
        assert!(is_compiled(&load(&other)), "{what}");
        let host = cached(dir.path(), u64::MAX);
        let again = host.load(&other).expect("module");
        assert!(!is_compiled(&again), "{what} is replaced");
        assert_eq!(judge(&host, &again, b"d"), Verdict::Drop, "{what}");
    }
}

/// Where the compiled form names the version of the engine that made it, behind the length of that name.
fn place_of_version(file: &[u8]) -> usize {
    let mut windows = file.windows(4);
    2 + windows
        .position(|window| window == b"\0\x0248")
        .expect("the version of wasmtime of the manifest, which this names too")
}

/// The file with other bytes at a place, and with the SHA-256 that it has then.
fn sealed(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = file[..file.len() - 32].to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    let sum = Sha256::digest(&changed);
    changed.extend_from_slice(&sum);
    changed
}

#[test]
fn the_cache_is_bounded_and_leftovers_are_removed() {
    let dir = tempfile::tempdir().expect("directory");
    fs::create_dir(dir.path().join("compiled")).expect("directory");
    fs::write(dir.path().join("compiled/x.1-0.part"), "half").expect("leftover");
    let host = cached(dir.path(), 1);
    assert!(files(dir.path()).is_empty());
    host.load(&ACCEPT_ALL.wasm()).expect("module");
    host.load(&JOKER.wasm()).expect("module");
    assert_eq!(files(dir.path()).len(), 0, "not even the newest fits");
}
