/** How many system calls the packet worker really makes, counted by itself on real TAPs: no clock decides. */
import t from 'tap';
import type { Readings } from '../../src/agent/packet/readings.js';
import { needsRoot } from '../lib/netns.js';
import { Overlay, transfer, within, type Host } from '../lib/overlay.js';
import { printed, start } from '../lib/spawn.js';

const skip = needsRoot();

/** Events and packets that came in while `what` ran. */
async function count(host: Host, what: () => unknown): Promise<Record<string, number>> {
  const before = host.path!.readings!();
  await what();
  const after = host.path!.readings!();
  const received = ({ ports }: Readings): number => ports.reduce((sum, { rxPackets }) => sum + rxPackets, 0);
  return {
    packets: received(after) - received(before),
    ...Object.fromEntries(
      Object.entries(after.events).map(([event, now]) => [event, now - before.events[event]!]),
    ),
  };
}

t.test('system calls a packet and a super-frame', { skip, timeout: 600_000 }, async (t) => {
  const overlay = new Overlay(t);
  const host = await overlay.addHost();
  const other = await overlay.addHost();
  const [a, b, far] = [await overlay.addPod(host), await overlay.addPod(host), await overlay.addPod(other)];

  const COUNT = 200;
  const ping = (to: string): void =>
    void within(a.netns, 'ping', '-n', '-q', '-i', '0.005', '-c', String(COUNT), to);
  ping(b.ip);

  const pings = await count(host, () => ping(b.ip));
  t.ok(pings['packets']! >= 2 * COUNT * 0.9, `${pings['packets']} packets`);
  t.ok(
    pings['tapReads']! <= pings['tapFrames']! * 1.25 + 20,
    `pings: ${pings['tapReads']} reads for ${pings['tapFrames']} frames`,
  );
  t.ok(pings['tapWrites']! <= pings['tapFrames']!, 'pings: a write a frame');
  t.equal(pings['yields'], 0, 'pings: nobody is let run in between');

  const server = start(t, ['ip', 'netns', 'exec', b.netns, 'iperf3', '-s', '--forceflush']);
  await printed(server, /listening on/);
  const flood = await count(host, () =>
    within(a.netns, 'iperf3', '-u', '-b', '0', '-l', '64', '-k', '50000', '-c', b.ip),
  );
  t.ok(flood['packets']! > 1_000, `datagrams: ${flood['packets']} packets`);
  t.ok(flood['tapWrites']! < flood['tapFrames']! / 2, `datagrams: ${flood['tapWrites']} writes`);
  t.ok(flood['yields']! > 0, `datagrams: others were let run ${flood['yields']} times`);

  for (const [where, to] of [
    ['on the same host', b],
    ['over the tunnel', far],
  ] as const) {
    const bytes = 64e6;
    const counted = await count(host, () => transfer(t, a, to, bytes));
    const calls = ['waits', 'tapReads', 'tapWrites', 'tunnelReads', 'tunnelWrites'].reduce(
      (sum, event) => sum + counted[event]!,
      0,
    );
    t.ok(counted['packets']! > bytes / 1450, `TCP ${where}: ${counted['packets']} packets`);
    t.ok(calls < counted['packets']! / 2, `TCP ${where}: ${calls} system calls`);
    t.ok(counted['passes']! < counted['packets']! / 4, `TCP ${where}: ${counted['passes']} passes`);
  }

  const usage = host.path!.readings!().worker;
  t.ok(usage.tid > 0 && usage.tid !== process.pid, 'the worker is a thread of its own');
  t.ok(
    usage.userMs + usage.kernelMs > 0,
    `it used ${usage.userMs} ms and ${usage.kernelMs} ms in the kernel`,
  );
});
