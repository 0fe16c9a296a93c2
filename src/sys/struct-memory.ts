/**
 * Memory for the structs of system calls, written as 32-bit words. An address goes in as two words; nothing here allocates
 * after its construction.
 */
import { addressOf } from './memory.js';
import { IOVEC_BASE, IOVEC_LENGTH, IOVEC_SIZE } from './layout.js';

const WORD = 2 ** 32;

export class StructMemory {
  readonly words: Uint32Array;
  readonly halves: Uint16Array;
  /** Address of the first byte. */
  readonly address: number;

  constructor(bytes: number) {
    this.words = new Uint32Array(bytes / 4);
    this.halves = new Uint16Array(this.words.buffer);
    this.address = addressOf(this.words);
  }

  /** Write a 64-bit number, below 2^53, at a byte offset. */
  put64(at: number, value: number): void {
    this.words[at >> 2] = value >>> 0;
    this.words[(at >> 2) + 1] = (value / WORD) | 0;
  }

  /** Write an iovec at a byte offset. */
  putIovec(at: number, address: number, length: number): void {
    this.put64(at + IOVEC_BASE, address);
    this.words[(at + IOVEC_LENGTH) >> 2] = length;
    this.words[((at + IOVEC_LENGTH) >> 2) + 1] = 0;
  }
}

export const IOVEC = IOVEC_SIZE;
