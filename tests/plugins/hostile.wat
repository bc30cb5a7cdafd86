;; A filter that does what it is told to, mostly what no filter should.
;;
;; Each record says with the first byte of its value what happens when it is judged:
;;   d q f    it is dropped, dead-lettered, failed          v w   a verdict that is none, one verdict too many
;;   t x      trap, call of exit                            l r   endless loop, endless recursion
;;   m        takes all memory and traps                    z     an answer of 32 MiB
;;   g o p    floods the log, floods stdout, prints 8 MiB at once
;; Anything else passes. Settings change that:
;;   {"all":"t"}          every record is treated as if its value began with that byte
;;   {"init":"t"}         the instance does that before it begins: t l m, r refuses the settings, e does so in 1 MiB of words
;;   {"why":"t"}          when it is asked for its reasons: t l, n has none at all, e has 8 MiB of them; else it says "because"
;;   {"hash":"ksh9 any"}  a record is dropped if a hash of the settings and of what is needed of it is divisible by three.
;;                        Needed are the key, the subject, the headers (`-` in their place: not), and of the value so
;;                        many bytes, or all (w), or nothing (n). tests/harness/reference.py does the same.
(component
  (import "strandline:plugin/types@1.0.0" (instance $types
    (type $value-need' (variant (case "none") (case "prefix" u32) (case "whole")))
    (export "value-need" (type $value-need (eq $value-need')))
    (type $needs' (record (field "key" bool) (field "subject" bool) (field "headers" bool) (field "value" $value-need)))
    (export "needs" (type (eq $needs')))))
  (alias export $types "needs" (type $needs))
  (import "strandline:plugin/log@1.0.0" (instance $log
    (type $level' (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level')))
    (export "write" (func (param "level" $level) (param "message" string)))))
  (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (alias outer 1 $error-type (type $outer))
    (export "error" (type $error (eq $outer)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.3" (instance $stdout
    (alias outer 1 $output (type $outer))
    (export "output-stream" (type $o (eq $outer)))
    (export "get-stdout" (func (result (own $o))))))
  (import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))

  (core module $heap-module
    (memory (export "memory") 2)
    ;; Everything from here on is given back after each call.
    (global $free (mut i32) (i32.const 8192))
    (func $take (export "take") (param $bytes i32) (result i32)
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
      (global.set $free (i32.const 8192))))
  (core instance $heap (instantiate $heap-module))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))
  (alias core export $heap "give-back" (core func $give-back))
  (core func $write (canon lower (func $log "write") (memory $memory)))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $print (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
  (core func $leave (canon lower (func $exit "exit")))

  (core module $module
    (import "heap" "memory" (memory 2))
    (import "heap" "take" (func $take (param i32) (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32)))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "print" (func $print (param i32 i32 i32 i32)))
    (import "host" "leave" (func $leave (param i32)))
    (data (i32.const 256) "it takes no settings of anybody")
    (data (i32.const 288) "because")
    ;; What every record is treated as; 0: as its value says.
    (global $all (mut i32) (i32.const 0))
    (global $why (mut i32) (i32.const 0))
    (global $is-hash (mut i32) (i32.const 0))
    (global $seed (mut i64) (i64.const 0))
    (global $more (mut i32) (i32.const 0))

    (func $bomb
      (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (unreachable))
    (func $recurse (param i32) (result i32)
      (i32.add (call $recurse (local.get 0)) (i32.const 1)))
    ;; 2,000 bytes at 4096.
    (func $text
      (memory.fill (i32.const 4096) (i32.const 120) (i32.const 2000)))
    (func $flood-log (local $round i32)
      (call $text)
      (loop $again
        (call $write (i32.const 2) (i32.const 4096) (i32.const 2000))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $round) (i32.const 1000)))))
    (func $flood-stdout (local $round i32) (local $stdout i32)
      (call $text)
      (local.set $stdout (call $get-stdout))
      (loop $again
        (call $print (local.get $stdout) (i32.const 4096) (i32.const 2000) (i32.const 1024))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $round) (i32.const 100)))))

    (func $mix (param $hash i64) (param $byte i32) (result i64)
      (i64.mul (i64.xor (local.get $hash) (i64.extend_i32_u (local.get $byte))) (i64.const 0x100000001b3)))
    (func $mix-all (param $hash i64) (param $at i32) (param $bytes i32) (result i64)
      (local $end i32)
      (local.set $end (i32.add (local.get $at) (local.get $bytes)))
      (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $hash (call $mix (local.get $hash) (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $each)))
      (local.get $hash))
    ;; The sum of the hashes of all headers, whose order is the client's.
    (func $headers (param $at i32) (param $bytes i32) (result i64)
      (local $sum i64) (local $hash i64) (local $end i32) (local $name i32) (local $value i32)
      (local.set $end (i32.add (local.get $at) (local.get $bytes)))
      (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $name (i32.load (local.get $at)))
        (local.set $value (i32.load offset=4 (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $hash (call $mix-all (i64.const 0xcbf29ce484222325) (local.get $at) (local.get $name)))
        (local.set $at (i32.add (local.get $at) (local.get $name)))
        (local.set $hash (call $mix (local.get $hash) (i32.const 0)))
        (local.set $hash (call $mix-all (local.get $hash) (local.get $at) (local.get $value)))
        (local.set $at (i32.add (local.get $at) (local.get $value)))
        (local.set $sum (i64.add (local.get $sum) (local.get $hash)))
        (br $each)))
      (local.get $sum))
    (func $hashed (param $record i32) (result i32)
      (local $hash i64) (local $at i32) (local $key i32)
      (local.set $hash (global.get $seed))
      (local.set $at (i32.add (local.get $record) (i32.const 24)))
      (local.set $key (i32.load offset=4 (local.get $record)))
      (if (i32.eq (local.get $key) (i32.const -1))
        (then (local.set $key (i32.const 0)) (local.set $hash (call $mix (local.get $hash) (i32.const 0))))
        (else (local.set $hash (call $mix (local.get $hash) (i32.const 1)))))
      (local.set $hash (call $mix-all (local.get $hash) (local.get $at) (local.get $key)))
      (local.set $at (i32.add (local.get $at) (local.get $key)))
      (local.set $hash (call $mix-all (local.get $hash) (local.get $at) (i32.load offset=8 (local.get $record))))
      (local.set $at (i32.add (local.get $at) (i32.load offset=8 (local.get $record))))
      (local.set $hash (call $mix (local.get $hash) (i32.const 2)))
      (local.set $hash (i64.mul (i64.const 0x100000001b3) (i64.xor (local.get $hash)
        (call $headers (local.get $at) (i32.load offset=12 (local.get $record))))))
      (local.set $at (i32.add (local.get $at) (i32.load offset=12 (local.get $record))))
      (local.set $hash (call $mix-all (local.get $hash) (local.get $at) (i32.load offset=16 (local.get $record))))
      ;; The length of the whole value.
      (local.set $hash (call $mix-all (local.get $hash) (i32.add (local.get $record) (i32.const 20)) (i32.const 4)))
      (i64.ne (i64.const 0) (i64.rem_u (i64.shr_u (local.get $hash) (i64.const 32)) (i64.const 3))))

    ;; The verdict about a record.
    (func $verdict (param $record i32) (result i32)
      (local $do i32) (local $value i32)
      (if (global.get $is-hash) (then (return (call $hashed (local.get $record)))))
      (local.set $do (global.get $all))
      (if (i32.eqz (local.get $do)) (then
        (if (i32.eqz (i32.load offset=16 (local.get $record))) (then (return (i32.const 1))))
        ;; Nothing but the value is needed.
        (local.set $do (i32.load8_u offset=24 (local.get $record)))))
      (if (i32.eq (local.get $do) (i32.const 100)) (then (return (i32.const 0))))
      (if (i32.eq (local.get $do) (i32.const 113)) (then (return (i32.const 2))))
      (if (i32.eq (local.get $do) (i32.const 102)) (then (return (i32.const 3))))
      (if (i32.eq (local.get $do) (i32.const 118)) (then (return (i32.const 9))))
      (if (i32.eq (local.get $do) (i32.const 119)) (then (global.set $more (i32.const 1))))
      (if (i32.eq (local.get $do) (i32.const 122)) (then (global.set $more (i32.const 0x2000000))))
      (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable))
      (if (i32.eq (local.get $do) (i32.const 120)) (then (call $leave (i32.const 1))))
      (if (i32.eq (local.get $do) (i32.const 108)) (then (loop $again (br $again))))
      (if (i32.eq (local.get $do) (i32.const 114)) (then (drop (call $recurse (i32.const 1)))))
      (if (i32.eq (local.get $do) (i32.const 109)) (then (call $bomb)))
      (if (i32.eq (local.get $do) (i32.const 103)) (then (call $flood-log)))
      (if (i32.eq (local.get $do) (i32.const 111)) (then (call $flood-stdout)))
      (if (i32.eq (local.get $do) (i32.const 112)) (then
        (call $print (call $get-stdout) (call $take (i32.const 0x800000)) (i32.const 0x800000) (i32.const 1024))))
      (i32.const 1))

    (func $refuse (param $at i32) (param $bytes i32) (result i32)
      (i32.store8 (i32.const 64) (i32.const 1))
      (i32.store (i32.const 68) (local.get $at))
      (i32.store (i32.const 72) (local.get $bytes))
      (i32.const 64))
    (func $begin (param $do i32) (result i32)
      (local $at i32)
      (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable))
      (if (i32.eq (local.get $do) (i32.const 108)) (then (loop $again (br $again))))
      (if (i32.eq (local.get $do) (i32.const 109)) (then (call $bomb)))
      (if (i32.eq (local.get $do) (i32.const 101)) (then
        (local.set $at (call $take (i32.const 0x100000)))
        (memory.fill (local.get $at) (i32.const 120) (i32.const 0x100000))
        (return (call $refuse (local.get $at) (i32.const 0x100000)))))
      (call $refuse (i32.const 256) (i32.const 31)))
    (func $need-value (param $much i32)
      (i32.store8 (i32.const 72) (i32.const 1))
      (i32.store (i32.const 76) (i32.sub (local.get $much) (i32.const 48)))
      (if (i32.eq (local.get $much) (i32.const 110)) (then (i32.store8 (i32.const 72) (i32.const 0))))
      (if (i32.eq (local.get $much) (i32.const 119)) (then (i32.store8 (i32.const 72) (i32.const 2)))))
    (func (export "init") (param $settings i32) (param $bytes i32) (result i32)
      (local $word i32)
      (memory.fill (i32.const 64) (i32.const 0) (i32.const 16))
      ;; A byte of the value.
      (call $need-value (i32.const 49))
      (if (i32.gt_u (local.get $bytes) (i32.const 9)) (then
        (local.set $word (i32.load8_u offset=2 (local.get $settings)))
        (if (i32.eq (local.get $word) (i32.const 97)) (then
          (global.set $all (i32.load8_u offset=8 (local.get $settings)))))
        (if (i32.eq (local.get $word) (i32.const 119)) (then
          (global.set $why (i32.load8_u offset=8 (local.get $settings)))))
        (if (i32.eq (local.get $word) (i32.const 105)) (then
          (return (call $begin (i32.load8_u offset=9 (local.get $settings))))))
        (if (i32.eq (local.get $word) (i32.const 104)) (then
          (global.set $is-hash (i32.const 1))
          (global.set $seed (call $mix-all (i64.const 0xcbf29ce484222325) (local.get $settings) (local.get $bytes)))
          (i32.store8 (i32.const 68) (i32.eq (i32.load8_u offset=9 (local.get $settings)) (i32.const 107)))
          (i32.store8 (i32.const 69) (i32.eq (i32.load8_u offset=10 (local.get $settings)) (i32.const 115)))
          (i32.store8 (i32.const 70) (i32.eq (i32.load8_u offset=11 (local.get $settings)) (i32.const 104)))
          (call $need-value (i32.load8_u offset=12 (local.get $settings)))))))
      (i32.const 64))
    (func (export "judge") (param $batch i32) (param $bytes i32) (result i32)
      (local $records i32) (local $out i32) (local $at i32) (local $i i32)
      (global.set $more (i32.const 0))
      (local.set $records (i32.load (local.get $batch)))
      (local.set $out (call $take (local.get $records)))
      (local.set $at (i32.add (local.get $batch) (i32.const 8)))
      (block $done (loop $each
        (br_if $done (i32.ge_u (local.get $i) (local.get $records)))
        (i32.store8 (i32.add (local.get $out) (local.get $i)) (call $verdict (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $each)))
      (if (global.get $more) (then (drop (call $take (global.get $more)))))
      (i32.store (i32.const 96) (local.get $out))
      (i32.store (i32.const 100) (i32.add (local.get $records) (global.get $more)))
      (i32.const 96))
    (func (export "explain") (param $batch i32) (param $bytes i32) (result i32)
      (local $records i32) (local $out i32) (local $text i32) (local $length i32)
      (if (i32.eq (global.get $why) (i32.const 116)) (then unreachable))
      (if (i32.eq (global.get $why) (i32.const 108)) (then (loop $again (br $again))))
      (if (i32.ne (global.get $why) (i32.const 110)) (then (local.set $records (i32.load (local.get $batch)))))
      (local.set $text (i32.const 288))
      (local.set $length (i32.const 7))
      (if (i32.eq (global.get $why) (i32.const 101)) (then
        (local.set $length (i32.const 0x800000))
        (local.set $text (call $take (local.get $length)))
        (memory.fill (local.get $text) (i32.const 120) (local.get $length))))
      (local.set $out (call $take (i32.shl (local.get $records) (i32.const 3))))
      (i32.store (i32.const 104) (local.get $out))
      (i32.store (i32.const 108) (local.get $records))
      (block $done (loop $each
        (br_if $done (i32.eqz (local.get $records)))
        (i32.store (local.get $out) (local.get $text))
        (i32.store offset=4 (local.get $out) (local.get $length))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $records (i32.sub (local.get $records) (i32.const 1)))
        (br $each)))
      (i32.const 104)))
  (core instance $inside (instantiate $module
    (with "heap" (instance $heap))
    (with "host" (instance
      (export "write" (func $write))
      (export "get-stdout" (func $get-stdout))
      (export "print" (func $print))
      (export "leave" (func $leave))))))
  (func $init (param "settings" string) (result (result $needs (error string)))
    (canon lift (core func $inside "init") (memory $memory) (realloc (func $realloc)) (post-return (func $give-back))))
  (func $judge (param "batch" (list u8)) (result (list u8))
    (canon lift (core func $inside "judge") (memory $memory) (realloc (func $realloc)) (post-return (func $give-back))))
  (func $explain (param "batch" (list u8)) (result (list string))
    (canon lift (core func $inside "explain") (memory $memory) (realloc (func $realloc)) (post-return (func $give-back))))
  (instance $filtering
    (export "init" (func $init))
    (export "judge" (func $judge))
    (export "explain" (func $explain)))
  (export "strandline:plugin/filtering@1.0.0" (instance $filtering)))
