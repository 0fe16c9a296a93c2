/**
 * Whom a certificate is about: the common name and the organizations of a distinguished name, which Kubernetes takes for
 * the name of a user and the groups he is in. RFC 5280 §4.1.2.4, §4.1.2.6.
 *
 * Other attributes are let pass and not read. Text in T.61 and BMP, which nobody has written for twenty years, is refused.
 */
import { objectId, sequence, set, utf8String } from './der.js';
import { DerError, DerReader } from './der-reader.js';

export interface Subject {
  /** '' when there is none. */
  readonly commonName: string;
  readonly organizations: readonly string[];
}

const COMMON_NAME = '2.5.4.3';
const ORGANIZATION = '2.5.4.10';

const UTF8_STRING = 0x0c;
/** UTF8String, PrintableString, IA5String. */
const TEXTS: readonly (number | undefined)[] = [UTF8_STRING, 0x13, 0x16];
/** More than anybody has groups. */
const MAX_ATTRIBUTES = 64;
const MAX_CHARACTERS = 256;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The DER of a name. Organizations come first, as openssl and Go write them. */
export const encodeSubject = ({ commonName, organizations }: Subject): Buffer =>
  sequence(
    ...organizations.map((text) => set(sequence(objectId(ORGANIZATION), utf8String(text)))),
    set(sequence(objectId(COMMON_NAME), utf8String(commonName))),
  );

/** The name that is next, and its DER. @throws DerError */
export function readSubject(reader: DerReader): { subject: Subject; der: Buffer } {
  const { contents, whole } = reader.value(0x30, 'the subject');
  const names = new DerReader(contents);
  const organizations: string[] = [];
  let commonName: string | undefined;
  let count = 0;
  while (!names.isAtEnd) {
    const parts = names.inside(0x31, 'a part of the subject');
    do {
      if (++count > MAX_ATTRIBUTES) throw new DerError(`the subject has more than ${MAX_ATTRIBUTES} parts`);
      const part = parts.sequence('a part of the subject');
      const id = part.objectId('the type of a part of the subject');
      const tag = part.nextTag ?? 0;
      const { contents: bytes } = part.value(tag, `the value of ${id}`);
      part.end(`the value of ${id}`);
      if (id === ORGANIZATION) organizations.push(textOf(tag, bytes, 'an organization'));
      if (id !== COMMON_NAME) continue;
      if (commonName !== undefined) throw new DerError('the subject has two common names');
      commonName = textOf(tag, bytes, 'the common name');
    } while (!parts.isAtEnd);
  }
  return { subject: { commonName: commonName ?? '', organizations }, der: whole };
}

function textOf(tag: number, bytes: Buffer, what: string): string {
  if (!TEXTS.includes(tag)) throw new DerError(`${what} is in an encoding that is not read here`);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new DerError(`${what} is no UTF-8`);
  }
  if (tag !== UTF8_STRING && /[^\x20-\x7e]/.test(text)) throw new DerError(`${what} is no ASCII`);
  if (text === '' || text.length > MAX_CHARACTERS || /[\u0000-\u001f\u007f-\u009f]/.test(text))
    throw new DerError(
      `${what} must have 1 to ${MAX_CHARACTERS} characters, none of them a control character`,
    );
  return text;
}
