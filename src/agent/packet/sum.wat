;; The one's complement sum of a run of bytes (RFC 1071), 32 at a time. `pool-memory.ts` holds this module in compiled form; its
;; test compiles it anew and compares.
(module
  (memory (import "pool" "memory") 1)

  ;; at: byte offset, even.  len: bytes, at most 65535; an odd last byte counts as if a zero followed.
  ;; Result: below 2^17, in machine byte order.
  (func (export "sum") (param $at i32) (param $len i32) (result i32)
    (local $even v128) (local $odd v128) (local $end i32) (local $total i32)

    ;; Four 32-bit lanes each, into which pairs of 16-bit words are added. 65535 bytes cannot make a lane overflow, nor all of
    ;; them together.
    (local.set $end (i32.add (local.get $at) (i32.and (local.get $len) (i32.const -32))))
    (block $summed
      (loop $next
        (br_if $summed (i32.eq (local.get $at) (local.get $end)))
        (local.set $even (i32x4.add (local.get $even)
          (i32x4.extadd_pairwise_i16x8_u (v128.load align=2 (local.get $at)))))
        (local.set $odd (i32x4.add (local.get $odd)
          (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 align=2 (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $next)))
    (local.set $even (i32x4.add (local.get $even) (local.get $odd)))
    (local.set $total
      (i32.add
        (i32.add (i32x4.extract_lane 0 (local.get $even)) (i32x4.extract_lane 1 (local.get $even)))
        (i32.add (i32x4.extract_lane 2 (local.get $even)) (i32x4.extract_lane 3 (local.get $even)))))

    ;; What is left: up to fifteen words, perhaps a byte.
    (local.set $end (i32.add (local.get $at) (i32.and (local.get $len) (i32.const 30))))
    (block $words
      (loop $next
        (br_if $words (i32.eq (local.get $at) (local.get $end)))
        (local.set $total (i32.add (local.get $total) (i32.load16_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $next)))
    (if (i32.and (local.get $len) (i32.const 1))
      (then (local.set $total (i32.add (local.get $total) (i32.load8_u (local.get $at))))))

    (i32.add
      (i32.and (local.get $total) (i32.const 0xffff))
      (i32.shr_u (local.get $total) (i32.const 16)))))
