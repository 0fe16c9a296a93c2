/**
 * PEM, the text form of certificates and requests: one block of base64 between two lines. RFC 7468 §3.
 */

/** @param label  `CERTIFICATE REQUEST` */
export const formatPem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

/**
 * The bytes of a text that is one block and nothing else.
 *
 * @returns undefined when it is not
 */
export function parsePem(label: string, text: string): Buffer | undefined {
  const lines = text.trim().split(/\r?\n/);
  if (lines.shift() !== `-----BEGIN ${label}-----` || lines.pop() !== `-----END ${label}-----`)
    return undefined;
  const base64 = lines.join('');
  const bytes = Buffer.from(base64, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === base64 ? bytes : undefined;
}
