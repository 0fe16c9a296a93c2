/**
 * Base64, as fields of type `[]byte` travel in JSON. RFC 4648 §4. The pure folders have neither Buffer nor btoa.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Text as UTF-8 (RFC 3629 §3), in base64. A surrogate without its partner becomes U+FFFD. */
export function encodeBase64(text: string): string {
  const bytes = utf8(text);
  let result = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    result += ALPHABET[word >>> 18]! + ALPHABET[(word >>> 12) & 63]!;
    result += i + 1 < bytes.length ? ALPHABET[(word >>> 6) & 63]! : '=';
    result += i + 2 < bytes.length ? ALPHABET[word & 63]! : '=';
  }
  return result;
}

function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (const char of text) {
    let code = char.codePointAt(0)!;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else
      bytes.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 63),
        0x80 | ((code >> 6) & 63),
        0x80 | (code & 63),
      );
  }
  return bytes;
}

/**
 * Look for the first character that base64 does not have; line breaks are let through, as Go's decoder does.
 *
 * @returns its index, the text's length when something is missing at the end, or -1 when all is well
 */
export function base64Fault(text: string): number {
  let symbols = 0;
  let padding = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '\r' || char === '\n') continue;
    if (char === '=') {
      // Only the third and the fourth of a group of four may be padding.
      if (symbols % 4 < 2 || (symbols + ++padding) % 4 === 1) return i;
    } else if (padding > 0 || !ALPHABET.includes(char)) return i;
    else symbols++;
  }
  return (symbols + padding) % 4 === 0 ? -1 : text.length;
}

/** How many bytes correct base64 stands for. */
export const base64Length = (text: string): number =>
  Math.floor((text.replace(/[\r\n=]/g, '').length * 3) / 4);

/** The text that correct base64 of UTF-8 stands for. Bytes that are no UTF-8 become U+FFFD. */
export function decodeBase64(text: string): string {
  const bytes: number[] = [];
  let word = 0;
  let bits = 0;
  for (const char of text) {
    const value = ALPHABET.indexOf(char);
    if (value < 0) continue; // padding, a line break
    word = ((word << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((word >>> bits) & 0xff);
  }
  return textOf(bytes);
}

function textOf(bytes: readonly number[]): string {
  let text = '';
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i]!;
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    let code = length === 1 ? first : first & (0x7f >> length);
    let used = 1;
    for (; used < length && (bytes[i + used]! & 0xc0) === 0x80; used++)
      code = (code << 6) | (bytes[i + used]! & 0x3f);
    const isWhole = used === length && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    text += isWhole ? String.fromCodePoint(code) : '\ufffd';
    i += used;
  }
  return text;
}
