;; A key extractor that does what the first byte of a record's value tells it to: n finds no key, f fails, x makes a key of
;; 3 bytes that stands nowhere in the batch; o, b and y give spans that are no spans: behind everything, backwards, across the
;; end; t traps. The key of any other record is its value.
(component
  (import "strandline:plugin/types@1.0.0" (instance $types
    (type $value-need' (variant (case "none") (case "prefix" u32) (case "whole")))
    (export "value-need" (type $value-need (eq $value-need')))
    (type $needs' (record (field "key" bool) (field "subject" bool) (field "headers" bool) (field "value" $value-need)))
    (export "needs" (type (eq $needs')))))
  (alias export $types "needs" (type $needs))
  (core module $module
    (memory (export "memory") 1)
    ;; Everything from here on is given back after each call.
    (global $free (mut i32) (i32.const 1024))
    (func $take (param $bytes i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $bytes)))
      (block $fits
        (br_if $fits (i32.le_u (global.get $free) (i32.shl (memory.size) (i32.const 16))))
        (br_if $fits (i32.ne (i32.const -1) (memory.grow
          (i32.add (i32.shr_u (local.get $bytes) (i32.const 16)) (i32.const 1)))))
        (unreachable))
      (local.get $at))
    (func (export "realloc") (param $old i32) (param $old-bytes i32) (param $align i32) (param $bytes i32) (result i32)
      (call $take (local.get $bytes)))
    (func (export "give-back") (param i32)
      (global.set $free (i32.const 1024)))
    (func (export "init") (param $settings i32) (param $bytes i32) (result i32)
      (memory.fill (i32.const 64) (i32.const 0) (i32.const 16))
      (i32.store8 (i32.const 72) (i32.const 2))
      (i32.const 64))
    (func $span (param $to i32) (param $start i32) (param $end i32)
      (i32.store (local.get $to) (local.get $start))
      (i32.store offset=4 (local.get $to) (local.get $end)))
    (func $find (param $to i32) (param $batch i32) (param $bytes i32) (param $record i32)
      (local $value i32) (local $do i32)
      (local.set $value (i32.add (local.get $record) (i32.const 24)))
      (if (i32.load offset=16 (local.get $record)) (then (local.set $do (i32.load8_u (local.get $value)))))
      (local.set $value (i32.sub (local.get $value) (local.get $batch)))
      (call $span (local.get $to) (local.get $value)
        (i32.add (local.get $value) (i32.load offset=16 (local.get $record))))
      (if (i32.eq (local.get $do) (i32.const 110)) (then
        (call $span (local.get $to) (i32.const -1) (i32.const -1))))
      (if (i32.eq (local.get $do) (i32.const 102)) (then
        (call $span (local.get $to) (i32.const -1) (i32.const 0))))
      (if (i32.eq (local.get $do) (i32.const 120)) (then
        (call $span (local.get $to) (local.get $bytes) (i32.add (local.get $bytes) (i32.const 3)))))
      (if (i32.eq (local.get $do) (i32.const 111)) (then
        (call $span (local.get $to) (local.get $bytes) (i32.add (local.get $bytes) (i32.const 4)))))
      (if (i32.eq (local.get $do) (i32.const 98)) (then
        (call $span (local.get $to) (i32.const 9) (i32.const 8))))
      (if (i32.eq (local.get $do) (i32.const 121)) (then
        (call $span (local.get $to) (i32.const 8) (i32.add (local.get $bytes) (i32.const 1)))))
      (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable)))
    (func (export "extract") (param $batch i32) (param $bytes i32) (result i32)
      (local $records i32) (local $out i32) (local $at i32) (local $i i32)
      (local.set $records (i32.load (local.get $batch)))
      (local.set $out (call $take (i32.add (i32.shl (local.get $records) (i32.const 3)) (i32.const 4))))
      (local.set $at (i32.add (local.get $batch) (i32.const 8)))
      (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $i) (local.get $records)))
        (call $find (i32.add (local.get $out) (i32.shl (local.get $i) (i32.const 3)))
          (local.get $batch) (local.get $bytes) (local.get $at))
        (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $each)))
      ;; The literal "key".
      (i32.store (i32.add (local.get $out) (i32.shl (local.get $records) (i32.const 3))) (i32.const 0x79656b))
      (i32.store (i32.const 96) (local.get $out))
      (i32.store (i32.const 100) (i32.add (i32.shl (local.get $records) (i32.const 3)) (i32.const 3)))
      (i32.const 96)))
  (core instance $inside (instantiate $module))
  (func $init (param "settings" string) (result (result $needs (error string)))
    (canon lift (core func $inside "init") (memory (core memory $inside "memory")) (realloc (core func $inside "realloc"))
      (post-return (core func $inside "give-back"))))
  (func $extract (param "batch" (list u8)) (result (list u8))
    (canon lift (core func $inside "extract") (memory (core memory $inside "memory")) (realloc (core func $inside "realloc"))
      (post-return (core func $inside "give-back"))))
  (instance $extraction
    (export "init" (func $init))
    (export "extract" (func $extract)))
  (export "strandline:plugin/extraction@1.0.0" (instance $extraction)))
