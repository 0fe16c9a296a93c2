import { join } from 'node:path';
import t from 'tap';
import {
  bearerOf,
  formatJoinToken,
  hashAuthority,
  newTokenWords,
  parseJoinToken,
} from '../../src/client/join-token.js';
import { openCredentials } from '../../src/server/access/credentials.js';
import { needsOpenssl, openssl } from '../lib/openssl.js';

const HASH = '0123456789abcdef'.repeat(4);

t.test('a join token is an ID, a secret and the hash of the authority', async (t) => {
  const text = `abc123.0123456789abcdef.${HASH}`;
  const token = parseJoinToken(text);
  t.strictSame(token, { id: 'abc123', secret: '0123456789abcdef', authorityHash: HASH });
  t.equal(formatJoinToken(token), text);
  t.equal(bearerOf(token), 'abc123.0123456789abcdef');
});

t.test('what is wrong with one is said, and the secret is not', async (t) => {
  const secret = 'topsecrettopsec1';
  for (const [text, why] of [
    ['', /it has 1 part, not 3/],
    [`abc123.${secret}`, /it has 2 parts, not 3/],
    [`ABC123.${secret}.${HASH}`, /first part must be 6 lower-case/],
    [`abc123.${secret}x.${HASH}`, /second part must be 16 .* it has 17/],
    [`abc123.${secret}.${HASH.slice(1)}`, /third part must be 64 .* it has 63/],
    [`abc123.${secret}.${HASH}\n`, /third part/],
    [`abc123.${secret}.${HASH.toUpperCase()}`, /third part/],
  ] as const)
    t.throws(
      () => parseJoinToken(text),
      {
        name: 'SyntaxError',
        message: new RegExp(`^Cannot read the join token: .*${why.source}(?![^]*${secret})`),
      },
      JSON.stringify(text),
    );
});

t.test('new ones are unlike each other', async (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 500; i++) {
    const { id, secret } = newTokenWords();
    t.match(`${id}.${secret}`, /^[a-z0-9]{6}\.[a-z0-9]{16}$/);
    seen.add(secret);
  }
  t.equal(seen.size, 500);
});

t.test('the hash is the one that openssl and kubeadm compute', { skip: needsOpenssl() }, async (t) => {
  const folder = t.testdir();
  const { authority } = openCredentials(folder, Date.now());
  const file = join(folder, 'key.der');
  openssl(
    ['pkey', '-pubin', '-outform', 'der', '-out', file],
    openssl(['x509', '-pubkey', '-noout'], authority),
  );
  t.equal(hashAuthority(authority), openssl(['dgst', '-sha256', '-r', file]).slice(0, 64));
});
