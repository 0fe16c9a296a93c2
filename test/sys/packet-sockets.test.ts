import t from 'tap';
import { findLink } from '../../src/sys/link.js';
import {
  createCaptureWatch,
  isCaptured,
  parsePacketSockets,
  programOf,
  readPacketSockets,
} from '../../src/sys/packet-sockets.js';
import { makePair, needsRoot } from '../lib/netns.js';
import { printed, runSync, start } from '../lib/spawn.js';

const skip = needsRoot();
const skipCapture = skip || (runSync(['sh', '-c', 'command -v tcpdump']).status !== 0 && 'needs tcpdump');

t.test('a line of /proc/net/packet is an interface, a protocol and an inode', async (t) => {
  t.same(
    parsePacketSockets(
      'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n' +
        '0000000000000000 3      3    0003   2     1 0      0      26047 \n' +
        '0000000000000000 3      3    88cc   0     1 0      0      26050 \n' +
        'nonsense\n',
    ),
    [
      { ifindex: 2, protocol: 0x0003, inode: 26047 },
      { ifindex: 0, protocol: 0x88cc, inode: 26050 },
    ],
  );
});

t.test('a capture on no particular interface sees all', async (t) => {
  t.equal(isCaptured([], 2), false);
  t.equal(isCaptured([{ ifindex: 3, inode: 1, program: 'tcpdump' }], 2), false);
  t.equal(isCaptured([{ ifindex: 2, inode: 1, program: 'tcpdump' }], 2), true);
  t.equal(isCaptured([{ ifindex: 0, inode: 1, program: 'tcpdump' }], 2), true);
});

t.test(
  'tcpdump is seen in its namespace and on its interface, until it ends',
  { skip: skipCapture },
  async (t) => {
    const [a, b] = makePair(t);
    const watch = createCaptureWatch();
    t.same(watch.look(a), []);
    const child = start(t, ['ip', 'netns', 'exec', a, 'tcpdump', '-ni', 'eth0', '--immediate-mode']);
    await printed(child, /listening on eth0/);

    const ifindex = findLink('eth0', a)?.ifindex;
    const captures = watch.look(a);
    t.match(captures, [{ ifindex, program: 'tcpdump' }]);
    t.equal(programOf(captures[0].inode), 'tcpdump');
    t.same(watch.look(b), []);
    t.same(readPacketSockets(b), []);

    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    t.same(watch.look(a), []);
  },
);

t.test(
  'who holds a socket is looked up once, and programs that keep one for ever do not count',
  { skip: skipCapture },
  async (t) => {
    const [netns] = makePair(t);
    const child = start(t, ['ip', 'netns', 'exec', netns, 'tcpdump', '-ni', 'any', '--immediate-mode']);
    await printed(child, /listening on any/);
    let asked = 0;
    const lldpd = createCaptureWatch(() => ((asked += 1), 'lldpd'));
    t.same(lldpd.look(netns), []);
    t.same(lldpd.look(netns), []);
    t.equal(asked, 1);
    const unknown = createCaptureWatch(() => undefined);
    t.match(unknown.look(netns), [{ ifindex: 0, program: undefined }], 'one we cannot name counts');
  },
);
