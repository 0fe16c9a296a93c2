/** The end of a name that nobody has chosen. */
import { randomBytes } from 'node:crypto';

/** Five letters and digits that spell no word. k8s.io/apiserver, pkg/storage/names. */
export function randomSuffix(): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return Array.from(randomBytes(5), (byte) => alphabet[byte % alphabet.length]).join('');
}
