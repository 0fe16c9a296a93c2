import t from 'tap';
import { EAGAIN, ENOPROTOOPT } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import {
  MMSGHDR_SIZE,
  MMSG_LENGTH,
  MSG_IOV,
  MSG_IOV_COUNT,
  MSG_NAME,
  MSG_NAME_LENGTH,
  SIN_ADDRESS,
  SIN_FAMILY,
  SIN_PORT,
  SOCKADDR_IN_SIZE,
} from '../../src/sys/layout.js';
import { addressOf } from '../../src/sys/memory.js';
import { inNetns } from '../../src/sys/netns.js';
import { AF_INET, SOL_UDP, UDP_GRO, UDP_SEGMENT, negotiateUdp, openUdp, setGro } from '../../src/sys/udp.js';
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

  const texts = ['one', 'twenty-two', '3'].map((text) => Buffer.from(text));
  const sent = batch(texts, sockaddr('192.0.2.2', 8472));
  t.equal(io.sendmmsg(from.fd, sent.address, texts.length, 0), texts.length);
  t.same(sent.lengths(), [3, 10, 1]);

  const room = [0, 1, 2, 3].map(() => Buffer.alloc(64));
  const got = batch(room);
  t.equal(io.recvmmsg(to.fd, got.address, room.length, 0), texts.length);
  t.same(got.lengths(), [3, 10, 1, 0]);
  t.equal(room[1].toString('latin1', 0, 10), 'twenty-two');
  t.equal(io.recvmmsg(to.fd, got.address, room.length, 0), -EAGAIN);
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

function sockaddr(address: string, port: number): Buffer {
  const buffer = Buffer.alloc(SOCKADDR_IN_SIZE);
  buffer.writeUInt16LE(AF_INET, SIN_FAMILY);
  buffer.writeUInt16BE(port, SIN_PORT);
  buffer.set(address.split('.').map(Number), SIN_ADDRESS);
  return buffer;
}

/** An array of mmsghdr, one iovec each. */
function batch(buffers: Buffer[], to?: Buffer): { address: number; lengths: () => number[] } {
  const messages = new DataView(new ArrayBuffer(buffers.length * MMSGHDR_SIZE));
  const iovs = new BigUint64Array(buffers.length * 2);
  buffers.forEach((buffer, i) => {
    const at = i * MMSGHDR_SIZE;
    iovs[i * 2] = BigInt(addressOf(buffer));
    iovs[i * 2 + 1] = BigInt(buffer.length);
    messages.setBigUint64(at + MSG_IOV, BigInt(addressOf(iovs) + i * 16), true);
    messages.setBigUint64(at + MSG_IOV_COUNT, 1n, true);
    if (to === undefined) return;
    messages.setBigUint64(at + MSG_NAME, BigInt(addressOf(to)), true);
    messages.setUint32(at + MSG_NAME_LENGTH, to.length, true);
  });
  const keep = { buffers, iovs, to };
  return {
    address: addressOf(messages),
    lengths: () => keep.buffers.map((_, i) => messages.getUint32(i * MMSGHDR_SIZE + MMSG_LENGTH, true)),
  };
}
