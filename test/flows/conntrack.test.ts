/** Flows: their states and times, what belongs to them, and who gives way when the table is full. */
import t from 'tap';
import {
  FLAGS,
  FLAG_REPLIED,
  ROW_WORDS,
  STATE,
  STATE_NAMES,
  TIMEOUT_MS,
  packetsAt,
} from '../../src/tables/conntrack.js';
import { A, B, REMOTE, ROUTER, VTEP1, VTEP2, createBench, type HostBench } from '../lib/host-bench.js';
import { icmpEcho, icmpFrame, tcpFrame, udpFrame, vxlan } from '../lib/packets.js';

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

interface Flow {
  state: string;
  timeoutMs: number;
  replied: boolean;
}

/** The flows of a bench. */
function flows(bench: HostBench): Flow[] {
  const { words, capacity } = bench.host.dp.conntrack;
  const found: Flow[] = [];
  for (let at = ROW_WORDS; at < capacity * ROW_WORDS; at += ROW_WORDS)
    if (words[at + STATE] !== 0)
      found.push({
        state: STATE_NAMES[words[at + STATE]!]!,
        timeoutMs: words[at + TIMEOUT_MS]!,
        replied: (words[at + FLAGS]! & FLAG_REPLIED) !== 0,
      });
  return found;
}

const OUT = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip, dst: REMOTE.ip, srcPort: 1000, dstPort: 80 };
const BACK = { srcMac: VTEP2.mac, dstMac: VTEP1.mac, src: REMOTE.ip, dst: A.ip, srcPort: 80, dstPort: 1000 };

/** Send TCP segments: `>` from the pod, `<` from the remote one. */
function talk(bench: HostBench, ...segments: readonly (readonly ['>' | '<', number])[]): void {
  for (const [direction, flags] of segments)
    if (direction === '>') bench.send('a', tcpFrame({ ...OUT, flags }));
    else bench.receive(VTEP2.underlay, [vxlan(tcpFrame({ ...BACK, flags }), { vni: 1 })]);
}

t.test('a TCP flow goes from syn-sent to time-wait', async (t) => {
  const bench = createBench();
  const steps = [
    ['>', SYN, 'syn-sent', 120],
    ['<', SYN | ACK, 'syn-received', 60],
    ['>', ACK, 'established', 86_400],
    ['<', ACK, 'established', 86_400],
    ['>', FIN | ACK, 'closing', 3600],
    ['<', ACK, 'closing', 3600],
    ['<', FIN | ACK, 'time-wait', 120],
    ['>', ACK, 'time-wait', 120],
  ] as const;
  for (const [direction, flags, state, seconds] of steps) {
    talk(bench, [direction, flags]);
    t.match(flows(bench), [{ state, timeoutMs: seconds * 1000 }], `${direction} ${flags}`);
  }
  t.same(bench.drops(), {});
  const { doubles } = bench.host.dp.conntrack;
  t.same([doubles[packetsAt(1, 0)], doubles[packetsAt(1, 1)]], [4, 4], 'packets of both directions');
});

t.test('a reset closes a flow, and a SYN on the same ports begins a new one', async (t) => {
  const bench = createBench();
  talk(bench, ['>', SYN], ['<', SYN | ACK], ['>', ACK], ['<', RST]);
  t.match(flows(bench), [{ state: 'closed', timeoutMs: 10_000 }]);
  talk(bench, ['>', SYN]);
  t.match(flows(bench), [{ state: 'syn-sent', replied: false }]);
});

t.test('a connection is picked up in mid-stream, a lone reset begins nothing', async (t) => {
  const bench = createBench();
  talk(bench, ['>', RST]);
  t.same(flows(bench), []);
  t.equal(bench.take().length, 1, 'though it passes');
  talk(bench, ['<', ACK]);
  t.match(flows(bench), [{ state: 'established' }]);
});

t.test('a UDP flow lives 30 s unreplied and 120 s replied, then its row is taken away', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame(OUT));
  t.match(flows(bench), [{ state: 'unreplied', timeoutMs: 30_000, replied: false }]);
  bench.receive(VTEP2.underlay, [vxlan(udpFrame(BACK), { vni: 1 })]);
  t.match(flows(bench), [{ state: 'replied', timeoutMs: 120_000, replied: true }]);
  bench.now += 119_999;
  bench.batch(() => {});
  t.equal(flows(bench).length, 1);
  bench.now += 1;
  bench.batch(() => {});
  t.equal(flows(bench).length, 0);
});

