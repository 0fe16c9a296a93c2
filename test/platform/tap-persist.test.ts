/**
 * Persistent TAPs: what lets an agent die and come back without its pods noticing more than a pause.
 */
import { once } from 'node:events';
import t from 'tap';
import * as io from '../../src/sys/io.js';
import { ip, ipJson } from '../../src/sys/iproute2.js';
import { openTap, setPersist } from '../../src/sys/tap.js';
import { openUdp } from '../../src/sys/udp.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { L2, isIpv4, waitFrame } from '../lib/frames.js';
import { send } from '../lib/mmsg.js';
import { makeNetns, needsRoot } from '../lib/netns.js';
import { printed, start } from '../lib/spawn.js';

const skip = needsRoot();

t.test(
  'a TAP whose holder was killed keeps its routes and neighbours, and works for the next',
  { skip },
  async (t) => {
    const netns = makeNetns(t);
    const module = new URL('../../src/sys/tap.js', import.meta.url).href;
    const holder = start(t, [
      process.execPath,
      '--input-type=module',
      '-e',
      `import { openTap } from '${module}';
     openTap({ name: 'eth0', netns: '${netns}', persist: true });
     setInterval(() => {}, 1000);
     console.log('held');`,
    ]);
    await printed(holder, /held/);
    ip(
      [
        'link set eth0 address 0a:58:0a:00:00:01 mtu 1450 up',
        'addr add 10.0.0.1/24 dev eth0',
        'route add default via 10.0.0.2',
        'neigh add 10.0.0.2 lladdr 0a:58:0a:00:00:02 dev eth0 nud permanent',
      ],
      { netns },
    );
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;

    const link = () => ipJson<{ flags: string[]; mtu: number }[]>(['link', 'show', 'eth0'], { netns })[0];
    t.equal(link().mtu, 1450);
    t.ok(link().flags.includes('UP'));
    t.ok(link().flags.includes('NO-CARRIER'), 'the pod sees a cable pulled out');

    const tap = openTap({ name: 'eth0', netns });
    t.teardown(() => io.close(tap.fd));
    setPersist(tap.fd, false);
    t.notOk(link().flags.includes('NO-CARRIER'), 'and in again');

    const socket = openUdp({ netns, address: '10.0.0.1', port: 0 });
    t.teardown(() => io.close(socket.fd));
    t.equal(send(socket.fd, [{ data: Buffer.from('hello'), to: ['198.51.100.1', 9] }]), 1);
    const { v } = waitFrame(tap.fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ethernet.dstLo(v, L2), 0x0a000002, 'by the route and to the neighbour of before');
  },
);
