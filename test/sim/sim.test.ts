/** Several hosts together: real packet paths, joined by links that do what real ones do. */
import t, { type Test } from 'tap';
import { OFFLOAD_CSUM, OFFLOAD_TSO } from '../../src/tables/ports.js';
import { ALL_OFFLOADS, createSim, type Sim, type SimOptions } from '../../src/sim/sim.js';
import type { Endpoint } from '../../src/sim/endpoint.js';
import type { Stream } from '../../src/sim/stream.js';
import { parseIpv4 } from '../../src/wire/address.js';
import { random } from '../lib/random.js';
import { serviceObject, sliceObject } from '../lib/services.js';

/** Two hosts with a pod each. */
function twoHosts(options: Partial<SimOptions> = {}, offloads = [ALL_OFFLOADS, ALL_OFFLOADS]) {
  const sim = createSim({ seed: 1, ...options });
  sim.addHost('node1');
  sim.addHost('node2');
  const a = sim.addPod('a', 'node1', { offload: offloads[0] });
  const b = sim.addPod('b', 'node2', { offload: offloads[1] });
  sim.run(5);
  return { sim, a, b };
}

const bytes = (len: number, seed = 1): Uint8Array => random(seed).bytes(len);

/** Move bytes both ways over one stream and compare them. */
function exchange(t: Test, sim: Sim, from: Endpoint, to: Endpoint, len: number, maxMs = 600_000): Stream {
  const there = bytes(len, 1);
  const back = bytes(Math.floor(len / 2), 2);
  let served: Stream | undefined;
  to.listen(80, (stream) => {
    served = stream;
    stream.write(back);
    stream.close();
  });
  const stream = from.connect(to.ip, 80);
  stream.write(there);
  stream.close();
  t.ok(
    sim.runUntil(() => stream.state === 'closed' && served?.state === 'closed', maxMs),
    `done, states ${stream.state} and ${served?.state}, at ${Math.round(sim.now)} ms`,
  );
  t.ok(Buffer.from(served?.received() ?? []).equals(there), 'there, byte for byte');
  t.ok(Buffer.from(stream.received()).equals(back), 'and back');
  t.same(sim.violations, []);
  return stream;
}

t.test('ping between hosts, both ways, and its time is that of the link', async (t) => {
  const { sim, a, b } = twoHosts({ link: { latencyMs: 10 } });
  a.ping(b.ip, { seq: 1 });
  b.ping(a.ip, { seq: 2 });
  sim.run(100);
  t.match(a.replies, [{ from: b.ip, seq: 1, ttl: 62 }]);
  t.match(b.replies, [{ from: a.ip, seq: 2, ttl: 62 }]);
  t.ok(a.replies[0]!.rttMs >= 20 && a.replies[0]!.rttMs < 21);
  t.same(sim.violations, []);
});

t.test('ping on one host is bridged: no TTL is lost', async (t) => {
  const { sim, a } = twoHosts();
  const c = sim.addPod('c', 'node1');
  sim.run(5);
  a.ping(c.ip);
  sim.run(10);
  t.match(a.replies, [{ from: c.ip, ttl: 64 }]);
});

t.test('the kernels of the hosts and the pods reach each other', async (t) => {
  const { sim, a, b } = twoHosts();
  for (const who of [sim.kernel('node1'), sim.kernel('node2'), a, b])
    for (const whom of [sim.kernel('node1'), sim.kernel('node2'), a, b])
      if (who !== whom) {
        who.replies.length = 0;
        who.ping(whom.ip);
        sim.run(20);
        t.match(who.replies, [{ from: whom.ip }], `${who} to ${whom}`);
      }
  t.same(sim.violations, []);
});

t.test('UDP datagrams arrive whole, alone and in bursts, with every pair of offloads', async (t) => {
  for (const left of [0, OFFLOAD_CSUM, ALL_OFFLOADS])
    for (const right of [0, OFFLOAD_CSUM, ALL_OFFLOADS]) {
      const { sim, a, b } = twoHosts({}, [left, right]);
      const data = bytes(1000 * 5 + 321);
      a.sendUdp(b.ip, 53, data.slice(0, 999));
      a.sendUdpBurst(b.ip, 53, data, 1000);
      a.sendUdp(b.ip, 53, new Uint8Array(0));
      sim.run(10);
      t.same(
        b.datagrams.map(({ payload }) => payload.length),
        [999, 1000, 1000, 1000, 1000, 1000, 321, 0],
      );
      t.same(Buffer.concat(b.datagrams.slice(1).map(({ payload }) => payload)), Buffer.from(data));
      t.same(sim.violations, []);
    }
});

t.test('a closed UDP port is told through the tunnel', async (t) => {
  const { sim, a, b } = twoHosts();
  b.udpPorts = new Set([53]);
  a.sendUdp(b.ip, 54, bytes(10));
  sim.run(10);
  t.same(a.errors, [{ from: b.ip, type: 3, code: 3, mtu: 0 }]);
});

