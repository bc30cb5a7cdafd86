;; WASI preview 1 for modules that were built for it: the answers that docs/plugin-contract.md promises of a host,
;; given inside the component. Only what is printed leaves it, by way of WASI 0.2.
;;
;; It keeps nothing between calls and has no memory of its own, so it needs none of the module's: the runtime of Go
;; takes whatever the memory grows by for its own.
(module
  (import "env" "memory" (memory 0))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get_stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get_stderr (result i32)))
  (import "wasi:io/error@0.2.0" "[resource-drop]error" (func $drop_error (param i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_stream (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param $stream i32) (param $at i32) (param $len i32) (param $result i32)))

  ;; Errors: 8 there is no such descriptor, 52 there is no such function.

  ;; No arguments, no environment.
  (func $no_texts (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (func $nothing_to_get (param i32 i32) (result i32) (i32.const 0))
  (export "args_sizes_get" (func $no_texts))
  (export "environ_sizes_get" (func $no_texts))
  (export "args_get" (func $nothing_to_get))
  (export "environ_get" (func $nothing_to_get))

  ;; Time stands still: it is 1970, and the monotonic clocks are at 1, since the runtime of Go stops at 0.
  (func (export "clock_res_get") (param $clock i32) (param $out i32) (result i32)
    (i64.store (local.get $out) (i64.const 1))
    (i32.const 0))
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $out i32) (result i32)
    (i64.store (local.get $out) (i64.extend_i32_u (i32.ne (local.get $clock) (i32.const 0))))
    (i32.const 0))

  ;; The same bytes each time, all different from one another as far as possible.
  (func (export "random_get") (param $at i32) (param $len i32) (result i32)
    (local $index i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $len)))
        (i32.store8
          (i32.add (local.get $at) (local.get $index))
          (i32.add (i32.mul (local.get $index) (i32.const 167)) (i32.const 93)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; What is printed goes on, for `strandline plugin logs`.
  (func (export "fd_write") (param $fd i32) (param $parts i32) (param $count i32) (param $written i32) (result i32)
    (local $stream i32) (local $total i32)
    (block $known
      (block $stderr
        (block $stdout
          (br_if $stdout (i32.eq (local.get $fd) (i32.const 1)))
          (br_if $stderr (i32.eq (local.get $fd) (i32.const 2)))
          (return (i32.const 8)))
        (local.set $stream (call $get_stdout))
        (br $known))
      (local.set $stream (call $get_stderr)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (call $print (local.get $stream) (i32.load (local.get $parts)) (i32.load offset=4 (local.get $parts)))
        (local.set $total (i32.add (local.get $total) (i32.load offset=4 (local.get $parts))))
        (local.set $parts (i32.add (local.get $parts) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (call $drop_stream (local.get $stream))
    (i32.store (local.get $written) (local.get $total))
    (i32.const 0))

  ;; At most 4,096 bytes at a time, as the interface says. What does not go out is lost, as with any log.
  (func $print (param $stream i32) (param $at i32) (param $len i32)
    (local $piece i32) (local $saved_low i64) (local $saved_high i64) (local $failed i32) (local $error i32)
    ;; The result takes 12 bytes of the module's memory: they are lent by whatever stands at 16.
    (local.set $saved_low (i64.load (i32.const 16)))
    (local.set $saved_high (i64.load (i32.const 24)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $len)))
        (local.set $piece
          (select (local.get $len) (i32.const 4096) (i32.lt_u (local.get $len) (i32.const 4096))))
        (call $write (local.get $stream) (local.get $at) (local.get $piece) (i32.const 16))
        (local.set $failed (i32.load8_u (i32.const 16)))
        (local.set $error
          (select (i32.const 0) (i32.load (i32.const 24)) (i32.load8_u (i32.const 20))))
        (i64.store (i32.const 16) (local.get $saved_low))
        (i64.store (i32.const 24) (local.get $saved_high))
        (if (local.get $failed)
          (then
            (if (local.get $error) (then (call $drop_error (local.get $error))))
            (return)))
        (local.set $at (i32.add (local.get $at) (local.get $piece)))
        (local.set $len (i32.sub (local.get $len) (local.get $piece)))
        (br $next))))

  ;; Standard input is at its end.
  (func (export "fd_read") (param $fd i32) (param $parts i32) (param $count i32) (param $read i32) (result i32)
    (if (local.get $fd) (then (return (i32.const 8))))
    (i32.store (local.get $read) (i32.const 0))
    (i32.const 0))

  ;; The three standard streams are character devices; there are no other descriptors.
  (func (export "fd_fdstat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (i64.store (local.get $out) (i64.const 2))
    (i64.store offset=8 (local.get $out) (i64.const 0x42))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    (i32.const 0))
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param $flags i32) (result i32)
    (select (i32.const 8) (i32.const 0) (i32.gt_u (local.get $fd) (i32.const 2))))

  ;; Everything that is waited for has come.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (i32.store (local.get $events) (local.get $count))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i64.store (local.get $out) (i64.load (local.get $in)))
        (i64.store offset=8 (local.get $out) (i64.shl (i64.load8_u offset=8 (local.get $in)) (i64.const 16)))
        (i64.store offset=16 (local.get $out) (i64.const 0))
        (i64.store offset=24 (local.get $out) (i64.const 0))
        (local.set $in (i32.add (local.get $in) (i32.const 48)))
        (local.set $out (i32.add (local.get $out) (i32.const 32)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  (func (export "sched_yield") (result i32) (i32.const 0))
  ;; Ends the call as failed.
  (func (export "proc_exit") (param i32) (unreachable))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 52))

  ;; No files, directories or sockets, so no descriptor of one can be right.
  (func $no_fd (param i32) (result i32) (i32.const 8))
  (func $no_fd_i32 (param i32 i32) (result i32) (i32.const 8))
  (func $no_fd_2_i32 (param i32 i32 i32) (result i32) (i32.const 8))
  (func $no_fd_4_i32 (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func $no_fd_5_i32 (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func $no_fd_i64 (param i32 i64) (result i32) (i32.const 8))
  (func $no_fd_i64_2 (param i32 i64 i64) (result i32) (i32.const 8))
  (func $no_fd_i64_2_i32 (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func $no_fd_2_i32_i64_i32 (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (export "fd_close" (func $no_fd))
  (export "fd_datasync" (func $no_fd))
  (export "fd_sync" (func $no_fd))
  (export "fd_renumber" (func $no_fd_i32))
  (export "fd_tell" (func $no_fd_i32))
  (export "fd_filestat_get" (func $no_fd_i32))
  (export "fd_prestat_get" (func $no_fd_i32))
  (export "fd_prestat_dir_name" (func $no_fd_2_i32))
  (export "fd_filestat_set_size" (func $no_fd_i64))
  (export "fd_allocate" (func $no_fd_i64_2))
  (export "fd_fdstat_set_rights" (func $no_fd_i64_2))
  (export "fd_advise" (func $no_fd_i64_2_i32))
  (export "fd_filestat_set_times" (func $no_fd_i64_2_i32))
  (export "fd_pread" (func $no_fd_2_i32_i64_i32))
  (export "fd_pwrite" (func $no_fd_2_i32_i64_i32))
  (export "fd_readdir" (func $no_fd_2_i32_i64_i32))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (export "path_create_directory" (func $no_fd_2_i32))
  (export "path_remove_directory" (func $no_fd_2_i32))
  (export "path_unlink_file" (func $no_fd_2_i32))
  (export "path_filestat_get" (func $no_fd_4_i32))
  (export "path_symlink" (func $no_fd_4_i32))
  (export "path_readlink" (func $no_fd_5_i32))
  (export "path_rename" (func $no_fd_5_i32))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 8))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8)))