t.test('a reply that nobody asked for is dropped; one that was asked for passes', async (t) => {
  const bench = createBench();
  const reply = vxlan(icmpEcho({ ...BACK, isReply: true, echoId: 4, echoSeq: 1 }), { vni: 1 });
  bench.receive(VTEP2.underlay, [reply]);
  t.same(bench.drops(), { 'icmp-unasked': 1 });
  bench.send('a', icmpEcho({ ...OUT, echoId: 4, echoSeq: 1 }));
  bench.take();
  bench.receive(VTEP2.underlay, [reply]);
  bench.only('a');
  bench.now += 30_000;
  bench.receive(VTEP2.underlay, [reply]);
  t.same(bench.drops(), { 'icmp-unasked': 1 }, 'and too late is too late');
});

t.test('an ICMP error passes when it quotes a known flow', async (t) => {
  const bench = createBench();
  const error = (quoted: Uint8Array): Uint8Array =>
    vxlan(
      icmpFrame({
        ...BACK,
        src: '10.244.2.254',
        icmpType: 3,
        icmpCode: 3,
        payload: quoted.slice(14, 14 + 28),
      }),
      { vni: 1 },
    );
  bench.receive(VTEP2.underlay, [error(udpFrame(OUT))]);
  t.same(bench.drops(), { 'icmp-unrelated': 1 });
  bench.send('a', udpFrame(OUT));
  bench.take();
  bench.receive(VTEP2.underlay, [error(udpFrame(OUT))]);
  bench.only('a');
  bench.receive(VTEP2.underlay, [error(udpFrame({ ...OUT, src: B.ip }))]);
  t.same(bench.drops(), { 'icmp-unrelated': 1 }, 'one that quotes somebody else’s packet does not');
});

t.test('bridged packets are tracked too', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame({ ...OUT, dstMac: B.mac, dst: B.ip }));
  bench.send(
    'b',
    udpFrame({ srcMac: B.mac, dstMac: A.mac, src: B.ip, dst: A.ip, srcPort: 80, dstPort: 1000 }),
  );
  t.match(flows(bench), [{ state: 'replied', replied: true }]);
});

t.test('a flow that remembers its route follows a route that changed', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame(OUT));
  t.equal(bench.only('vxlan').peer, VTEP2.underlay);
  bench.send('a', udpFrame(OUT));
  bench.only('vxlan');
  // node2 leaves, node3 takes its pods over.
  const [node1, , node3] = bench.view.nodes;
  bench.view = {
    ...bench.view,
    nodes: [node1!, { ...node3!, spec: { podCIDR: '10.244.2.0/24' } }],
  };
  bench.update();
  bench.send('a', udpFrame(OUT));
  t.equal(bench.only('vxlan').peer, '192.168.50.3');
  bench.view = { ...bench.view, nodes: [node1!] };
  bench.update();
  bench.send('a', udpFrame(OUT));
  t.match(bench.drops(), { 'no-such-node': 1 });
});

t.test('a full table gives up the flow that never saw a reply, and counts it', async (t) => {
  const bench = createBench({ capacities: { conntrack: 8 } });
  talk(bench, ['>', SYN], ['<', SYN | ACK], ['>', ACK]);
  for (let i = 0; i < 20; i++) {
    bench.now += 10;
    bench.send('a', udpFrame({ ...OUT, srcPort: 2000 + i }));
  }
  const all = flows(bench);
  t.equal(all.length, 7);
  t.equal(all.filter(({ state }) => state === 'established').length, 1, 'the connection is still there');
  t.equal(bench.host.dp.conntrack.evicted, 14);
  t.equal(bench.host.dp.conntrack.size, 7);
});

t.test('what was dropped on the way begins no flow', async (t) => {
  const bench = createBench();
  bench.send('a', udpFrame({ ...OUT, dst: '10.244.99.1' }));
  bench.send('a', udpFrame({ ...OUT, ttl: 1 }));
  t.same(flows(bench), []);
});
