import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import {
  makeCertificateRequest,
  readCertificateRequest,
} from '../../../src/client/pki/certificate-request.js';
import {
  bitString,
  integer,
  objectId,
  sequence,
  set,
  tagged,
  utf8String,
  value,
} from '../../../src/client/pki/der.js';
import { DerReader } from '../../../src/client/pki/der-reader.js';
import { formatPem, parsePem } from '../../../src/client/pki/pem.js';
import { encodeSubject, readSubject } from '../../../src/client/pki/subject.js';
import { needsOpenssl, openssl, tryOpenssl } from '../../lib/openssl.js';
import { random } from '../../lib/random.js';

const ALICE = { commonName: 'alice', organizations: ['dev', 'ops'] };
const newEc = (namedCurve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;
const KEYS: [name: string, key: KeyObject][] = [
  ['P-256', newEc()],
  ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
  ['Ed25519', generateKeyPairSync('ed25519').privateKey],
];

t.test('a request says who, and is read as it was made', async (t) => {
  for (const [name, key] of KEYS) {
    const read = readCertificateRequest(makeCertificateRequest(ALICE, key));
    t.strictSame(read.subject, ALICE, name);
    t.equal(read.hasAlternativeNames, false);
  }
});

t.test('openssl takes our requests for what they are', { skip: needsOpenssl() }, async (t) => {
  for (const [name, key] of KEYS) {
    const pem = makeCertificateRequest(
      { commonName: 'system:node:n1', organizations: ['system:nodes'] },
      key,
    );
    const { status, stderr } = tryOpenssl(['req', '-verify', '-noout'], pem);
    t.equal(status, 0, name);
    t.match(stderr, /verify OK/);
    t.match(openssl(['req', '-noout', '-subject'], pem), /subject=O = system:nodes, CN = system:node:n1/);
  }
});

t.test('we take openssl’s requests for what they are', { skip: needsOpenssl() }, async (t) => {
  const folder = t.testdir();
  const file = (name: string): string => join(folder, name);
  const ask = (keyWords: string[], more: string[] = [], subject = '/O=dev/O=ops/CN=alice'): string => {
    openssl(['genpkey', ...keyWords, '-out', file('key.pem')]);
    return openssl(['req', '-new', '-key', file('key.pem'), '-subj', subject, ...more]);
  };
  const rsa = (bits: number): string[] => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`];
  const ec = (curve: string): string[] => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`];
  for (const words of [rsa(2048), ec('P-256'), ec('P-384'), ec('P-521'), ['-algorithm', 'ed25519']])
    t.strictSame(readCertificateRequest(ask(words)).subject, ALICE, words.join(' '));
  t.strictSame(readCertificateRequest(ask(ec('P-256'), ['-sha512'])).subject, ALICE);
  t.equal(
    readCertificateRequest(ask(ec('P-256'), ['-addext', 'subjectAltName=DNS:x'])).hasAlternativeNames,
    true,
  );
  t.equal(
    readCertificateRequest(ask(ec('P-256'), ['-addext', 'keyUsage=digitalSignature'])).hasAlternativeNames,
    false,
  );
  t.strictSame(
    readCertificateRequest(ask(ec('P-256'), ['-multivalue-rdn', '-utf8'], '/C=DE/O=Gäste+CN=Jürgen/OU=x'))
      .subject,
    { commonName: 'Jürgen', organizations: ['Gäste'] },
  );
  for (const [words, more, why] of [
    [rsa(1024), [], /RSA key has 1024 bits, not 2048 to 8192/],
    [ec('secp256k1'), [], /on a curve that is not accepted here \(1\.3\.132\.0\.10\)/],
    [rsa(2048), ['-sha1'], /signed by an algorithm that is not accepted here \(1\.2\.840\.113549\.1\.1\.5\)/],
    [[...ec('P-256'), '-pkeyopt', 'ec_param_enc:explicit'], [], /curve/],
  ] as [string[], string[], RegExp][])
    t.throws(() => readCertificateRequest(ask(words, more)), { name: /SyntaxError|DerError/, message: why });
});

