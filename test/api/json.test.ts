import t from 'tap';
import { applyPatch, equal, mergePatch } from '../../src/api/json.js';
import { age, duration, timestamp } from '../../src/api/age.js';

t.test('equal ignores the order of keys and fields that are undefined', async (t) => {
  t.ok(equal({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1, d: undefined }));
  t.notOk(equal({ a: 1 }, { a: 1, b: 2 }));
  t.notOk(equal([1, 2], [2, 1]));
  t.notOk(equal({}, []));
  t.notOk(equal(null, {}));
});

t.test('a merge patch merges maps, replaces lists and removes on null', async (t) => {
  t.strictSame(mergePatch({ a: { b: 1, c: 2 }, l: [1, 2] }, { a: { b: null, d: 3 }, l: [3] }), {
    a: { c: 2, d: 3 },
    l: [3],
  });
  t.strictSame(mergePatch({ a: 1 }, 'text'), 'text');
  t.strictSame(mergePatch('text', { a: { b: null } }), { a: {} });
});

t.test('a merge patch cannot reach the prototype', async (t) => {
  mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}'));
  t.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

t.test('applying removes what the last manifest had, and leaves what others added', async (t) => {
  const last = { labels: { a: '1', b: '2' }, replicas: 2 };
  const wanted = { labels: { a: '1', c: '3' } };
  const live = { labels: { a: '1', b: '2', theirs: 'x' }, replicas: 2, uid: 'u' };
  const patch = applyPatch(last, wanted, live);
  t.strictSame(patch, { labels: { c: '3', b: null }, replicas: null });
  t.strictSame(mergePatch(live, patch), { labels: { a: '1', c: '3', theirs: 'x' }, uid: 'u' });
  t.strictSame(applyPatch(wanted, wanted, mergePatch(live, patch)), {}, 'a second time nothing is to do');
});

t.test('ages are printed as kubectl prints them', async (t) => {
  const s = 1000;
  const table: [ms: number, text: string][] = [
    [0, '0s'],
    [119 * s, '119s'],
    [120 * s, '2m'],
    [427 * s, '7m7s'],
    [11 * 60 * s, '11m'],
    [(3 * 60 + 5) * 60 * s, '3h5m'],
    [9 * 3600 * s, '9h'],
    [50 * 3600 * s, '2d2h'],
    [9 * 24 * 3600 * s, '9d'],
    [800 * 24 * 3600 * s, '2y70d'],
  ];
  for (const [ms, text] of table) t.equal(duration(ms), text);
  t.equal(age(undefined, 0), '<unknown>');
  t.equal(age('1970-01-01T00:00:05Z', 10_900), '5s');
  t.equal(timestamp(1_700_000_000_999), '2023-11-14T22:13:20Z');
});