t.test('traceroute shows the routers on the way', async (t) => {
  const { sim, a, b } = twoHosts();
  for (const ttl of [1, 2, 3]) a.sendUdp(b.ip, 33434, bytes(10), { ttl });
  sim.run(10);
  t.same(
    a.errors.map(({ from, type }) => [from, type]),
    [
      [parseIpv4('10.244.1.254'), 11],
      [parseIpv4('10.244.2.254'), 11],
    ],
  );
  t.equal(b.datagrams.length, 1);
});

t.test('a byte stream arrives byte for byte, with every pair of offloads', async (t) => {
  const kinds = { none: 0, checksums: OFFLOAD_CSUM, tso: OFFLOAD_CSUM | OFFLOAD_TSO, all: ALL_OFFLOADS };
  for (const [leftName, left] of Object.entries(kinds))
    for (const [rightName, right] of Object.entries(kinds)) {
      const { sim, a, b } = twoHosts({}, [left, right]);
      t.comment(`${leftName} to ${rightName}`);
      const stream = exchange(t, sim, a, b, 200_000);
      t.equal(stream.retransmissions, 0);
      if ((right & OFFLOAD_TSO) !== 0) t.ok(b.superFrames > 0, 'and arrives in super-frames');
    }
});

t.test('a byte stream survives loss, duplicates and reordering', async (t) => {
  for (const loss of [0.01, 0.05, 0.2]) {
    const { sim, a, b } = twoHosts({
      seed: 7,
      link: { loss, duplicate: 0.02, reorder: 0.05, jitterMs: 0.5 },
    });
    const stream = exchange(t, sim, a, b, 300_000);
    t.ok(stream.retransmissions > 0, `${stream.retransmissions} retransmissions at ${100 * loss} %`);
  }
});

t.test('flipped bits never arrive as good data', async (t) => {
  // Behind VXLAN and inner Ethernet and IPv4 headers: what those say wrong is dropped for other reasons.
  for (const offload of [ALL_OFFLOADS, 0]) {
    const { sim, a, b } = twoHosts({ seed: 3, link: { corrupt: 0.05, corruptFrom: 8 } }, [offload, offload]);
    exchange(t, sim, a, b, 300_000);
    t.ok(sim.linkOf('node1', 'node2').counts.corrupted > 10);
    t.ok(b.badChecksums > 0, 'the receiver dropped and counted them');
  }
});

t.test('a captured underlay and a captured port change nothing but the batches', async (t) => {
  const { sim, a, b } = twoHosts();
  sim.capture('node1', 'vxlan', true);
  sim.capture('node2', 'vxlan', true);
  sim.capture('node2', 'pod default/b', true);
  sim.run(5);
  exchange(t, sim, a, b, 100_000);
  a.sendUdpBurst(b.ip, 53, bytes(5000), 100);
  b.superFrames = 0;
  sim.run(10);
  t.equal(b.datagrams.length, 50);
  t.equal(b.superFrames, 0, 'no UDP is merged for a captured port');
});

t.test('a smaller MTU on the way is found out, and the stream goes on', async (t) => {
  const sim = createSim({ seed: 1 });
  sim.addHost('node1');
  sim.addHost('node2');
  // A pod that believes in a larger MTU than the overlay has.
  const a = sim.addPod('a', 'node1', { mtu: 9000 });
  const b = sim.addPod('b', 'node2', { mtu: 9000 });
  sim.run(5);
  exchange(t, sim, a, b, 300_000);
  t.ok(a.errors.every(({ type, code, mtu }) => type === 3 && code === 4 && mtu === 1450));
  t.ok(a.errors.length > 0);
});

t.test('three hosts, all pods talk to all others at once', async (t) => {
  const sim = createSim({ seed: 5, link: { loss: 0.01, latencyMs: 1 } });
  const pods: Endpoint[] = [];
  for (const node of ['node1', 'node2', 'node3']) sim.addHost(node);
  for (const node of ['node1', 'node2', 'node3'])
    for (const i of [1, 2]) pods.push(sim.addPod(`${node}-${i}`, node));
  sim.run(5);
  const data = bytes(20_000);
  const served: Stream[] = [];
  for (const pod of pods)
    pod.listen(80, (stream) => {
      served.push(stream);
      stream.close();
    });
  for (const from of pods)
    for (const to of pods)
      if (from !== to) {
        const stream = from.connect(to.ip, 80);
        stream.write(data);
        stream.close();
      }
  t.ok(sim.runUntil(() => served.length === 30 && served.every(({ hasEnded }) => hasEnded), 60_000));
  for (const stream of served) t.ok(Buffer.from(stream.received()).equals(data));
  t.same(sim.violations, []);
});

