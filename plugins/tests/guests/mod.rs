//! Plugins as text, so that no toolchain of a guest language is needed.
#![allow(dead_code, reason = "each suite uses some of them")]

/// A filter or extractor whose parts are given as text.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    /// The interface with its version.
    pub(crate) interface: &'static str,
    /// Name of the function that answers for a batch.
    pub(crate) ask: &'static str,
    /// Further imports of the component and core functions made of them.
    pub(crate) imports: &'static str,
    /// What is given to the core module for its imports, beside memory and log.
    pub(crate) instances: &'static str,
    /// Further imports, functions and data of the core module.
    pub(crate) core: &'static str,
    /// What `init` does before it answers.
    pub(crate) init: &'static str,
    /// key, subject, headers, case of the value's need, its number.
    pub(crate) needs: [u8; 5],
    /// What `judge` or `extract` does: batch in `$ptr` and `$len`; `$out` is behind it, with room for 64 bytes a record. Leaves
    /// the length of the answer, which stands at `$out`, on the stack.
    pub(crate) answer: &'static str,
}

/// A filter that passes everything and looks at nothing.
pub(crate) const ACCEPT_ALL: Guest = Guest {
    interface: "strandline:plugin/filtering@1.0.0",
    ask: "judge",
    imports: "",
    instances: "",
    core: "",
    init: "",
    needs: [0, 0, 0, 0, 0],
    answer: "(memory.fill (local.get $out) (i32.const 1) (i32.load (local.get $ptr))) (i32.load (local.get $ptr))",
};

/// The same, but it is given all values.
pub(crate) const ACCEPT_ALL_VALUES: Guest = Guest {
    needs: [0, 0, 0, 2, 0],
    ..ACCEPT_ALL
};

