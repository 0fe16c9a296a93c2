/**
 * What a host's kernel does with packets that are addressed to the host and belong to the router: NodePorts, replies to
 * masqueraded pods, addresses of LoadBalancers. A TAP `pw0` with nobody's packet path behind it, a client on the underlay.
 */
import t from 'tap';
import type { Test } from 'tap';
import { pino } from 'pino';
import { createAnnouncer } from '../../src/agent/announcer.js';
import { openHealthPorts } from '../../src/agent/health-ports.js';
import { hostItems } from '../../src/agent/host-items.js';
import { openHostState } from '../../src/agent/host-state.js';
import { openIcmpFeed } from '../../src/agent/icmp-feed.js';
import { NO_SERVICE_ADDRESSES } from '../../src/compile/service-addresses.js';
import type { ServiceAddresses } from '../../src/compile/service-addresses.js';
import { nodeAddresses } from '../../src/compile/node-addresses.js';
import * as io from '../../src/sys/io.js';
import { findLink } from '../../src/sys/link.js';
import { openTap } from '../../src/sys/tap.js';
import { openUdp } from '../../src/sys/udp.js';
import { formatIpv4, formatMac, parseCidr, parseIpv4 } from '../../src/wire/address.js';
import * as ethernet from '../../src/wire/ethernet.js';
import * as icmp from '../../src/wire/icmp.js';
import * as ipv4 from '../../src/wire/ipv4.js';
import { L2, L3, L4, isIpv4, isReadable, readFrame, waitFrame, writeFrame } from '../lib/frames.js';
import type { Frame } from '../lib/frames.js';
import { receive, send } from '../lib/mmsg.js';
import { makePair, needsRoot } from '../lib/netns.js';
import { output, printed, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';
import { bytesOf, finish, store, sum } from '../../src/wire/checksum.js';

const HOST = '192.0.2.1';
const CLIENT = '192.0.2.2';
const GATEWAY = '10.244.1.1';
const addresses = nodeAddresses('10.244.1.0/24')!;
const log = pino({ level: 'silent' });

/** A host with `pw0` and its state, 192.0.2.1, and a client beside it, 192.0.2.2. */
const makeHost = async (t: Test, services: ServiceAddresses = NO_SERVICE_ADDRESSES) => {
  const [netns, client] = makePair(t);
  const tap = openTap({ name: 'pw0', netns, offload: 'none' });
  t.teardown(() => io.close(tap.fd));
  const state = openHostState({
    netns,
    journal: `${t.testdir()}/journal.jsonl`,
    log,
    intervalMs: 3_600_000,
  });
  t.teardown(() => state.close());
  const apply = (next: ServiceAddresses): Promise<void> =>
    state.apply(
      hostItems({
        addresses,
        podCidr: '10.244.0.0/16',
        serviceCidr: '10.96.0.0/12',
        nic: 'eth0',
        nodeIp: HOST,
        mtu: 1450,
        services: next,
        hostPorts: [],
      }),
    );
  await apply(services);
  const udp = (where: string, port = 0, address = '0.0.0.0'): number => {
    const { fd } = openUdp({ netns: where, address, port });
    t.teardown(() => io.close(fd));
    return fd;
  };
  const in_ = (where: string, ...argv: string[]): string[] => ['ip', 'netns', 'exec', where, ...argv];
  return { netns, client, fd: tap.fd, apply, udp, in_ };
};

const ends = ({ v }: Frame): string =>
  `${formatIpv4(ipv4.src(v, L3))} > ${formatIpv4(ipv4.dst(v, L3))}:${v.getUint16(L4 + 2)}`;
const toMac = ({ v }: Frame): string => formatMac(ethernet.dstHi(v, L2), ethernet.dstLo(v, L2));
const ROUTER = formatMac(addresses.routerMac.hi, addresses.routerMac.lo);

/** Swap two fields of `size` bytes that stand side by side. */
const swap = ({ b }: Frame, at: number, size: number): void => {
  const first = b.u8.slice(at, at + size);
  b.u8.copyWithin(at, at + size, at + 2 * size);
  b.u8.set(first, at + size);
};

/** What the router does with what is not for a Service: hands it up. */
const handUp = (fd: number, frame: Frame): void => {
  swap(frame, L2, 6);
  writeFrame(fd, frame);
};

/** A frame from the router to the host, as it is written to pw0. */
const fromRouter = (fields: { proto: number; src: string; dst: string; l4: Uint8Array }): Frame => {
  const len = L4 + fields.l4.length;
  const buffer = new ArrayBuffer((len + 3) & ~3);
  const frame = { v: new DataView(buffer), b: bytesOf(buffer), len };
  ethernet.setDst(frame.v, L2, addresses.gatewayMac.hi, addresses.gatewayMac.lo);
  ethernet.setSrc(frame.v, L2, addresses.routerMac.hi, addresses.routerMac.lo);
  ethernet.setType(frame.v, L2, ethernet.TYPE_IPV4);
  ipv4.write(frame.v, frame.b, L3, {
    totalLen: 20 + fields.l4.length,
    ttl: 63,
    proto: fields.proto,
    src: parseIpv4(fields.src)!,
    dst: parseIpv4(fields.dst)!,
  });
  frame.b.u8.set(fields.l4, L4);
  return frame;
};

/** A UDP datagram without a checksum. */
const datagram = (from: number, to: number, text: string): Uint8Array => {
  const data = Buffer.from(text);
  const l4 = Buffer.alloc(8 + data.length);
  l4.writeUInt16BE(from, 0);
  l4.writeUInt16BE(to, 2);
  l4.writeUInt16BE(l4.length, 4);
  data.copy(l4, 8);
  return l4;
};

const echoRequest = (id: number, size = 8): Uint8Array => {
  const l4 = new Uint8Array(new ArrayBuffer(8 + size));
  l4[0] = icmp.ECHO_REQUEST;
  new DataView(l4.buffer).setUint16(4, id);
  const b = bytesOf(l4.buffer);
  store(b, icmp.CHECKSUM, finish(sum(b, 0, l4.length)));
  return l4;
};

t.test('on a host', { skip: needsRoot() }, async (t) => {
  t.test("a NodePort is the router's, for TCP and UDP, from the underlay and from the host", async (t) => {
    const { netns, client, fd, udp, in_ } = await makeHost(t);
    send(udp(client), [{ data: Buffer.from('a'), to: [HOST, 30053] }]);
    const frame = waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ends(frame), `${CLIENT} > ${HOST}:30053`);
    t.equal(toMac(frame), ROUTER);

    for (const [where, url, expected] of [
      [client, `http://${HOST}:30080/`, `${CLIENT} > ${HOST}:30080`],
      [netns, `http://${HOST}:32767/`, `${GATEWAY} > ${HOST}:32767`],
      [netns, 'http://127.0.0.1:30080/', `${GATEWAY} > 127.0.0.1:30080`],
      [netns, 'http://127.9.9.9:30000/', `${GATEWAY} > 127.9.9.9:30000`],
    ] as const) {
      start(t, in_(where, 'curl', '-s', '--max-time', '30', url));
      t.equal(ends(waitFrame(fd, (frame) => isIpv4(frame, ipv4.TCP) && ends(frame) === expected)), expected);
    }
  });

  t.test('an answer from 127.0.0.1 by pw0 reaches who asked', async (t) => {
    const { netns, fd, udp } = await makeHost(t);
    const socket = udp(netns);
    send(socket, [{ data: Buffer.from('query'), to: ['127.0.0.1', 30053] }]);
    const frame = waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ends(frame), `${GATEWAY} > 127.0.0.1:30053`);
    for (const [at, size] of [
      [L2, 6],
      [L3 + 12, 4],
      [L4, 2],
    ] as const)
      swap(frame, at, size);
    writeFrame(fd, frame);
    t.ok(isReadable(socket));
    t.match(receive(socket), [{ data: Buffer.from('query') }]);
  });

  t.test(
    'programs of the host are reached as before, in the range of NodePorts by way of the router',
    async (t) => {
      const { netns, client, fd, udp } = await makeHost(t);
      const [asker, low, high] = [udp(client), udp(netns, 8080), udp(netns, 31000)];
      send(asker, [{ data: Buffer.from('to 8080'), to: [HOST, 8080] }]);
      t.ok(isReadable(low));
      t.match(receive(low), [{ data: Buffer.from('to 8080') }]);

      send(asker, [{ data: Buffer.from('to 31000'), to: [HOST, 31000] }]);
      handUp(
        fd,
        waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP)),
      );
      t.ok(isReadable(high));
      t.match(receive(high), [{ data: Buffer.from('to 31000') }]);

      send(udp(netns), [{ data: Buffer.from('to itself'), to: [HOST, 31000] }]);
      handUp(
        fd,
        waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP)),
      );
      t.ok(isReadable(high), 'also from the host itself');
    },
  );

  t.test('a program of the host takes TCP connections in the range of NodePorts', async (t) => {
    const { netns, client, fd, in_ } = await makeHost(t);
    const health = openHealthPorts('node1', netns, log);
    t.teardown(() => health.close());
    const spec = {
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 31000,
    } as const;
    health.sync({
      services: [{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec }],
      endpointSlices: [],
    });
    for (const [where, address] of [
      [client, HOST],
      [netns, HOST],
      [netns, '127.0.0.1'],
    ] as const) {
      const child = start(t, in_(where, 'curl', '-s', '--max-time', '30', `http://${address}:31000/`));
      let text = '';
      child.stdout!.on('data', (part: Buffer) => (text += part.toString()));
      await until('curl has said all', () => {
        for (let frame = readFrame(fd); frame; frame = readFrame(fd)) handUp(fd, frame);
        return child.stdout!.readableEnded;
      });
      t.match(text, /"name":"web"/, `${address} from ${where === client ? 'outside' : 'the host'}`);
    }
  });

  t.test('what the router masquerades goes out, and the reply comes back to the router', async (t) => {
    const { client, fd, udp } = await makeHost(t);
    const server = udp(client, 53);
    const out = { proto: ipv4.UDP, src: HOST, dst: CLIENT, l4: datagram(61000, 53, 'query') };
    writeFrame(fd, fromRouter(out));
    t.ok(isReadable(server), "forwarded, although the source is the host's own address");
    t.match(receive(server), [{ data: Buffer.from('query') }]);
    send(server, [{ data: Buffer.from('answer'), to: [HOST, 61000] }]);
    const frame = waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ends(frame), `${CLIENT} > ${HOST}:61000`);
    send(server, [{ data: Buffer.from('answer'), to: [HOST, 64999] }]);
    t.equal(ends(waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP))), `${CLIENT} > ${HOST}:64999`);
  });

  t.test('no program is given a port of ours unasked', async (t) => {
    const { netns, in_ } = await makeHost(t);
    const read = (): string => output(in_(netns, 'cat', '/proc/sys/net/ipv4/ip_local_reserved_ports')).trim();
    t.equal(read(), '30000-32767,61000-64999');
  });

  t.test("a port of the host's address that is an external one of a Service is steered too", async (t) => {
    const { client, fd, udp } = await makeHost(t, {
      ...NO_SERVICE_ADDRESSES,
      steered: [{ protocol: 'udp', port: 5353 }],
    });
    send(udp(client), [{ data: Buffer.from('a'), to: [HOST, 5353] }]);
    t.equal(ends(waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP))), `${CLIENT} > ${HOST}:5353`);
  });

  t.test('an address of a LoadBalancer is answered by its owner alone', async (t) => {
    const ADDRESS = '192.0.2.200';
    const { netns, client, fd, udp, apply } = await makeHost(t, {
      ...NO_SERVICE_ADDRESSES,
      routed: [ADDRESS],
    });
    const asker = udp(client);
    const neighbor = (): string => output(['ip', '-n', client, 'neigh', 'show', 'to', ADDRESS]);
    send(asker, [{ data: Buffer.from('a'), to: [ADDRESS, 80] }]);
    await until('nobody has answered', () => /FAILED/.test(neighbor()));

    const local = udp(netns);
    send(local, [{ data: Buffer.from('b'), to: [ADDRESS, 80] }]);
    const own = waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ends(own), `${GATEWAY} > ${ADDRESS}:80`, 'the host itself reaches it by its own router');

    await apply({ ...NO_SERVICE_ADDRESSES, routed: [ADDRESS], owned: [ADDRESS] });
    send(asker, [{ data: Buffer.from('c'), to: [ADDRESS, 80] }]);
    const frame = waitFrame(fd, (frame) => isIpv4(frame, ipv4.UDP));
    t.equal(ends(frame), `${CLIENT} > ${ADDRESS}:80`);
    t.match(neighbor(), findLink('eth0', netns)!.mac);
    t.match(output(['ip', '-n', netns, 'address']), /^((?!192\.0\.2\.200).)*$/s, "it is not the host's");

    // The router answers from the address.
    writeFrame(fd, fromRouter({ proto: ipv4.UDP, src: ADDRESS, dst: CLIENT, l4: datagram(80, 9, 'answer') }));
    const port = udp(client, 9);
    writeFrame(fd, fromRouter({ proto: ipv4.UDP, src: ADDRESS, dst: CLIENT, l4: datagram(80, 9, 'answer') }));
    t.ok(isReadable(port));
  });

  t.test('a new owner is believed at once: three announcements, the first of which counts', async (t) => {
    const { netns, client } = await makeHost(t);
    const ip = (...args: string[]): string => output(['ip', '-n', client, ...args]);
    const mac = findLink('eth0', netns)!.mac;
    ip('neigh', 'add', '192.0.2.200', 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0', 'nud', 'reachable');
    const dump = start(t, [
      ...['ip', 'netns', 'exec', client],
      ...['tcpdump', '-ni', 'eth0', '-e', '-l', '-c', '3', 'arp and host 192.0.2.200'],
    ]);
    await printed(dump, /listening on/);
    const lines = printed(dump, /(192\.0\.2\.200(.|\n)*\n(.|\n)*){3}3 packets captured/);
    const announcer = createAnnouncer('eth0', netns, log);
    t.teardown(() => announcer.close());
    announcer.own(['192.0.2.200']);
    await until('the client believes it', () => ip('neigh', 'show', 'to', '192.0.2.200').includes(mac));
    announcer.own(['192.0.2.200']); // no news
    const text = await lines;
    t.match(text, `${mac} > ff:ff:ff:ff:ff:ff`);
    t.match(text, /Announcement 192\.0\.2\.200|who-has 192\.0\.2\.200 .*tell 192\.0\.2\.200/);
  });

  t.test('echo replies and errors for masqueraded pods are fed to the router', async (t) => {
    const { netns, fd } = await makeHost(t);
    const frames: Uint8Array[] = [];
    const feed = await openIcmpFeed({
      netns,
      nodeIp: parseIpv4(HOST)!,
      inside: [parseCidr('10.244.0.0/16')!, parseCidr('10.96.0.0/12')!],
      hostMac: addresses.gatewayMac,
      routerMac: addresses.routerMac,
      mtu: 1450,
      inject: (frame) => void frames.push(frame),
      log,
    });
    t.teardown(() => feed.close());
    if (feed.problem() !== undefined) return void t.comment(`skipped: ${feed.problem()}`);
    const next = async (): Promise<{ v: DataView; len: number }> => {
      const frame = await until('a frame is fed', () => frames.shift());
      return { v: new DataView(frame.buffer), len: frame.length };
    };
    const AT = ethernet.HEADER_LEN;

    writeFrame(fd, fromRouter({ proto: ipv4.ICMP, src: HOST, dst: CLIENT, l4: echoRequest(4711) }));
    const reply = await next();
    t.equal(icmp.type(reply.v, AT + 20), icmp.ECHO_REPLY);
    t.equal(icmp.id(reply.v, AT + 20), 4711);
    t.equal(formatIpv4(ipv4.src(reply.v, AT)), CLIENT);
    t.equal(formatMac(ethernet.dstHi(reply.v, 0), ethernet.dstLo(reply.v, 0)), ROUTER);

    writeFrame(fd, fromRouter({ proto: ipv4.UDP, src: HOST, dst: CLIENT, l4: datagram(61007, 9, 'x') }));
    const error = await next();
    t.equal(icmp.type(error.v, AT + 20), icmp.UNREACHABLE);
    t.equal(error.v.getUint16(AT + 20 + 8 + 20), 61007, 'it quotes the datagram');

    // Nobody there: the host's own kernel says so.
    writeFrame(
      fd,
      fromRouter({ proto: ipv4.UDP, src: HOST, dst: '192.0.2.77', l4: datagram(61008, 9, 'x') }),
    );
    const own = await next();
    t.equal(icmp.code(own.v, AT + 20), icmp.HOST_UNREACHABLE);
    t.equal(formatIpv4(ipv4.src(own.v, AT)), HOST);

    // What is not for pods: the host's ping of itself, an error about a datagram of the host's own.
    output(['ip', 'netns', 'exec', netns, 'ping', '-c', '1', '-q', HOST]);
    const { fd: socket } = openUdp({ netns, address: '0.0.0.0', port: 5000 });
    t.teardown(() => io.close(socket));
    send(socket, [{ data: Buffer.from('x'), to: [CLIENT, 9] }]);
    // A reply larger than the MTU comes reassembled, and is cut again.
    writeFrame(fd, fromRouter({ proto: ipv4.ICMP, src: HOST, dst: CLIENT, l4: echoRequest(4712, 2992) }));
    const [one, two, three] = [await next(), await next(), await next()];
    t.same([one.len, two.len, three.len], [14 + 1444, 14 + 1444, 14 + 20 + 3000 - 2 * 1424]);
    t.equal(icmp.id(one.v, AT + 20), 4712, 'and nothing came in between');
    t.same(
      [one, two, three].map(({ v }) => [ipv4.hasMf(v, AT), ipv4.fragmentOffset(v, AT)]),
      [
        [true, 0],
        [true, 1424],
        [false, 2848],
      ],
    );
    t.same(frames, []);
  });
});
