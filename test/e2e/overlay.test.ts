import t from 'tap';
import type { Offload } from '../../src/sys/tap.js';
import { needsRoot } from '../lib/netns.js';
import { output, printed, start } from '../lib/spawn.js';
import { Overlay, pings, transfer, within } from '../lib/overlay.js';

const skip = needsRoot();
const MIB = 1 << 20;

for (const offload of ['all', 'tso', 'none'] as const satisfies readonly Offload[])
  t.test(`with --offload ${offload}, pods on one host and on two reach each other`, { skip }, async (t) => {
    const overlay = new Overlay(t);
    const one = await overlay.addHost(offload);
    const two = await overlay.addHost(offload);
    const a = await overlay.addPod(one);
    const b = await overlay.addPod(one);
    const c = await overlay.addPod(two);
    t.equal(pings(a, b.ip), 3, 'ping on one host');
    t.equal(pings(a, c.ip), 3, 'ping on two hosts');
    for (const [what, from, to] of [
      ['on one host', a, b],
      ['to the other host', a, c],
      ['from the other host', c, a],
    ] as const) {
      const { sent, received } = await transfer(t, from, to, 20 * MIB);
      t.equal(received, sent, `20 MiB over TCP ${what} arrive byte for byte`);
    }
    const large = within(a.netns, 'ping', '-n', '-c', '2', '-i', '0.2', '-w', '20', '-s', '4000', c.ip);
    t.match(large.stdout, /2 received/, 'a ping in fragments comes back');
    await overlay.hosts[0]!.close!();
    await overlay.hosts[1]!.close!();
  });

t.test(
  'a host reaches its own pods, those of others, and is reached at its gateway address',
  { skip },
  async (t) => {
    const overlay = new Overlay(t);
    const one = await overlay.addHost();
    const two = await overlay.addHost();
    const a = await overlay.addPod(one);
    const c = await overlay.addPod(two);
    t.equal(pings(one, a.ip), 3, 'its own pod');
    t.equal(pings(one, c.ip), 3, 'a pod of another host');
    t.equal(pings(a, '10.244.1.1'), 3, 'the gateway');
    t.equal(pings(a, '10.244.1.254'), 3, 'the router');
    t.equal(pings(a, '10.244.2.1'), 3, "the other host's gateway");
  },
);

t.test('the router says what is wrong', { skip }, async (t) => {
  const overlay = new Overlay(t);
  const one = await overlay.addHost();
  const two = await overlay.addHost();
  const a = await overlay.addPod(one);
  const c = await overlay.addPod(two);
  const trace = within(a.netns, 'traceroute', '-n', '-q', '1', '-w', '10', c.ip);
  t.match(
    trace.stdout,
    /1 {2}10\.244\.1\.254 .*\n 2 {2}10\.244\.2\.254 .*\n 3 {2}10\.244\.2\.2 /,
    'traceroute shows both routers',
  );
  t.match(
    within(a.netns, 'ping', '-n', '-c', '1', '-W', '20', '10.244.2.77').stdout,
    /From 10\.244\.2\.254 .*Destination Host Unreachable/,
    'no such pod',
  );
  t.match(
    within(a.netns, 'ping', '-n', '-c', '1', '-W', '20', '10.244.99.1').stdout,
    /From 10\.244\.1\.254 .*Destination Host Unreachable/,
    'no such node',
  );
  t.match(
    within(a.netns, 'ping', '-n', '-c', '1', '-W', '20', '10.96.0.9').stdout,
    /From 10\.244\.1\.254 .*Destination Port Unreachable/,
    'no such Service',
  );
  within(a.netns, 'ip', 'link', 'set', 'eth0', 'mtu', '1500');
  t.match(
    within(a.netns, 'ping', '-n', '-c', '1', '-W', '20', '-M', 'do', '-s', '1440', c.ip).stdout,
    /From 10\.244\.1\.254 .*Frag needed and DF set \(mtu = 1450\)/,
    'too big',
  );
  t.match(one.path!.dump('counters'), /drop +too-big +1\b/, 'and counts it');
});

t.test('a capture on the underlay shows one inner packet per datagram', { skip }, async (t) => {
  const overlay = new Overlay(t);
  const one = await overlay.addHost();
  const two = await overlay.addHost();
  const a = await overlay.addPod(one);
  const c = await overlay.addPod(two);
  const file = `${t.testdir()}/underlay.pcap`;
  const capture = start(t, [
    ...['ip', 'netns', 'exec', one.netns, 'tcpdump', '-Z', 'root', '-B', '32768', '-nni', 'eth0', '-w', file],
    'udp port 8472',
  ]);
  await printed(capture, /listening on/);
  // The worker hears of the capture at its next look, within a second.
  while (one.path!.status().captures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const { sent, received } = await transfer(t, a, c, 4 * MIB);
  t.equal(received, sent, '4 MiB arrive byte for byte');
  const ended = new Promise((resolve) => capture.once('exit', resolve));
  capture.kill('SIGINT');
  await ended;
  const text = output(['tcpdump', '-nn', '-T', 'vxlan', '-r', file]);
  const outer = text.match(/VXLAN, flags/g)?.length ?? 0;
  t.ok(outer > 3000, `${outer} outer packets for 4 MiB`);
  const largest = Math.max(...[...text.matchAll(/, length (\d+)$/gm)].map((match) => Number(match[1])));
  t.ok(largest <= 1500, `none is larger than the wire carries: ${largest}`);
});
