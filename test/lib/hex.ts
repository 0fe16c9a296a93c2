/**
 * Packets as text: hex with a comment per field, so that a test shows the bytes that it is about.
 */
import { bytesOf } from '../../src/wire/checksum.js';
import type { Bytes } from '../../src/wire/checksum.js';

/**
 * Bytes of hex text. White space means nothing; `#` begins a comment that ends with its line.
 *
 *     hex(`
 *       08 00   # type: echo request
 *       f7 fd   # checksum
 *     `)
 */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*/g, '').replace(/\s+/g, '');
  const wrong = /[^0-9a-fA-F]/.exec(digits);
  if (wrong) throw new SyntaxError(`Cannot read hex: "${wrong[0]}" is no digit`);
  if (digits.length % 2 !== 0) throw new SyntaxError('Cannot read hex: the last byte has one digit');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/** Bytes as hex text, sixteen in a line: what a failed comparison shows. */
export function toHex(bytes: Uint8Array): string {
  const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
  const lines: string[] = [];
  for (let i = 0; i < pairs.length; i += 16) lines.push(pairs.slice(i, i + 16).join(' '));
  return lines.join('\n');
}

/** Bytes one after the other. */
export const concat = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => Array.from(part)));

/** What lies in memory that nobody has written: a field that a writer forgets keeps it. */
export const UNWRITTEN = 0xa5;

/** A stretch of memory as the packet path sees one. */
export interface Memory {
  readonly v: DataView;
  readonly b: Bytes;
  /** Hex of `len` bytes at `at`. */
  show(at: number, len: number): string;
  /** Whether every byte before `at` and from `at + len` on is still {@link UNWRITTEN}. */
  isUntouchedAround(at: number, len: number): boolean;
}

/** Memory full of {@link UNWRITTEN} with `bytes` at `at`, and at least eight bytes behind them. */
export function memory(bytes: Uint8Array = new Uint8Array(0), at = 0): Memory {
  const buffer = new ArrayBuffer(Math.max(64, at + bytes.length + 8 + 3) & ~3);
  const u8 = new Uint8Array(buffer).fill(UNWRITTEN);
  u8.set(bytes, at);
  return {
    v: new DataView(buffer),
    b: bytesOf(buffer),
    show: (at, len) => toHex(u8.slice(at, at + len)),
    isUntouchedAround: (at, len) => u8.every((byte, i) => (i >= at && i < at + len) || byte === UNWRITTEN),
  };
}
