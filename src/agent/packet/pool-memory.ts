/**
 * The frame pool's memory: WebAssembly's, so that long checksum sums take 32 bytes a step, four times as fast as the loop of
 * `wire/checksum.ts`, which stays for short ones, for every other memory, and as the twin that a test holds it to.
 */
import { bytesOf, type Bytes } from '../../wire/checksum.js';

/** `sum.wat` beside this file, compiled: `npx wat2wasm --enable-simd`. */
export const MODULE = Buffer.from(
  'AGFzbQEAAAABBwFgAn9/AX8CEAEEcG9vbAZtZW1vcnkCAAEDAgEABwcBA3N1bQAACrIBAa8BAgJ7An8gACABQWBxaiEEAkADQCAA' +
    'IARGDQEgAiAA/QABAP1//a4BIQIgAyAA/QABEP1//a4BIQMgAEEgaiEADAALCyACIAP9rgEhAiAC/RsAIAL9GwFqIAL9GwIgAv0b' +
    'A2pqIQUgACABQR5xaiEEAkADQCAAIARGDQEgBSAALwEAaiEFIABBAmohAAwACwsgAUEBcQRAIAUgAC0AAGohBQsgBUH//wNxIAVB' +
    'EHZqCw==',
  'base64',
);
const PAGE = 65536;

/** What is used of it: neither TypeScript's library of ES2023 nor Node's types declare it. */
declare const WebAssembly: {
  validate(module: Uint8Array): boolean;
  Module: new (module: Uint8Array) => object;
  Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

/**
 * Zeroed memory of at least so many bytes. Plain memory, where the processor has no 128-bit instructions (SSE4.1), or the address
 * space is bounded (`ulimit -v`): WebAssembly reserves gigabytes of it.
 */
export function allocPool(bytes: number): Bytes {
  const plain = (): Bytes => bytesOf(new ArrayBuffer(bytes));
  if (!WebAssembly.validate(MODULE)) return plain();
  try {
    const pages = Math.ceil(bytes / PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { pool: { memory } });
    const { sum } = exports as { sum: NonNullable<Bytes['sumLong']> };
    return { ...bytesOf(memory.buffer), sumLong: sum };
  } catch (error) {
    if (error instanceof RangeError) return plain();
    throw error;
  }
}
