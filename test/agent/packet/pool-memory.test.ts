/** The compiled sum is that of `sum.wat`, and equals the loop of `wire/checksum.ts`. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import wabt from 'wabt';
import { allocPool, MODULE } from '../../../src/agent/packet/pool-memory.js';
import { bytesOf, fold, sum } from '../../../src/wire/checksum.js';
import { random } from '../../lib/random.js';
import { inRoot } from '../../lib/root.js';
import { output } from '../../lib/spawn.js';

t.test('the bytes are what sum.wat compiles to', async (t) => {
  const { parseWat } = await wabt();
  const text = readFileSync(inRoot('src/agent/packet/sum.wat'), 'utf8');
  const { buffer } = parseWat('sum.wat', text, { simd: true }).toBinary({});
  t.equal(Buffer.from(buffer).toString('base64'), MODULE.toString('base64'));
});

t.test('long runs sum up to what the loop says', async (t) => {
  const rnd = random(128);
  const pool = allocPool(80_000);
  t.ok(pool.sumLong, 'this machine has 128-bit instructions');
  t.ok(pool.u8.length >= 80_000 && pool.u8.every((byte) => byte === 0));
  pool.u8.set(rnd.bytes(80_000));
  const plain = bytesOf(pool.u8.slice().buffer);
  const wrong: string[] = [];
  for (let i = 0; i < 20_000; i++) {
    const at = rnd.int(4096);
    const len = i < 16_000 ? rnd.int(2000) : rnd.int(65536);
    if (fold(sum(pool, at, len)) !== fold(sum(plain, at, len))) wrong.push(`${len} bytes at ${at}`);
  }
  t.same(wrong, [], '20 000 runs, from even and odd offsets');
  pool.u8.fill(0xff);
  t.equal(fold(sum(pool, 2, 65534)), 0xffff, 'the largest sum there is');
  t.equal(fold(sum(pool, 2, 65535)), 0xff);
  t.ok(pool.sumLong!(2, 65535) < 1 << 17);
});

t.test('where the address space is bounded, there is plain memory', async (t) => {
  const program = `const { allocPool } = await import(process.argv[1]);
    const pool = allocPool(80_000);
    console.log(pool.u8.length, pool.sumLong);`;
  const module = inRoot('dist/src/agent/packet/pool-memory.js');
  const argv = [process.execPath, '--input-type=module', '-e', program, module];
  t.equal(output(['sh', '-c', 'ulimit -v 4000000; exec "$@"', 'sh', ...argv]), '80000 undefined\n');
});
