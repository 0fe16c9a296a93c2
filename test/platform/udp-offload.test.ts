/**
 * UDP_SEGMENT and UDP_GRO between two hosts: what tunnels rely on.
 */
import t from 'tap';
import type { Test } from 'tap';
import { EAGAIN, EINVAL, EIO, EMSGSIZE } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import { ethtool } from '../../src/sys/iproute2.js';
import { UDP_MAX_PAYLOAD, UDP_MAX_SEGMENTS, openUdp, setGro } from '../../src/sys/udp.js';
import { bytesOf, finish, store, sum } from '../../src/wire/checksum.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { L2, L3, L4, isIpv4, isReadable, makePod, waitFrame, writeFrame } from '../lib/frames.js';
import type { Frame } from '../lib/frames.js';
import { receive, send } from '../lib/mmsg.js';
import type { Incoming } from '../lib/mmsg.js';
import { makeNetns, makePair, needsRoot } from '../lib/netns.js';

const skip = needsRoot();
const TO = ['192.0.2.2', 8472] as const;

/** A socket on each of two hosts. */
function tunnel(t: Test, options: { gro?: boolean; gso?: boolean } = {}) {
  const [a, b] = makePair(t);
  const from = openUdp({ netns: a, address: '192.0.2.1', port: 0, pmtuProbe: true, ...options });
  const to = openUdp({ netns: b, address: TO[0], port: TO[1], receiveBuffer: 4 << 20, ...options });
  t.teardown(() => [from.fd, to.fd].forEach((fd) => io.close(fd)));
  return { from, to, netns: a };
}

/** All that arrives until `bytes` are there. */
function receiveAll(fd: number, bytes: number): { sizes: number[]; segments: number[]; data: Buffer } {
  const all: Incoming[] = [];
  for (let total = 0; total < bytes && isReadable(fd);) {
    const messages = receive(fd);
    if (typeof messages === 'number') break;
    all.push(...messages);
    total += messages.reduce((n, { data }) => n + data.length, 0);
  }
  return {
    sizes: all.map(({ data }) => data.length),
    segments: all.map(({ segment }) => segment),
    data: Buffer.concat(all.map(({ data }) => data)),
  };
}

const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7) % 253));
const cut = (data: Buffer, size: number) =>
  Array.from({ length: Math.ceil(data.length / size) }, (_, i) => ({
    data: data.subarray(i * size, (i + 1) * size),
    to: TO,
  }));

t.test('a segmented send arrives as one message that says how to cut it', { skip }, async (t) => {
  const { from, to } = tunnel(t);
  const data = pattern(5 * 1200 + 300); // the last one may be shorter
  t.equal(send(from.fd, [{ data, to: TO, segment: 1200 }]), 1);
  const got = receiveAll(to.fd, data.length);
  t.same(got.sizes, [data.length]);
  t.same(got.segments, [1200]);
  t.same(got.data, data);
});

t.test('a single datagram has no size of segments with it', { skip }, async (t) => {
  const { from, to } = tunnel(t);
  send(from.fd, [{ data: pattern(700), to: TO }]);
  t.same(receiveAll(to.fd, 700).segments, [0]);
});

t.test('coalescing switched off while the socket lives gives single datagrams', { skip }, async (t) => {
  const { from, to } = tunnel(t);
  t.equal(setGro(to.fd, false), 0);
  const data = pattern(5 * 1200);
  t.equal(send(from.fd, [{ data, to: TO, segment: 1200 }]), 1);
  const got = receiveAll(to.fd, data.length);
  t.same(got.sizes, Array(5).fill(1200));
  t.same(got.data, data);
});

t.test('the fallback, a message per datagram, carries the same', { skip }, async (t) => {
  const { from, to } = tunnel(t, { gso: false, gro: false });
  t.match([from, to], Array(2).fill({ gso: false, gro: false }));
  const data = pattern(5 * 1200);
  t.equal(send(from.fd, cut(data, 1200)), 5);
  t.same(receiveAll(to.fd, data.length).data, data);
});

