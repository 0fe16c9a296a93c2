/**
 * Two things that no other test notices, since only speed suffers: the packet path allocates nothing, and once it is warm
 * no compiled function of it is thrown away. Both in children, where nobody else runs.
 */
import process from 'node:process';
import t from 'tap';
import { inRoot } from '../lib/root.js';
import { runSync } from '../lib/spawn.js';

const PROGRAM = inRoot('dist/test/lib/packet-load.js');
const ROOM = ['--min-semi-space-size=128', '--max-semi-space-size=128'];

const load = (options: readonly string[], ...kind: string[]): string => {
  // Compiled at once and not beside, so that a busy machine gives the same result.
  const argv = [process.execPath, '--no-concurrent-recompilation', ...options, PROGRAM, ...kind];
  const { status, stdout, stderr } = runSync(argv);
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

const kinds = JSON.parse(load([])) as string[];

for (const kind of kinds)
  t.test(`${kind}: not a byte is allocated for a packet`, async (t) => {
    const { packets, bytes } = JSON.parse(load(ROOM, kind).split('warm\n')[1]!) as Record<string, number>;
    // The smallest thing on the heap takes 16 bytes: less than a quarter of a byte a packet is the measurement itself.
    t.ok(bytes! < 4096 + packets! / 4, `${bytes} bytes, ${packets} packets`);
  });

t.test('once warm, no function of the packet path is compiled anew', async (t) => {
  const options = ['--trace-deopt', '--trace-file-names'];
  const thrownAway = (...kind: string[]): string[] =>
    load(options, ...kind)
      .split('warm\n')[1]!
      .split('\n')
      .filter((line) => line.includes('bailout') && /src\/(wire|tables|dataplane|host)\//.test(line));
  t.match(
    thrownAway('drops', 'provoke'),
    [/checksum\.js/],
    'the trace tells, where there is something to tell',
  );
  t.same(thrownAway('everything'), []);
});
