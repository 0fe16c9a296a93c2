/** `podwire bench` as typed, with one short case. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { hasProgram } from '../../src/cli/has-program.js';
import { needsRoot } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { runSync } from '../lib/spawn.js';

const missing = ['iperf3', 'sockperf', 'ethtool', 'ping'].filter((name) => !hasProgram(name));
const skip = needsRoot() || (missing.length > 0 && `needs ${missing.join(', ')}`);
const bench = (...words: string[]) => runSync([inRoot('scripts/podwire'), 'bench', ...words]);

t.test(
  'a case is measured on both sides, in turn, and nothing is left',
  { skip, timeout: 600_000 },
  async (t) => {
    const short = ['--rounds', '1', '--seconds', '1', '--only', 'same host: requests, p50'];
    const { status, stdout, stderr } = bench(...short, '-o', 'json');
    t.equal(status, 0, stderr);
    const { results } = JSON.parse(stdout) as {
      results: { name: string; podwire: number; theirs: number }[];
    };
    t.same(
      results.map(({ name }) => name),
      ['p50', 'p99', 'p99.9'].map((percentile) => `same host: requests, ${percentile}`),
    );
    for (const { name, podwire, theirs } of results) t.ok(podwire > 0 && theirs > 0, name);
    t.match(stderr, /podwire: [\d.]+ µs\n.*kernel: [\d.]+ µs/);
    // Another benchmark may run beside; ours has ended, so nothing of a process that is gone may be there.
    const pids = readdirSync('/run/netns').flatMap((name) => /^pwb-(\d+)-/.exec(name)?.slice(1) ?? []);
    t.same(
      pids.filter((pid) => !readdirSync('/proc').includes(pid)),
      [],
    );
  },
);

t.test('bad words are refused before anything is made', { skip }, async (t) => {
  t.match(bench('--rounds', '0'), { status: 2, stderr: /Cannot read --rounds "0"; need a number, 1 to 100/ });
  t.match(bench('--only', 'nonsense'), { status: 2, stderr: /has the word "nonsense" in its name/ });
});

t.test('what is missing is named, with what to install', { skip }, async (t) => {
  const { status, stderr } = runSync(
    [process.execPath, inRoot('scripts/podwire'), 'bench', '--only', 'dns'],
    {
      env: { PATH: '/nowhere' },
    },
  );
  t.match(
    { status, stderr },
    { status: 1, stderr: /Cannot measure without .*dnsperf.*apt-get install .*dnsperf/ },
  );
});