t.test('a host that joins is reached, one that leaves is unreachable', async (t) => {
  const { sim, a } = twoHosts();
  const later = parseIpv4('10.244.3.2')!;
  a.ping(later, { seq: 1 });
  sim.run(10);
  t.match(a.errors, [{ type: 3, code: 1 }]);
  sim.addHost('node3');
  const c = sim.addPod('c', 'node3');
  sim.run(10);
  t.equal(c.ip, later);
  a.ping(c.ip, { seq: 2 });
  sim.run(10);
  t.match(a.replies, [{ from: c.ip, seq: 2 }]);
  sim.removeHost('node3');
  sim.run(10);
  a.ping(later, { seq: 3 });
  sim.run(10);
  t.match(a.errors, [{}, { type: 3, code: 1 }]);
  t.equal(a.replies.length, 1);
});

t.test('tables that change in the middle of a stream do not harm it', async (t) => {
  const { sim, a, b } = twoHosts({ link: { latencyMs: 1 } });
  let made = 0;
  const churn = (): void => {
    if (made % 2 === 0) {
      sim.addHost(`extra${made}`);
      sim.addPod(`pod${made}`, 'node1');
    } else {
      sim.removeHost(`extra${made - 1}`);
      sim.removePod(`pod${made - 1}`);
    }
    made++;
  };
  let served: Stream | undefined;
  b.listen(80, (stream) => (served = stream));
  const stream = a.connect(b.ip, 80);
  const data = bytes(500_000);
  stream.write(data);
  for (let i = 0; i < 40; i++) {
    churn();
    sim.run(2);
  }
  t.ok(sim.runUntil(() => served?.receivedLen === data.length, 60_000));
  t.ok(Buffer.from(served!.received()).equals(data));
  t.equal(stream.retransmissions, 0);
  t.same(sim.violations, []);
});

t.test('a pod with the address of one that is gone gets its own frames, not the other’s', async (t) => {
  const { sim, a } = twoHosts();
  const old = sim.addPod('old', 'node1');
  sim.run(5);
  a.ping(old.ip);
  sim.run(5);
  t.equal(a.replies.length, 1);
  sim.removePod('old');
  sim.run(5);
  const young = sim.addPod('young', 'node1');
  sim.run(5);
  t.equal(young.ip, old.ip);
  const before = old.frames;
  a.ping(young.ip, { seq: 2 });
  sim.run(5);
  t.equal(a.replies.length, 2);
  t.equal(old.frames, before);
});

t.test('a two-port segment is a cable: ARP, ping, UDP and streams cross it', async (t) => {
  const sim = createSim({ seed: 1 });
  sim.addHost('node1');
  const pod = sim.addPod('a', 'node1');
  for (const offloads of [
    [ALL_OFFLOADS, ALL_OFFLOADS],
    [ALL_OFFLOADS, 0],
    [0, ALL_OFFLOADS],
  ]) {
    const [x, y] = sim.pair('node1', `p${offloads.join()}`, [
      { offload: offloads[0] },
      { offload: offloads[1] },
    ]);
    sim.run(5);
    x.ping(y.ip, { ttl: 1 });
    sim.run(5);
    t.match(x.replies, [{ from: y.ip, ttl: 64 }]);
    x.sendUdpBurst(y.ip, 5, bytes(10_000), 1000);
    sim.run(5);
    t.equal(y.datagrams.length, 10);
    exchange(t, sim, x, y, 100_000);
  }
  t.equal(pod.frames, 0, 'pods see nothing of it');
});

t.test('two questions at once from one socket are both answered: no race in conntrack', async (t) => {
  const { sim, a, b } = twoHosts();
  sim.setObjects({
    services: [serviceObject('dns', { clusterIP: '10.96.0.10', ports: [{ port: 53, protocol: 'UDP' }] })],
    endpointSlices: [
      sliceObject('dns', [{ ip: '10.244.2.2', node: 'node2' }], [{ name: '', port: 5353, protocol: 'UDP' }]),
    ],
  });
  sim.run(5);
  b.answerUdp(5353, ({ payload }) => payload);
  const server = parseIpv4('10.96.0.10')!;
  for (let i = 0; i < 200; i++) {
    a.datagrams.length = 0;
    // As a resolver does for A and AAAA: the second leaves before the first has made its way.
    for (const question of [1, 28]) a.sendUdp(server, 53, Uint8Array.of(question), { srcPort: 30_000 + i });
    sim.run(5);
    const answers = a.datagrams.map(({ from, dstPort, payload }) => [from, dstPort, payload[0]]);
    if (answers.length !== 2 || answers.some(([from, port]) => from !== server || port !== 30_000 + i))
      t.same(answers, [], `socket ${i}`);
  }
  t.equal(b.datagrams.length, 400, 'none was lost, none came twice');
  t.same(sim.violations, []);
});

t.test('the same seed gives the same run, another seed another', async (t) => {
  const hashOf = (seed: number): number => {
    const { sim, a, b } = twoHosts({ seed, link: { loss: 0.1, reorder: 0.1, jitterMs: 1 } });
    exchange(t, sim, a, b, 50_000);
    return sim.traceHash;
  };
  t.equal(hashOf(11), hashOf(11));
  t.not(hashOf(11), hashOf(12));
});
