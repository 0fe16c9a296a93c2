/**
 * A hash of strings for choices that shall look random and come out the same on every host and in every run. Not for
 * secrets. FNV-1a (draft-eastlake-fnv) with the finish of MurmurHash3, whose low bits are as good as its high ones.
 */

/** @returns 0 to 2³² − 1 */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Letters and digits that spell no word. k8s.io/apimachinery, pkg/util/rand. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** Five letters and digits, as Kubernetes ends the names it makes. */
export function hashSuffix(text: string): string {
  let h = hashText(text);
  let suffix = '';
  for (let i = 0; i < 5; i++) {
    suffix += ALPHABET[h % ALPHABET.length]!;
    h = Math.floor(h / ALPHABET.length);
  }
  return suffix;
}

/** A string of letters that spell no word for each of another string. k8s.io/apimachinery, SafeEncodeString. */
export const encodeSafely = (text: string): string =>
  [...text].map((char) => ALPHABET[char.charCodeAt(0) % ALPHABET.length]!).join('');
