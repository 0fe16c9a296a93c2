import t from 'tap';
import { AnswerCache, cacheKey, MAX_TTL } from '../../src/dns/cache.js';
import { readResponse } from '../../src/dns/response.js';
import { hex } from '../lib/hex.js';

/** An answer to `a.` with a TTL. */
const answer = (ttl: number): Uint8Array =>
  hex(`
    0001 8180 0001 0001 0000 0000
    01 61 00 0001 0001
    c00c 0001 0001 ${ttl.toString(16).padStart(8, '0')} 0004 c0000201
  `);
const TTL_AT = 19 + 6;

const ttlOf = (message: Uint8Array): number => Buffer.from(message).readUInt32BE(TTL_AT);

t.test('an answer gets old, and then it is gone', async (t) => {
  let now = 0;
  const cache = new AnswerCache(() => now);
  const message = answer(10);
  cache.put('k', message, readResponse(message)!);
  now = 3500;
  t.equal(ttlOf(cache.get('k')!.message), 7);
  t.equal(ttlOf(cache.get('k')!.message), 7, 'what was given out is a copy');
  now = 10_000;
  t.equal(cache.get('k'), undefined);
  t.same(cache.sizes, { success: 0, denial: 0 });
});

t.test('no answer is kept longer than half a minute, or at all with TTL 0', async (t) => {
  let now = 0;
  const cache = new AnswerCache(() => now);
  const day = answer(86_400);
  cache.put('day', day, readResponse(day)!);
  t.equal(ttlOf(cache.get('day')!.message), MAX_TTL);
  now = MAX_TTL * 1000;
  t.equal(cache.get('day'), undefined);
  for (const ttl of [0, 0x80000000]) {
    cache.put('none', answer(ttl), readResponse(answer(ttl))!);
    t.equal(cache.get('none'), undefined, `TTL ${ttl}`);
  }
});

t.test('what was longest not asked for goes first', async (t) => {
  const cache = new AnswerCache(() => 0, 8 * 400);
  const message = answer(10);
  const response = readResponse(message)!;
  for (const key of ['old', 'used']) cache.put(key, message, response);
  for (let i = 0; i < 50; i++) {
    t.ok(cache.get('used'), 'in use, and so still there');
    cache.put(`new ${i}`, message, response);
  }
  t.equal(cache.get('old'), undefined);
  t.ok(cache.sizes.success >= 4 && cache.sizes.success <= 10, `${cache.sizes.success} are kept`);
});

t.test('the key has small letters, but only in the name', async (t) => {
  const key = (text: string, dnssecOk = false): string =>
    cacheKey({ bytes: hex(text), dnssecOk, checkingDisabled: false });
  t.equal(key('01 41 00 0001 0001'), key('01 61 00 0001 0001'));
  t.not(key('01 61 00 0041 0001'), key('01 61 00 0061 0001'));
  t.not(key('01 61 00 0001 0001', true), key('01 61 00 0001 0001'));
});
