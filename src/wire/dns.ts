/**
 * DNS messages: the header, names, questions, and a walk over records. RFC 1035 §4.1, RFC 6891 §6.1.
 *
 *       0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
 *     +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
 *     |                      ID                       |
 *     |QR|   Opcode  |AA|TC|RD|RA| Z|AD|CD|   RCODE   |
 *     |                    QDCOUNT                    |
 *     |                    ANCOUNT                    |
 *     |                    NSCOUNT                    |
 *     |                    ARCOUNT                    |
 *     +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
 *
 * A name in a message is bytes; as text it is lower case, without the last dot, and what is a dot or a backslash inside of a
 * label has a backslash before it (RFC 1035 §5.1), so that two texts are equal exactly when the names are. Bytes beyond
 * ASCII stand as the character of their number.
 *
 * What records hold is not read here.
 */

export const HEADER_LEN = 12;
/** The longest name, with its length bytes. RFC 1035 §2.3.4. */
export const MAX_NAME_LEN = 255;
export const MAX_LABEL_LEN = 63;

/** Bits of the second word of the header. */
export const QR = 0x8000;
export const AA = 0x0400;
export const TC = 0x0200;
export const RD = 0x0100;
export const RA = 0x0080;
export const AD = 0x0020;
export const CD = 0x0010;

/** Where the counts stand. */
export const QDCOUNT = 4;
export const ANCOUNT = 6;
export const NSCOUNT = 8;
export const ARCOUNT = 10;

/** https://www.iana.org/assignments/dns-parameters: those of which something here knows. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const CLASS_IN = 1;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** Of 12 bits, of which the upper eight stand in OPT. */
  BADVERS: 16,
} as const;

export type RcodeName = keyof typeof RCODE;

/** A two-byte word. */
export const u16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!;

/** A four-byte word, signed. */
export const i32 = (b: Uint8Array, at: number): number =>
  (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;

export const setU16 = (b: Uint8Array, at: number, value: number): void => {
  b[at] = value >>> 8;
  b[at + 1] = value;
};

export const setU32 = (b: Uint8Array, at: number, value: number): void => {
  setU16(b, at, value >>> 16);
  setU16(b, at + 2, value & 0xffff);
};

export const flags = (b: Uint8Array): number => u16(b, 2);
export const opcode = (b: Uint8Array): number => (b[2]! >>> 3) & 15;
export const rcode = (b: Uint8Array): number => b[3]! & 15;

/**
 * The end of a name that may end in a pointer, which is not followed.
 *
 * @param end  where the message ends
 * @returns    the offset behind the name, or -1 when it is none
 */
export function skipName(b: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end;) {
    const len = b[i]!;
    if (len === 0) return i + 1;
    if (len >= 0xc0) return i + 2 <= end ? i + 2 : -1;
    if (len > MAX_LABEL_LEN) return -1; // 01 and 10 were never given a meaning that lasted
    i += len + 1;
    if (i - at >= MAX_NAME_LEN) return -1;
  }
  return -1;
}

/** The end of a name without pointers, or -1: what a question begins with. */
export function skipPlainName(b: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end;) {
    const len = b[i]!;
    if (len === 0) return i + 1;
    if (len > MAX_LABEL_LEN) return -1;
    i += len + 1;
    if (i - at >= MAX_NAME_LEN) return -1;
  }
  return -1;
}

const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** The text of a name that {@link skipPlainName} accepted. The root is ''. */
export function nameText(b: Uint8Array, at: number): string {
  let text = '';
  for (let i = at; b[i] !== 0;) {
    const stop = i + b[i]! + 1;
    if (i > at) text += '.';
    for (i++; i < stop; i++) {
      const byte = b[i]!;
      if (byte === DOT || byte === BACKSLASH) text += '\\';
      text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
    }
  }
  return text;
}

/**
 * Walk over resource records.
 *
 * @param at    where the first begins
 * @param visit told of each: where its name, its type field and its data begin, and the length of the data
 * @returns     the offset behind the last, or -1 when one is not whole
 */
export function walkRecords(
  b: Uint8Array,
  at: number,
  end: number,
  count: number,
  visit: (owner: number, fields: number, data: number, dataLen: number, index: number) => void,
): number {
  let owner = at;
  for (let i = 0; i < count; i++) {
    const fields = skipName(b, owner, end);
    if (fields < 0 || fields + 10 > end) return -1;
    const dataLen = u16(b, fields + 8);
    const data = fields + 10;
    if (data + dataLen > end) return -1;
    visit(owner, fields, data, dataLen, i);
    owner = data + dataLen;
  }
  return owner;
}
