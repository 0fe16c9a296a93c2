import t from 'tap';
import { CommandError, run, runSync } from '../../src/sys/command.js';
import {
  ethtool,
  ethtoolAsync,
  ip,
  ipAsync,
  ipJson,
  ipJsonAsync,
  ipJsonBatchAsync,
  readSysctl,
  sysctl,
} from '../../src/sys/iproute2.js';
import { findLink } from '../../src/sys/link.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

const skip = needsRoot();
const DUMMY = ['link add d0 type bridge', 'addr add 192.0.2.1/24 dev d0', 'link set d0 up'];

t.test('a batch makes links, addresses and routes in a namespace', { skip }, async (t) => {
  const netns = makeNetns(t);
  t.same(ip([...DUMMY, 'route add 198.51.100.0/24 via 192.0.2.254'], { netns }), []);
  const routes = ipJson<{ dst: string; gateway?: string }[]>(['route'], { netns });
  t.match(
    routes.find((route) => route.dst === '198.51.100.0/24'),
    { gateway: '192.0.2.254', dev: 'd0' },
  );
  t.same(await ipAsync(['link del d0'], { netns: `/run/netns/${netns}` }), []);
  t.same(await ipJsonAsync(['route'], { netns }), []);
  const links = ipJson<{ ifname: string }[]>(['link'], { netns: '/proc/self/ns/net' });
  t.ok(
    links.some(({ ifname }) => ifname === 'lo'),
    'a path anywhere will do',
  );
});

t.test(
  'one process answers several questions, in their order, also with empty lists',
  { skip },
  async (t) => {
    const netns = makeNetns(t);
    const neighbors = [
      'neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev d0 nud permanent',
      'neigh add proxy 192.0.2.8 dev d0',
    ];
    ip([...DUMMY, ...neighbors], { netns });
    const ask = [
      'neigh show nud permanent',
      'neigh show proxy',
      'route show dev lo',
      'rule show',
      'route show table main',
      'address show',
    ];
    const answers = await ipJsonBatchAsync(ask, { netns });
    t.match(answers[0], [{ dst: '192.0.2.7' }]);
    t.match(answers[1], [{ dst: '192.0.2.8' }]);
    t.same(answers[2], []);
    ask.forEach((command, i) =>
      t.same(
        answers[i],
        ipJson(command.split(' '), { netns }),
        `${command}: as a process of its own would answer`,
      ),
    );
    await t.rejects(ipJsonBatchAsync(['rule show', 'address show dev nosuch'], { netns }), /nosuch/);
  },
);

t.test('no lines are no work', async (t) => {
  t.same(ip([]), []);
  t.same(await ipAsync([]), []);
});

t.test('the error names the failing line and says what ip said', { skip }, async (t) => {
  const netns = makeNetns(t);
  const lines = [DUMMY[0], 'link set nosuch up', 'link set d0 up'];
  const wanted = new RegExp(`Cannot run \`ip link set nosuch up\` in network namespace "${netns}": .*nosuch`);
  t.throws(() => ip(lines, { netns }), wanted);
  t.equal(findLink('d0', netns)?.isUp, false, 'it stopped there');
  await t.rejects(ipAsync(lines.slice(1), { netns }), wanted);
  t.throws(() => ip(DUMMY, { netns }), /`ip link add d0 type bridge`.*: File exists/);
});

t.test('by force it goes on, and tells which lines failed', { skip }, async (t) => {
  const netns = makeNetns(t);
  const lines = ['link del nosuch', ...DUMMY, 'frobnicate', 'addr del 192.0.2.9/32 dev d0'];
  const failures = ip(lines, { netns, force: true });
  t.same(
    failures.map(({ line }) => line),
    ['link del nosuch', 'frobnicate', 'addr del 192.0.2.9/32 dev d0'],
  );
  t.match(failures[0].words, /nosuch/);
  t.match(failures[2].words, /not found|Cannot assign/);
  t.equal(findLink('d0', netns)?.isUp, true);
});

t.test('a line that would shift the numbers of the others is refused', async (t) => {
  for (const line of ['', '  ', 'link show\nlink show', 'link show # all', 'link \\'])
    t.throws(() => ip([line]), TypeError, JSON.stringify(line));
});

t.test('a namespace that is not there is an error, also by force', { skip }, async (t) => {
  t.throws(() => ip(['link show'], { netns: 'pwt-nowhere', force: true }), /pwt-nowhere/);
  t.throws(() => ipJson(['link'], { netns: 'pwt-nowhere' }), CommandError);
});

t.test('a sysctl is set in its namespace, and the old value returned', { skip }, async (t) => {
  const netns = makeNetns(t);
  ip(['link add d.0 type bridge'], { netns });
  const outside = readSysctl('net.ipv4.conf.lo.rp_filter');
  const wanted = outside === '2' ? '1' : '2';
  const before = sysctl('net.ipv4.conf.lo.rp_filter', wanted, netns);
  t.equal(sysctl('net.ipv4.conf.lo.rp_filter', before, netns), wanted);
  sysctl('net.ipv4.conf.lo.rp_filter', wanted, netns);
  t.equal(readSysctl('net.ipv4.conf.lo.rp_filter', netns), wanted);
  t.equal(readSysctl('net.ipv4.conf.lo.rp_filter'), outside);
  t.equal(
    sysctl('net/ipv4/conf/d.0/forwarding', '1', netns),
    '0',
    'slashes where a link has a dot in its name',
  );
  t.match(sysctl('net.ipv4.ip_local_port_range', '40000 50000', netns), /^\d+ \d+$/);
  t.equal(readSysctl('net.ipv4.ip_local_port_range', netns), '40000 50000');
});

t.test(
  'a sysctl that is not there, or does not take a value, is an error that says so',
  { skip },
  async (t) => {
    const netns = makeNetns(t);
    t.throws(
      () => sysctl('net.ipv4.conf.nosuch.forwarding', '1', netns),
      /"net.ipv4.conf.nosuch.forwarding".*ENOENT/,
    );
    t.throws(() => sysctl('net.ipv4.ip_default_ttl', 'many', netns), /to "many".*EINVAL/);
    for (const name of ['net/../passwd', 'net..ipv4', '']) t.throws(() => readSysctl(name), RangeError, name);
  },
);

t.test('ethtool works in a namespace, and its words are in the error', { skip }, async (t) => {
  const netns = makeNetns(t);
  ip(['link add a0 type veth peer name a1'], { netns });
  ethtool(['-K', 'a0', 'tso', 'off'], { netns });
  t.match(await ethtoolAsync(['-k', 'a0'], { netns }), /tcp-segmentation-offload: off/);
  t.throws(() => ethtool(['-k', 'nosuch'], { netns }), /Cannot run `nsenter .* ethtool -k nosuch`: ./);
});

t.test('a program that is not installed is named, with what to install', async (t) => {
  const wanted = /Cannot run "pwt-no-program": there is no such program; install it with `apt-get install/;
  t.throws(() => runSync(['pwt-no-program']), wanted);
  await t.rejects(run(['pwt-no-program']), wanted);
});

t.test('a program that does not read its input is judged by its status', async (t) => {
  const argv = ['sh', '-c', 'echo no >&2; exit 3'];
  const expected = { status: 3, stdout: '', stderr: 'no\n' };
  t.same(runSync(argv, 'x'.repeat(1 << 20)), expected);
  t.same(await run(argv, 'x'.repeat(1 << 20)), expected);
});
