/**
 * Addresses and prefixes as text and as numbers.
 *
 * An IPv4 address is one int32, big-endian as on the wire, so that `10.0.0.1` is `0x0a000001`. An address of either
 * family is four int32 words ({@link Address}); IPv4 stands there as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2). All words
 * are signed; `>>> 0` belongs only into printing. A MAC address is two numbers: its first two bytes and its last four.
 *
 * Text is parsed strictly: no leading zeros, no octal, no zone (RFC 6943 §3.1.1).
 */

/** An address of either family: four signed words, most significant first. */
export type Address = readonly [number, number, number, number];

/** The second but last word of an IPv4-mapped address. */
export const V4_MAPPED = 0x0000ffff;

/** An IPv4 prefix: `base` has no bit set outside of the first `bits`. */
export interface Cidr {
  readonly base: number;
  readonly bits: number;
}

/** A MAC address: `hi` holds the first two bytes, `lo` the last four as int32. */
export interface Mac {
  readonly hi: number;
  readonly lo: number;
}

const DECIMAL_BYTE = /^(0|[1-9][0-9]{0,2})$/;

/** Parse dotted decimal. @returns the signed word, or undefined when `text` is no IPv4 address. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    if (!DECIMAL_BYTE.test(part) || Number(part) > 255) return undefined;
    word = (word << 8) | Number(part);
  }
  return word;
}

/** Format a word as dotted decimal. */
export const formatIpv4 = (word: number): string =>
  `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;

/** Parse an IPv4 or IPv6 address. RFC 4291 §2.2. @returns undefined when `text` is neither. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const word = parseIpv4(text);
    return word === undefined ? undefined : fromIpv4(word);
  }
  let groups = text;
  const tail: number[] = [];
  const lastColon = text.lastIndexOf(':');
  if (text.includes('.')) {
    const word = parseIpv4(text.slice(lastColon + 1));
    if (word === undefined) return undefined;
    tail.push((word >>> 16) & 0xffff, word & 0xffff);
    groups = text.slice(0, lastColon);
    // The colon that was cut may be the second one of "::".
    if (groups.endsWith(':') || groups === '') groups += ':';
  }
  const halves = groups.split('::');
  if (halves.length > 2) return undefined;
  const front = parseGroups(halves[0]!);
  const back = halves.length === 2 ? parseGroups(halves[1]!) : [];
  if (!front || !back) return undefined;
  back.push(...tail);
  const missing = 8 - front.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...front, ...new Array<number>(missing).fill(0), ...back];
  const word = (i: number): number => (all[i]! << 16) | all[i + 1]!;
  return [word(0), word(2), word(4), word(6)];
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  return groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))
    ? groups.map((group) => parseInt(group, 16))
    : undefined;
}

/** An IPv4 word as the address of either family. */
export const fromIpv4 = (word: number): Address => [0, 0, V4_MAPPED, word];

/** Whether four words hold an IPv4 address. */
export const isIpv4 = (w0: number, w1: number, w2: number): boolean =>
  w0 === 0 && w1 === 0 && w2 === V4_MAPPED;

/** Format four words: IPv4 as dotted decimal, IPv6 by RFC 5952 §4. */
export function formatAddress(w0: number, w1: number, w2: number, w3: number): string {
  if (isIpv4(w0, w1, w2)) return formatIpv4(w3);
  const groups = [w0, w1, w2, w3].flatMap((word) => [word >>> 16, word & 0xffff]);
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > bestLen) [best, bestLen] = [i, end - i];
    if (end > i) i = end - 1;
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  return best < 0 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLen))}`;
}

/** The netmask of a prefix length 0..32 as a word. */
export const netmask = (bits: number): number => (bits === 0 ? 0 : -1 << (32 - bits));

/**
 * Parse an IPv4 prefix such as `10.244.0.0/16`. Bits outside of the prefix are cleared.
 *
 * @returns undefined when `text` is no IPv4 prefix
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const base = parseIpv4(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (base === undefined || !/^(0|[1-9][0-9]?)$/.test(length) || Number(length) > 32) return undefined;
  const bits = Number(length);
  return { base: base & netmask(bits), bits };
}

export const formatCidr = (cidr: Cidr): string => `${formatIpv4(cidr.base)}/${cidr.bits}`;

/** Whether the IPv4 `word` lies in `cidr`. */
export const cidrContains = (cidr: Cidr, word: number): boolean =>
  ((word ^ cidr.base) & netmask(cidr.bits)) === 0;

/** Whether two prefixes have an address in common. */
export const cidrsOverlap = (a: Cidr, b: Cidr): boolean =>
  ((a.base ^ b.base) & netmask(Math.min(a.bits, b.bits))) === 0;

/** The last address of a prefix. */
export const cidrLast = (cidr: Cidr): number => cidr.base | ~netmask(cidr.bits);

/** Parse `aa:bb:cc:dd:ee:ff`, upper or lower case. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return undefined;
  const hex = text.replaceAll(':', '');
  return { hi: parseInt(hex.slice(0, 4), 16), lo: parseInt(hex.slice(4), 16) | 0 };
}

/** Format a MAC address in lower case. */
export const formatMac = (hi: number, lo: number): string =>
  [hi >>> 8, hi & 255, lo >>> 24, (lo >>> 16) & 255, (lo >>> 8) & 255, lo & 255]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');

/** First two bytes of the MAC addresses that CNI derives from IPv4 addresses; locally administered. */
export const MAC_PREFIX_POD = 0x0a58;
/** First two bytes of our VTEPs' MAC addresses; locally administered. */
export const MAC_PREFIX_VTEP = 0x0e58;

/** The MAC address of whoever carries an IPv4 address: `0a:58` and its four bytes. */
export const macOfIpv4 = (word: number): Mac => ({ hi: MAC_PREFIX_POD, lo: word });
