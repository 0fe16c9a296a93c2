/**
 * Addresses in names: `4.3.2.1.in-addr.arpa` (RFC 1035 §3.5), `….ip6.arpa` (RFC 3596 §2.5), and with dashes, as in
 * `10-244-1-3.default.pod.cluster.local`.
 */
import { formatAddress, isIpv4, parseAddress, parseCidr, type Address } from '../wire/address.js';

const V4_SUFFIX = 'in-addr.arpa';
const V6_SUFFIX = 'ip6.arpa';

/** The one way to write an address; undefined when `text` is none. */
export function canonical(text: string): string | undefined {
  const address = parseAddress(text);
  return address && formatAddress(...address);
}

/** The name under which an address has its PTR record. */
export function reverseName(text: string): string {
  const address = parseAddress(text)!;
  if (isIpv4(address[0], address[1], address[2]))
    return `${formatAddress(...address)
      .split('.')
      .reverse()
      .join('.')}.${V4_SUFFIX}`;
  return `${nibbles(address).reverse().join('.')}.${V6_SUFFIX}`;
}

const nibbles = (address: Address): string[] =>
  address.flatMap((word) => [...(word >>> 0).toString(16).padStart(8, '0')]);

/** What a name below in-addr.arpa or ip6.arpa says. */
export interface Reverse {
  /** The address, when the name is whole. */
  readonly address?: string;
  /** Whether names below this one can be whole. */
  readonly isBranch: boolean;
}

/** @param name  lower case. @returns undefined when it is below neither */
export function readReverse(name: string): Reverse | undefined {
  const suffix = [V4_SUFFIX, V6_SUFFIX].find((text) => name === text || name.endsWith(`.${text}`));
  if (suffix === undefined) return undefined;
  const labels = name.slice(0, -suffix.length - 1).split('.');
  if (name === suffix) labels.length = 0;
  if (suffix === V4_SUFFIX) {
    if (labels.length > 4 || !labels.every((label) => /^(0|[1-9][0-9]{0,2})$/.test(label) && +label < 256))
      return { isBranch: false };
    return labels.length < 4 ? { isBranch: true } : { address: labels.reverse().join('.'), isBranch: false };
  }
  if (labels.length > 32 || !labels.every((label) => /^[0-9a-f]$/.test(label))) return { isBranch: false };
  if (labels.length < 32) return { isBranch: true };
  const hex = labels.reverse().join('');
  return { address: canonical(hex.replace(/.{4}(?!$)/g, '$&:')), isBranch: false };
}

/**
 * The zones that together hold the names of a prefix: on the next boundary of a byte (IPv4) or of a nibble (IPv6).
 *
 * @returns undefined when `text` is no prefix
 */
export function reverseZones(text: string): string[] | undefined {
  const [base = '', length = ''] = text.split('/');
  const address = parseAddress(base);
  if (!address || !/^[0-9]{1,3}$/.test(length)) return undefined;
  const isV4 = !base.includes(':');
  if (isV4 && !parseCidr(text)) return undefined;
  const bits = Number(length);
  if (bits > (isV4 ? 32 : 128)) return undefined;
  const unit = isV4 ? 8 : 4;
  const digits = isV4 ? formatAddress(...address).split('.') : nibbles(address);
  const radix = isV4 ? 10 : 16;
  const whole = Math.floor(bits / unit);
  const rest = bits - whole * unit;
  const suffix = isV4 ? V4_SUFFIX : V6_SUFFIX;
  const zoneOf = (prefix: readonly string[]): string => [...prefix].reverse().concat(suffix).join('.');
  const fixed = digits.slice(0, whole);
  if (rest === 0) return [zoneOf(fixed)];
  const count = 2 ** (unit - rest);
  const first = parseInt(digits[whole]!, radix) & ~(count - 1);
  return Array.from({ length: count }, (_, i) => zoneOf([...fixed, (first + i).toString(radix)]));
}

/** `10-244-1-3`, `fd00--1`. */
export const dashed = (address: string): string => address.replace(/[.:]/g, '-');

/** The address of a label with dashes; undefined when it is none. */
export const undashed = (label: string): string | undefined =>
  canonical(label.replaceAll('-', /^\d+-\d+-\d+-\d+$/.test(label) ? '.' : ':'));