t.test('64 segments and 65507 bytes are the most in one send', { skip }, async (t) => {
  const { from, to } = tunnel(t);
  const many = pattern(UDP_MAX_SEGMENTS * 90);
  t.equal(send(from.fd, [{ data: many, to: TO, segment: 90 }]), 1);
  t.same(receiveAll(to.fd, many.length).data, many);
  const large = pattern(UDP_MAX_PAYLOAD);
  t.equal(send(from.fd, [{ data: large, to: TO, segment: 1400 }]), 1);
  t.same(receiveAll(to.fd, large.length).data, large);
  t.equal(send(from.fd, [{ data: pattern(UDP_MAX_PAYLOAD + 1), to: TO, segment: 1400 }]), -EMSGSIZE);
  const beyondMtu = send(from.fd, [{ data: pattern(3000), to: TO, segment: 1473 }]);
  t.ok([-EINVAL, -EMSGSIZE].includes(beyondMtu), `segments beyond the MTU: ${beyondMtu}`);
});

t.test(
  'a NIC without checksum offload: a segmented send works or fails with EIO, and the fallback works',
  { skip },
  async (t) => {
    const { from, to, netns } = tunnel(t);
    ethtool(['-K', 'eth0', 'tx', 'off'], { netns });
    const data = pattern(3 * 1000);
    const sent = send(from.fd, [{ data, to: TO, segment: 1000 }]);
    t.ok(sent === 1 || sent === -EIO, `sendmmsg gave ${sent}`);
    if (sent === -EIO) t.equal(send(from.fd, cut(data, 1000)), 3);
    t.same(receiveAll(to.fd, data.length).data, data);
  },
);

t.test('an unconnected socket does not learn that nobody listens at the other end', { skip }, async (t) => {
  const netns = makeNetns(t);
  const from = openUdp({ netns, address: '127.0.0.1', port: 0 });
  const to = openUdp({ netns, address: '127.0.0.1', port: 0 });
  t.teardown(() => io.close(from.fd));
  io.close(to.fd);
  const message = { data: pattern(10), to: ['127.0.0.1', to.port] as const };
  for (let i = 0; i < 3; i++) t.equal(send(from.fd, [message, message]), 2);
  t.equal(receive(from.fd), -EAGAIN);
});

for (const pmtuProbe of [false, true])
  t.test(
    pmtuProbe
      ? 'with PMTU probing a segmented send does not mind an ICMP "fragmentation needed"'
      : 'without PMTU probing one ICMP "fragmentation needed" breaks segmented sends',
    { skip },
    async (t) => {
      const { netns, tap, address } = makePod(t, 1);
      const from = openUdp({ netns, address, port: 50000, pmtuProbe });
      t.teardown(() => io.close(from.fd));
      const train = { data: pattern(3000), to: ['10.0.0.2', 8472] as const, segment: 1000 };
      t.equal(send(from.fd, [train]), 1);
      const error = fragmentationNeeded(
        waitFrame(tap.fd, (frame) => isIpv4(frame, ipv4.UDP)),
        600,
      );
      t.equal(writeFrame(tap.fd, error), error.len); // the kernel has taken it in when the write returns
      const next = send(from.fd, [train]);
      if (pmtuProbe) t.equal(next, 1);
      else t.ok([-EMSGSIZE, -EINVAL].includes(next), `sendmmsg gave ${next}`);
    },
  );

/** The ICMP error with which a router at 10.0.0.3 answers a frame of 10.0.0.1. RFC 792; RFC 1191 §4. */
function fragmentationNeeded(quoted: Frame, mtu: number): Frame {
  const len = L4 + 8 + 28;
  const b = bytesOf(new ArrayBuffer((len + 3) & ~3));
  b.u8.set(quoted.b.u8.subarray(L2 + 6, L2 + 12), L2); // to its sender
  b.u8.set([0x0a, 0x58, 0x0a, 0, 0, 3, 0x08, 0x00], L2 + 6);
  b.u8.set([0x45, 0, 0, len - L3, 0, 0, 0, 0, 64, ipv4.ICMP, 0, 0, 10, 0, 0, 3, 10, 0, 0, 1], L3);
  store(b, L3 + 10, finish(sum(b, L3, 20)));
  b.u8.set([3, 4, 0, 0, 0, 0, mtu >> 8, mtu & 255], L4); // unreachable, fragmentation needed
  b.u8.set(quoted.b.u8.subarray(L3, L3 + 28), L4 + 8);
  store(b, L4 + 2, finish(sum(b, L4, len - L4)));
  return { v: new DataView(b.u8.buffer), b, len };
}
