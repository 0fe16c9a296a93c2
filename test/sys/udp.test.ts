import t from 'tap';
import { EAGAIN, ENOPROTOOPT } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import { inNetns } from '../../src/sys/netns.js';
import { SOL_UDP, UDP_GRO, UDP_SEGMENT, negotiateUdp, openUdp, setGro } from '../../src/sys/udp.js';
import { receive, send } from '../lib/mmsg.js';
import { makeNetns, makePair, needsRoot } from '../lib/netns.js';

const skip = needsRoot();

/** A kernel that knows these options of level SOL_UDP. */
const kernel =
  (...known: number[]) =>
  (level: number, option: number): number =>
    level === SOL_UDP && known.includes(option) ? 0 : -ENOPROTOOPT;

t.test('segmentation and coalescing are detected one by one', async (t) => {
  t.same(negotiateUdp({}, kernel(UDP_SEGMENT, UDP_GRO)), { gso: true, gro: true });
  t.same(negotiateUdp({}, kernel(UDP_SEGMENT)), { gso: true, gro: false });
  t.same(negotiateUdp({}, kernel()), { gso: false, gro: false });
});

t.test('what is switched off is not even asked for', async (t) => {
  t.same(
    negotiateUdp({ gso: false, gro: false }, () => Number(t.fail())),
    { gso: false, gro: false },
  );
});

t.test('a socket is bound, and says to which port', async (t) => {
  const socket = openUdp({ address: '127.0.0.1', port: 0, receiveBuffer: 1 << 20, sendBuffer: 1 << 20 });
  t.teardown(() => io.close(socket.fd));
  t.ok(socket.port > 0);
  const error = t.throws(() => openUdp({ address: '127.0.0.1', port: socket.port })) as Error;
  t.match(error.message, `Cannot open UDP socket on 127.0.0.1:${socket.port}: bind failed with EADDRINUSE`);
  t.match(error.message, 'another program uses this port');
});

t.test('an address that is not ours, not IPv4, or no port is refused', async (t) => {
  t.throws(() => openUdp({ address: '192.0.2.77', port: 0 }), /EADDRNOTAVAIL.*no interface has this address/);
  for (const address of ['::1', 'localhost', '10.1', '1.2.3.4.5', ''])
    t.throws(() => openUdp({ address, port: 0 }), RangeError, address);
  for (const port of [-1, 65536, 1.5, NaN])
    t.throws(() => openUdp({ address: '127.0.0.1', port }), RangeError, String(port));
});

t.test('a device that is not there is named', { skip }, async (t) => {
  t.throws(() => openUdp({ address: '0.0.0.0', port: 0, device: 'pwt-none' }), /pwt-none.*no such interface/);
  t.throws(() => openUdp({ address: '0.0.0.0', port: 0, device: 'a-name-of-sixteen' }), RangeError);
});

t.test('coalescing can be switched while the socket lives', async (t) => {
  const socket = openUdp({ address: '127.0.0.1', port: 0, gro: false });
  t.teardown(() => io.close(socket.fd));
  t.equal(setGro(socket.fd, true), 0);
  t.equal(setGro(socket.fd, false), 0);
});

t.test('sendmmsg and recvmmsg carry a batch between two namespaces', { skip }, async (t) => {
  const [a, b] = makePair(t);
  const from = openUdp({ netns: a, address: '192.0.2.1', port: 0, device: 'eth0' });
  const to = openUdp({ netns: b, address: '192.0.2.2', port: 8472, pmtuProbe: true });
  t.teardown(() => [from.fd, to.fd].forEach((fd) => io.close(fd)));

  const messages = ['one', 'twenty-two', '3'].map((text) => ({
    data: Buffer.from(text),
    to: ['192.0.2.2', 8472] as const,
  }));
  t.equal(send(from.fd, messages), 3);
  const got = receive(to.fd, 4);
  t.match(
    got,
    messages.map(({ data }) => ({ data, segment: 0 })),
  );
  t.equal(receive(to.fd, 4), -EAGAIN);
});

t.test('a socket made in a namespace is not seen outside', { skip }, async (t) => {
  const netns = makeNetns(t);
  const inside = openUdp({ netns, address: '127.0.0.1', port: 8472 });
  t.teardown(() => io.close(inside.fd));
  const other = makeNetns(t);
  const second = inNetns(other, () => openUdp({ address: '127.0.0.1', port: 8472 }));
  t.teardown(() => io.close(second.fd));
  t.equal(second.port, inside.port);
});
