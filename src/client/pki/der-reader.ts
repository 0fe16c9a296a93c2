/**
 * DER, read strictly: each value has the tag that is expected there, and its length in the shortest form; nothing stands
 * behind the last one. ITU-T X.690 §8.1, §10.1.
 *
 * Not here: tags of more than one byte, which no certificate and no request has.
 */

/** Bytes that are not the DER that they should be. */
export class DerError extends SyntaxError {
  override readonly name = 'DerError';
}

/** One value: its tag, its contents, and all of it. */
export interface DerValue {
  readonly tag: number;
  readonly contents: Buffer;
  readonly whole: Buffer;
}

/** Values that stand one behind the other. */
export class DerReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The tag of the next value; undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** @param what  what it should be, for the error */
  value(tag: number, what: string): DerValue {
    const bytes = this.#bytes;
    const start = this.#offset;
    if (bytes[start] !== tag) {
      const found = start < bytes.length ? `tag 0x${bytes[start]!.toString(16).padStart(2, '0')}` : 'nothing';
      throw new DerError(`${what} should have tag 0x${tag.toString(16).padStart(2, '0')}, there is ${found}`);
    }
    let at = start + 1;
    let length = bytes[at++];
    if (length !== undefined && length >= 0x80) {
      const count = length & 0x7f;
      // 0: of indefinite length, which is no DER. Nothing we read has more than 2^24 bytes.
      if (count === 0 || count > 3) throw new DerError(`the length of ${what} takes ${count} bytes`);
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[at++] ?? NaN);
      if (length < 0x80 || length < 2 ** (8 * (count - 1)))
        throw new DerError(`the length of ${what} is not in its shortest form`);
    }
    if (length === undefined || !(at + length <= bytes.length)) throw new DerError(`${what} is cut off`);
    this.#offset = at + length;
    return { tag, contents: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) };
  }

  /** The values inside of the next value. */
  inside(tag: number, what: string): DerReader {
    return new DerReader(this.value(tag, what).contents);
  }

  sequence(what: string): DerReader {
    return this.inside(0x30, what);
  }

  /** `2.5.4.3`. X.690 §8.19 */
  objectId(what: string): string {
    const { contents } = this.value(0x06, what);
    const arcs: number[] = [];
    let arc = 0;
    for (const [i, byte] of contents.entries()) {
      if (arc === 0 && byte === 0x80) throw new DerError(`${what} has an arc with a leading zero`);
      arc = arc * 128 + (byte & 0x7f);
      if (arc > 2 ** 40) throw new DerError(`${what} has an arc that is too large`);
      if (byte & 0x80) {
        if (i === contents.length - 1) throw new DerError(`${what} is cut off`);
        continue;
      }
      arcs.push(arc);
      arc = 0;
    }
    if (arcs.length === 0) throw new DerError(`${what} is empty`);
    const first = Math.min(Math.floor(arcs[0]! / 40), 2);
    return [first, arcs[0]! - first * 40, ...arcs.slice(1)].join('.');
  }

  /** Whole bytes. */
  bitString(what: string): Buffer {
    const { contents } = this.value(0x03, what);
    if (contents[0] !== 0) throw new DerError(`${what} is no whole number of bytes`);
    return contents.subarray(1);
  }

  /** Nothing may follow. */
  end(what: string): void {
    if (!this.isAtEnd) throw new DerError(`there are bytes behind ${what}`);
  }
}