t.test('what is no request is said so', async (t) => {
  const pem = makeCertificateRequest(ALICE, KEYS[0]![1]);
  const wrongKey = (): string => {
    const der = parsePem('CERTIFICATE REQUEST', pem)!;
    der[der.length - 1]! ^= 1;
    return formatPem('CERTIFICATE REQUEST', der);
  };
  for (const [text, why] of [
    ['', /PEM block type must be CERTIFICATE REQUEST/],
    [pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'), /PEM block type/],
    [pem + pem, /PEM block type/],
    [`x${pem}`, /PEM block type/],
    [pem.replace('\n', '\n!'), /PEM block type/],
    [' '.repeat(20_000), /more than 16384/],
    [wrongKey(), /its signature is wrong/],
  ] as const)
    t.throws(() => readCertificateRequest(text), { message: why });
});

/** A request with parts of our own choice, rightly signed. */
function request(parts: {
  subject?: Buffer;
  version?: number;
  attributes?: Buffer;
  behind?: Buffer;
}): string {
  const key = newEc();
  const pem = makeCertificateRequest(ALICE, key);
  const info = new DerReader(parsePem('CERTIFICATE REQUEST', pem)!).sequence('').sequence('');
  info.value(0x02, '');
  const { der } = readSubject(info);
  const spki = info.value(0x30, '').whole;
  const body = sequence(
    integer(Buffer.of(parts.version ?? 0)),
    parts.subject ?? der,
    spki,
    parts.attributes ?? tagged(0, true),
    parts.behind ?? Buffer.of(),
  );
  const signature = sign('sha256', body, key);
  return formatPem(
    'CERTIFICATE REQUEST',
    sequence(body, sequence(objectId('1.2.840.10045.4.3.2')), bitString(signature)),
  );
}

t.test('a subject that could be read in two ways is refused', async (t) => {
  const part = (id: string, text: Buffer): Buffer => set(sequence(objectId(id), text));
  const CN = '2.5.4.3';
  t.ok(readCertificateRequest(request({})));
  for (const [subject, why] of [
    [sequence(part(CN, utf8String('a')), part(CN, utf8String('b'))), /two common names/],
    [sequence(part(CN, utf8String('a\0b'))), /control character/],
    [sequence(part(CN, utf8String(''))), /1 to 256 characters/],
    [sequence(part(CN, value(0x0c, Buffer.of(0xff)))), /no UTF-8/],
    [sequence(part(CN, value(0x0c, Buffer.of(0xc0, 0x80)))), /no UTF-8/],
    [sequence(part(CN, value(0x13, Buffer.from('ü', 'latin1')))), /no (UTF-8|ASCII)/],
    [sequence(part(CN, value(0x1e, Buffer.of(0, 97)))), /in an encoding that is not read/],
    [sequence(...Array.from({ length: 65 }, () => part('2.5.4.11', utf8String('x')))), /more than 64/],
    [sequence(set()), /a part of the subject should have tag 0x30, there is nothing/],
  ] as const)
    t.throws(() => readCertificateRequest(request({ subject })), { message: why });
  t.throws(() => readCertificateRequest(request({ version: 1 })), /version must be 0/);
  t.throws(() => readCertificateRequest(request({ behind: utf8String('x') })), /bytes behind/);
  t.throws(
    () => readCertificateRequest(request({ attributes: Buffer.of() })),
    /the attributes should have tag 0xa0/,
  );
});

t.test('lengths that are not the shortest, or not true, are refused', async (t) => {
  const read = (hex: string): unknown =>
    new DerReader(Buffer.from(hex, 'hex')).value(0x04, 'it').contents.length;
  t.equal(read('0400'), 0);
  t.equal(read(`048180${'00'.repeat(128)}`), 128);
  for (const [hex, why] of [
    ['048100', /shortest/],
    ['04817f', /shortest/],
    ['048200ff', /shortest/],
    ['0480', /takes 0 bytes/],
    ['048400000001', /takes 4 bytes/],
    ['0402ff', /cut off/],
    ['04', /cut off/],
    ['0482', /shortest|cut off/],
    ['', /there is nothing/],
  ] as const)
    t.throws(() => read(hex), { name: 'DerError', message: why }, hex);
  const id = (hex: string): string => new DerReader(Buffer.from(hex, 'hex')).objectId('it');
  t.equal(id('0603550403'), '2.5.4.3');
  t.equal(id('0603813403'), '2.100.3');
  for (const hex of ['0600', '06028055', '060281ff', '0603ffffff'])
    t.throws(() => id(hex), { name: 'DerError' }, hex);
});

t.test('subjects come back as they were, whatever they are', async (t) => {
  const rnd = random(7);
  const word = (): string =>
    Array.from({ length: 1 + rnd.int(20) }, () => rnd.pick([...'abcXYZ:-./ äß漢😀'])).join('');
  for (let i = 0; i < 300; i++) {
    const subject = { commonName: word(), organizations: Array.from({ length: rnd.int(5) }, word) };
    t.strictSame(readSubject(new DerReader(encodeSubject(subject))).subject, subject);
  }
});

t.test('mutated requests are read or refused, and never anything else', async (t) => {
  const seed = 20260127;
  const rnd = random(seed);
  const originals = KEYS.map(([, key]) =>
    parsePem('CERTIFICATE REQUEST', makeCertificateRequest(ALICE, key))!,
  );
  let refused = 0;
  for (let i = 0; i < 3000; i++) {
    let der = Buffer.from(rnd.pick(originals));
    for (let n = rnd.int(3) + 1; n > 0; n--) {
      const at = rnd.int(der.length);
      const way = rnd.int(4);
      if (way === 0) der[at] = rnd.int(256);
      else if (way === 1) der = Buffer.from(der.subarray(0, at));
      else if (way === 2)
        der = Buffer.concat([der.subarray(0, at), rnd.bytes(1 + rnd.int(4)), der.subarray(at)]);
      else der = Buffer.concat([der.subarray(0, at), der.subarray(at + 1 + rnd.int(4))]);
      if (der.length === 0) der = Buffer.of(0x30);
    }
    if (originals.some((one) => one.equals(der))) continue;
    try {
      readCertificateRequest(formatPem('CERTIFICATE REQUEST', der));
      t.fail(`seed ${seed}, round ${i}: a changed request was accepted: ${der.toString('hex')}`);
    } catch (error) {
      if (!(error instanceof SyntaxError)) t.fail(`seed ${seed}, round ${i}: ${String(error)}`);
      else refused++;
    }
  }
  t.ok(refused > 2900, `${refused} refused`);
});
