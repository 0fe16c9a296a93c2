/**
 * DER, as much of it as a certificate needs: values to bytes. ITU-T X.690 §8, §10. Reading: der-reader.ts.
 */

/** One value: its tag, its length in the shortest form, its contents. X.690 §8.1 */
export function value(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length, ...length), body]);
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => value(0x30, ...items);
export const set = (...items: readonly Uint8Array[]): Buffer => value(0x31, ...items);
export const NULL = value(0x05);
export const octetString = (bytes: Uint8Array): Buffer => value(0x04, bytes);
export const utf8String = (text: string): Buffer => value(0x0c, Buffer.from(text));
export const TRUE = value(0x01, Buffer.of(0xff));

/** Whole bytes; `unused` of the last one's low bits do not count. */
export const bitString = (bytes: Uint8Array, unused = 0): Buffer => value(0x03, Buffer.of(unused), bytes);

/** A positive integer from its bytes, the highest first. X.690 §8.3: the top bit would be a sign. */
export function integer(bytes: Uint8Array): Buffer {
  let first = 0;
  while (first < bytes.length - 1 && bytes[first] === 0) first++;
  const shortest = bytes.subarray(first);
  return value(0x02, ...(shortest[0]! & 0x80 ? [Buffer.of(0), shortest] : [shortest]));
}

/** `2.5.29.17`. X.690 §8.19 */
export function objectId(text: string): Buffer {
  const [first, second, ...rest] = text.split('.').map(Number);
  const bytes = [first! * 40 + second!, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) digits.unshift(0x80 | (high & 0x7f));
    return digits;
  });
  return value(0x06, Buffer.from(bytes));
}

/** A moment. RFC 5280 §4.1.2.5: UTCTime through 2049, then GeneralizedTime. @param at  milliseconds since 1970 */
export function time(at: number): Buffer {
  const text = `${new Date(at).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return new Date(at).getUTCFullYear() < 2050
    ? value(0x17, Buffer.from(text.slice(2)))
    : value(0x18, Buffer.from(text));
}

/** `[n]` around a value, or in its place when it is a primitive one. X.690 §8.14 */
export const tagged = (n: number, isConstructed: boolean, ...contents: readonly Uint8Array[]): Buffer =>
  value(0x80 | (isConstructed ? 0x20 : 0) | n, ...contents);
