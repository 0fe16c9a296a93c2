/** Longest prefix match, and its readable twin: look at every route. */
import t from 'tap';
import { createRoutes } from '../../src/tables/routes.js';
import { parseAddress, type Address } from '../../src/wire/address.js';
import { random } from '../lib/random.js';

const alloc = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
const address = (text: string): Address => parseAddress(text)!;

/** Words of a row: kind, segment, address, bits, target. */
const row = (prefix: string, target: number, segment = 1): Int32Array => {
  const [base, bits] = prefix.split('/') as [string, string];
  return Int32Array.of(1, segment, ...address(base), Number(bits) + (base.includes(':') ? 0 : 96), target);
};

t.test('lookup prefers the longest prefix', async (t) => {
  const routes = createRoutes(alloc, 16, 1);
  ['0.0.0.0/0', '10.0.0.0/8', '10.244.0.0/16', '10.244.1.0/24', '10.244.1.7/32'].forEach((prefix, i) =>
    routes.setRow(i + 1, row(prefix, i), 0),
  );
  const lookup = (text: string): number => routes.lookup(1, ...address(text));
  t.equal(lookup('9.9.9.9'), 1);
  t.equal(lookup('10.1.1.1'), 2);
  t.equal(lookup('10.244.9.1'), 3);
  t.equal(lookup('10.244.1.8'), 4);
  t.equal(lookup('10.244.1.7'), 5);
  t.equal(lookup('fd00::1'), 0, 'a default route of IPv4 is none of IPv6');
});

t.test('both families live in one table, and each segment has its own', async (t) => {
  const routes = createRoutes(alloc, 16, 1);
  routes.setRow(1, row('fd00::/8', 0), 0);
  routes.setRow(2, row('fd00:1::/32', 0), 0);
  routes.setRow(3, row('10.0.0.0/8', 0, 2), 0);
  t.equal(routes.lookup(1, ...address('fd00:1::5')), 2);
  t.equal(routes.lookup(1, ...address('fd00:2::5')), 1);
  t.equal(routes.lookup(1, ...address('10.0.0.1')), 0);
  t.equal(routes.lookup(2, ...address('10.0.0.1')), 3);
});

t.test('every change raises the epoch', async (t) => {
  const routes = createRoutes(alloc, 16, 1);
  const before = routes.epoch[0]!;
  routes.setRow(1, row('10.0.0.0/8', 0), 0);
  t.ok(routes.epoch[0]! > before);
  const between = routes.epoch[0]!;
  routes.setRow(1, new Int32Array(8), 0);
  t.ok(routes.epoch[0]! > between);
});

t.test('two routes that change places in one transaction are both found', async (t) => {
  const routes = createRoutes(alloc, 16, 1);
  routes.setRow(1, row('10.1.0.0/16', 0), 0);
  routes.setRow(2, row('10.2.0.0/16', 0), 0);
  routes.setRow(1, row('10.2.0.0/16', 0), 0);
  routes.setRow(2, row('10.1.0.0/16', 0), 0);
  t.equal(routes.lookup(1, ...address('10.1.0.1')), 2);
  t.equal(routes.lookup(1, ...address('10.2.0.1')), 1);
});

t.test('it finds what a look at every route finds', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const chance = random(seed);
    const routes = createRoutes(alloc, 64, seed);
    const twin = new Map<number, { base: number; bits: number }>();
    const netmask = (bits: number): number => (bits === 0 ? 0 : -1 << (32 - bits));
    // Few bits in use, so that prefixes contain each other.
    const some = (): number =>
      (chance.int(4) << 30) | (chance.int(4) << 22) | (chance.int(4) << 8) | chance.int(4);
    for (let step = 0; step < 500; step++) {
      const id = 1 + chance.int(63);
      const bits = chance.pick([0, 1, 2, 8, 10, 16, 22, 24, 30, 31, 32]);
      const base = some() & netmask(bits);
      const isTaken = [...twin.values()].some((one) => one.base === base && one.bits === bits);
      if (chance.int(3) === 0 || isTaken) {
        routes.setRow(id, new Int32Array(8), 0);
        twin.delete(id);
      } else {
        routes.setRow(id, Int32Array.of(1, 1, 0, 0, 0xffff, base, 96 + bits, 0), 0);
        twin.set(id, { base, bits });
      }
      for (let i = 0; i < 20; i++) {
        const wanted = some();
        const best = [...twin]
          .filter(([, one]) => ((wanted ^ one.base) & netmask(one.bits)) === 0)
          .sort(([, a], [, b]) => b.bits - a.bits)[0];
        if (routes.lookup(1, 0, 0, 0xffff, wanted) !== (best?.[0] ?? 0)) {
          t.fail(`seed ${seed}, step ${step}`);
          return;
        }
      }
    }
  }
  t.pass();
});
