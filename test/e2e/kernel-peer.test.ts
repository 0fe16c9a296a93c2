import t from 'tap';
import { needsRoot } from '../lib/netns.js';
import { Overlay, pings, transfer, within } from '../lib/overlay.js';
import { printed, start } from '../lib/spawn.js';

const skip = needsRoot();
const MIB = 1 << 20;

for (const isWireTrue of [true, false])
  t.test(
    `a Linux host with the kernel's VXLAN is a full peer on ${isWireTrue ? 'a wire-true underlay' : 'a plain veth'}`,
    { skip },
    async (t) => {
      const overlay = new Overlay(t, isWireTrue);
      const ours = await overlay.addHost();
      const kernel = await overlay.addKernelHost();
      const a = await overlay.addPod(ours);
      const k = await overlay.addPod(kernel);
      t.equal(pings(a, k.ip), 3, 'ping there');
      t.equal(pings(k, a.ip), 3, 'ping back');
      for (const [what, from, to] of [
        ['there', a, k],
        ['back', k, a],
      ] as const) {
        const { sent, received, seconds } = await transfer(t, from, to, 50 * MIB);
        t.equal(received, sent, `50 MiB over TCP ${what}`);
        t.comment(`${((50 * MIB * 8) / seconds / 1e9).toFixed(2)} Gbit/s ${what}`);
      }
      for (const [what, from, to] of [
        ['there', a, k],
        ['back', k, a],
      ] as const) {
        const server = start(t, [
          'ip',
          'netns',
          'exec',
          to.netns,
          'iperf3',
          '-s',
          '-1',
          '-p',
          '5300',
          '--forceflush',
        ]);
        await printed(server, /listening on/);
        const run = within(
          from.netns,
          'iperf3',
          '-u',
          '-b',
          '10M',
          '-l',
          '512',
          '-t',
          '1',
          '-p',
          '5300',
          '-J',
          '-c',
          to.ip,
        );
        const sum = (JSON.parse(run.stdout) as { end: { sum: { packets: number; lost_packets: number } } })
          .end.sum;
        // A wrong checksum would lose all of them; a busy machine's receiver loses some.
        t.ok(
          sum.packets > 500 && sum.lost_packets < sum.packets / 2,
          `UDP ${what}: ${sum.lost_packets} of ${sum.packets} lost`,
        );
      }
    },
  );