/// A filter that does to each record what the first byte of its value says:
/// `d` drop, `q` dead-letter, `f` fail, `v` a verdict that is none, `w` one verdict too many, `t` trap, `l` loop for ever, `r` recurse
/// for ever, `m` take all memory and trap, `s` say something and pass; anything else pass.
pub(crate) const JOKER: Guest = Guest {
    needs: [0, 0, 0, 1, 1],
    core: r#"
        (data (i32.const 16) "said\1b[31m\nand more")
        (global $more (mut i32) (i32.const 0))
        (func $recurse (param i32) (result i32) (i32.add (call $recurse (local.get 0)) (i32.const 1)))
        (func $verdict (param $first i32) (result i32)
            (if (i32.eq (local.get $first) (i32.const 100)) (then (return (i32.const 0))))
            (if (i32.eq (local.get $first) (i32.const 113)) (then (return (i32.const 2))))
            (if (i32.eq (local.get $first) (i32.const 102)) (then (return (i32.const 3))))
            (if (i32.eq (local.get $first) (i32.const 118)) (then (return (i32.const 4))))
            (if (i32.eq (local.get $first) (i32.const 119)) (then (global.set $more (i32.const 1))))
            (if (i32.eq (local.get $first) (i32.const 116)) (then unreachable))
            (if (i32.eq (local.get $first) (i32.const 108)) (then (loop $l (br $l))))
            (if (i32.eq (local.get $first) (i32.const 114)) (then (drop (call $recurse (i32.const 1)))))
            (if (i32.eq (local.get $first) (i32.const 109))
                (then (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))
            (if (i32.eq (local.get $first) (i32.const 115)) (then (call $log (i32.const 2) (i32.const 16) (i32.const 18))))
            (i32.const 1))"#,
    answer: r#"
        (global.set $more (i32.const 0))
        (local.set $n (i32.load (local.get $ptr)))
        (local.set $at (i32.add (local.get $ptr) (i32.const 8)))
        (block $done (loop $each
            (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
            (i32.store8 (i32.add (local.get $out) (local.get $i))
                (if (result i32) (i32.load offset=16 (local.get $at))
                    (then (call $verdict (i32.load8_u (call $value (local.get $at)))))
                    (else (i32.const 1))))
            (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $each)))
        (i32.add (local.get $n) (global.get $more))"#,
    ..ACCEPT_ALL
};

/// An extractor that finds in each record what the first byte of its value says: `n` no key, `f` fail, `e` an empty key,
/// `x` a literal, `h` bytes of the batch's head, `o` a span out of range, `b` one backwards, `y` one across the end; else the value.
pub(crate) const KEYS: Guest = Guest {
    interface: "strandline:plugin/extraction@1.0.0",
    ask: "extract",
    needs: [0, 0, 0, 2, 0],
    core: r#"
        (func $span (param $to i32) (param $start i32) (param $end i32)
            (i32.store (local.get $to) (local.get $start))
            (i32.store offset=4 (local.get $to) (local.get $end)))
        (func $find (param $to i32) (param $ptr i32) (param $len i32) (param $at i32)
            (local $v i32) (local $first i32)
            (local.set $v (i32.sub (call $value (local.get $at)) (local.get $ptr)))
            (if (i32.load offset=16 (local.get $at))
                (then (local.set $first (i32.load8_u (call $value (local.get $at))))))
            (call $span (local.get $to) (local.get $v)
                (i32.add (local.get $v) (i32.load offset=16 (local.get $at))))
            (if (i32.eq (local.get $first) (i32.const 110))
                (then (call $span (local.get $to) (i32.const -1) (i32.const -1))))
            (if (i32.eq (local.get $first) (i32.const 102))
                (then (call $span (local.get $to) (i32.const -1) (i32.const 0))))
            (if (i32.eq (local.get $first) (i32.const 101))
                (then (call $span (local.get $to) (i32.const 5) (i32.const 5))))
            (if (i32.eq (local.get $first) (i32.const 120))
                (then (call $span (local.get $to) (local.get $len) (i32.add (local.get $len) (i32.const 3)))))
            (if (i32.eq (local.get $first) (i32.const 104))
                (then (call $span (local.get $to) (i32.const 4) (i32.const 6))))
            (if (i32.eq (local.get $first) (i32.const 111))
                (then (call $span (local.get $to) (local.get $len) (i32.add (local.get $len) (i32.const 4)))))
            (if (i32.eq (local.get $first) (i32.const 98))
                (then (call $span (local.get $to) (i32.const 9) (i32.const 8))))
            (if (i32.eq (local.get $first) (i32.const 121))
                (then (call $span (local.get $to) (i32.const 8) (i32.add (local.get $len) (i32.const 1))))))"#,
    answer: r#"
        (local.set $n (i32.load (local.get $ptr)))
        (local.set $at (i32.add (local.get $ptr) (i32.const 8)))
        (block $done (loop $each
            (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
            (call $find (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 8)))
                (local.get $ptr) (local.get $len) (local.get $at))
            (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $each)))
        (i32.store (i32.add (local.get $out) (i32.mul (local.get $n) (i32.const 8))) (i32.const 0x74696c))
        (i32.add (i32.mul (local.get $n) (i32.const 8)) (i32.const 3))"#,
    ..ACCEPT_ALL
};

impl Guest {
    /// The component.
    #[allow(clippy::panic, reason = "an example shares this with the tests")]
    pub(crate) fn wasm(&self) -> Vec<u8> {
        wat::parse_str(self.wat()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The component's text.
    pub(crate) fn wat(&self) -> String {
        let Self {
            interface,
            ask,
            imports,
            instances,
            core,
            init,
            answer,
            ..
        } = self;
        let [key, subject, headers, need, number] = self.needs;
        let (explain, explain_export) = match *ask {
            "judge" => (EXPLAIN, r#"(export "explain" (func $explain))"#),
            _ => ("", ""),
        };
        format!(
            r#"(component
    (import "strandline:plugin/log@1.0.0" (instance $log
        (type $level (enum "debug" "info" "warn" "error"))
        (export "level" (type $l (eq $level)))
        (export "write" (func (param "level" $l) (param "message" string)))))
    (core module $libc
        (memory (export "memory") 4)
        (global $top (mut i32) (i32.const 4096))
        (func $reserve (param $end i32)
            (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
                (then (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
                    (i32.shr_u (i32.sub (local.get $end) (i32.mul (memory.size) (i32.const 65536))) (i32.const 16)))))
                    (then unreachable)))))
        (func (export "realloc") (param i32 i32 i32) (param $bytes i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
            (global.set $top (i32.add (local.get $at) (local.get $bytes)))
            (call $reserve (global.get $top))
            (local.get $at))
        (func (export "free") (global.set $top (i32.const 4096))))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))
    (core func $write (canon lower (func $log "write") (memory $memory)))
    {imports}
    (core module $main
        (import "libc" "memory" (memory 4))
        (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
        (import "libc" "free" (func $free))
        (import "host" "log" (func $log (param i32 i32 i32)))
        {core}
        (func $value (param $at i32) (result i32) (local $key i32)
            (local.set $key (i32.load offset=4 (local.get $at)))
            (if (i32.eq (local.get $key) (i32.const -1)) (then (local.set $key (i32.const 0))))
            (i32.add (i32.add (local.get $at) (i32.const 24))
                (i32.add (local.get $key)
                    (i32.add (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at))))))
        (func (export "init") (param $ptr i32) (param $len i32) (result i32)
            {init}
            (i32.store8 (i32.const 64) (i32.const 0))
            (i32.store8 (i32.const 68) (i32.const {key}))
            (i32.store8 (i32.const 69) (i32.const {subject}))
            (i32.store8 (i32.const 70) (i32.const {headers}))
            (i32.store8 (i32.const 72) (i32.const {need}))
            (i32.store (i32.const 76) (i32.const {number}))
            (call $free)
            (i32.const 64))
        (func (export "ask") (param $ptr i32) (param $len i32) (result i32)
            (local $out i32) (local $n i32) (local $at i32) (local $i i32)
            (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.add (i32.mul (i32.load (local.get $ptr)) (i32.const 64)) (i32.const 64))))
            (i32.store (i32.const 100) (block (result i32) {answer}))
            (i32.store (i32.const 96) (local.get $out))
            (i32.const 96))
        (func (export "post") (param i32) (call $free))
        (func (export "explain") (param $ptr i32) (param $len i32) (result i32)
            (local $out i32) (local $n i32) (local $i i32)
            (local.set $n (i32.load (local.get $ptr)))
            (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.mul (local.get $n) (i32.const 8))))
            (i32.store (i32.const 112) (i32.const 0x79687762))
            (block $done (loop $each
                (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
                (i32.store (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 8))) (i32.const 113))
                (i32.store offset=4 (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 8))) (i32.const 3))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $each)))
            (i32.store (i32.const 104) (local.get $out))
            (i32.store (i32.const 108) (local.get $n))
            (i32.const 104)))
    (core instance $main (instantiate $main
        (with "libc" (instance $libc))
        {instances}
        (with "host" (instance (export "log" (func $write))))))
    (type $value-need' (variant (case "none") (case "prefix" u32) (case "whole")))
    (export $value-need "value-need" (type $value-need'))
    (type $needs' (record (field "key" bool) (field "subject" bool) (field "headers" bool) (field "value" $value-need)))
    (export $needs "needs" (type $needs'))
    (func $init (param "settings" string) (result (result $needs (error string)))
        (canon lift (core func $main "init") (memory $memory) (realloc (func $realloc))))
    (func $ask (param "batch" (list u8)) (result (list u8))
        (canon lift (core func $main "ask") (memory $memory) (realloc (func $realloc)) (post-return (func $main "post"))))
    {explain}
    (instance $exports (export "init" (func $init)) (export "{ask}" (func $ask)) {explain_export})
    (export "{interface}" (instance $exports)))"#
        )
    }
}

const EXPLAIN: &str = r#"(func $explain (param "batch" (list u8)) (result (list string))
        (canon lift (core func $main "explain") (memory $memory) (realloc (func $realloc)) (post-return (func $main "post"))))"#;
