import t from 'tap';
import type { EndpointSlice, Service } from '../../src/api/types.js';
import {
  A,
  B,
  C,
  createBench,
  GATEWAY,
  REMOTE,
  ROUTER,
  VTEP1,
  VTEP2,
  type HostBench,
  type Output,
} from '../lib/host-bench.js';
import {
  icmpFrame,
  parseFrame,
  parseVxlan,
  tcpFrame,
  udpFrame,
  vxlan,
  type ParsedFrame,
  type TcpFields,
} from '../lib/packets.js';
import { serviceObject, sliceObject } from '../lib/services.js';

const VIP = '10.96.0.9';
const SYN = 2;
const ACK = 16;
const RST = 4;
const FROM_A = { srcMac: A.mac, dstMac: ROUTER.mac, src: A.ip };
const FROM_HOST = { srcMac: GATEWAY.mac, dstMac: ROUTER.mac, src: GATEWAY.ip };
const OUTSIDE = '203.0.113.7';
const NODE = VTEP1.underlay;

function bench(services: Service[], endpointSlices: EndpointSlice[]): HostBench {
  const made = createBench();
  made.view = { ...made.view, services, endpointSlices };
  made.update();
  return made;
}

const web = (spec: Parameters<typeof serviceObject>[1] = {}): Service =>
  serviceObject('web', { clusterIP: VIP, ...spec });

/** The inner frame of what went to the tunnel, or the frame itself. */
const frameOf = (output: Output): ParsedFrame =>
  parseFrame(output.port === 'vxlan' ? parseVxlan(output.bytes).inner : output.bytes);

const right = { ipChecksumRight: true, l4ChecksumRight: true };

/** A SYN of a pod to a Service; who got it. */
function syn(
  on: HostBench,
  srcPort: number,
  dst = VIP,
  from: Partial<TcpFields> = FROM_A,
  port = 'a',
  dstPort = 80,
): ParsedFrame {
  on.send(port, tcpFrame({ src: '', ...from, dst, srcPort, dstPort, flags: SYN }));
  return frameOf(on.only());
}

t.test('a connection to a cluster IP goes to an endpoint and comes back from the cluster IP', async (t) => {
  const on = bench([web()], [sliceObject('web', [{ ip: B.ip, node: 'node1' }])]);
  on.send('a', tcpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 80, flags: SYN, seq: 7, ttl: 64 }));
  t.match(parseFrame(on.only('b').bytes), {
    src: A.ip,
    dst: B.ip,
    srcPort: 1000,
    dstPort: 8080,
    ttl: 63,
    dstMac: B.mac,
    ...right,
  });

  // The answer is bridged: pods of one segment know each other's addresses.
  on.send(
    'b',
    tcpFrame({
      srcMac: B.mac,
      dstMac: A.mac,
      src: B.ip,
      dst: A.ip,
      srcPort: 8080,
      dstPort: 1000,
      flags: SYN | ACK,
    }),
  );
  t.match(parseFrame(on.only('a').bytes), { src: VIP, dst: A.ip, srcPort: 80, dstPort: 1000, ...right });

  on.send(
    'a',
    tcpFrame({
      ...FROM_A,
      dst: VIP,
      srcPort: 1000,
      dstPort: 80,
      flags: ACK,
      payload: Uint8Array.of(1, 2, 3),
    }),
  );
  t.match(parseFrame(on.only('b').bytes), {
    dst: B.ip,
    dstPort: 8080,
    payload: Uint8Array.of(1, 2, 3),
    ...right,
  });
});

t.test('an unfinished checksum stays unfinished and right', async (t) => {
  const on = bench([web()], [sliceObject('web', [{ ip: B.ip, node: 'node1' }])]);
  on.send(
    'a',
    tcpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 80, flags: SYN, checksum: 'unfinished' }),
    {
      flags: 1,
      csumStart: 34,
      csumOffset: 16,
    },
  );
  const { bytes, header } = on.only('b');
  t.equal(header.flags, 1);
  const expected = tcpFrame({
    srcMac: ROUTER.mac,
    dstMac: B.mac,
    src: A.ip,
    dst: B.ip,
    srcPort: 1000,
    dstPort: 8080,
    flags: SYN,
    ttl: 63,
    checksum: 'unfinished',
  });
  t.same(parseFrame(bytes).checksum, parseFrame(expected).checksum);
});

t.test(
  'an endpoint on another host is reached through the tunnel, and its answer translated back',
  async (t) => {
    const on = bench([web()], [sliceObject('web', [{ ip: REMOTE.ip, node: 'node2' }])]);
    t.match(syn(on, 1000), { src: A.ip, dst: REMOTE.ip, dstPort: 8080, ...right });
    const answer = tcpFrame({
      srcMac: VTEP2.mac,
      dstMac: VTEP1.mac,
      src: REMOTE.ip,
      dst: A.ip,
      srcPort: 8080,
      dstPort: 1000,
      flags: SYN | ACK,
    });
    on.receive(VTEP2.underlay, [vxlan(answer, { vni: 1 })]);
    t.match(parseFrame(on.only('a').bytes), { src: VIP, srcPort: 80, dst: A.ip, dstPort: 1000, ...right });
  },
);

t.test('a pod that reaches itself through a Service sees the router', async (t) => {
  const on = bench([web()], [sliceObject('web', [{ ip: A.ip, node: 'node1' }])]);
  const got = syn(on, 1000);
  t.match(got, { src: ROUTER.ip, dst: A.ip, dstPort: 8080, dstMac: A.mac, ...right });
  on.send(
    'a',
    tcpFrame({
      srcMac: A.mac,
      dstMac: ROUTER.mac,
      src: A.ip,
      dst: ROUTER.ip,
      srcPort: 8080,
      dstPort: got.srcPort!,
      flags: SYN | ACK,
    }),
  );
  t.match(parseFrame(on.only('a').bytes), { src: VIP, dst: A.ip, srcPort: 80, dstPort: 1000, ...right });
});

t.test('UDP is translated both ways, and an absent checksum stays absent', async (t) => {
  const ports = [{ port: 53, protocol: 'UDP' as const }];
  const on = bench(
    [web({ ports })],
    [sliceObject('web', [{ ip: B.ip }], [{ name: '', port: 5353, protocol: 'UDP' }])],
  );
  on.send('a', udpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 53, payload: Uint8Array.of(9) }));
  t.match(parseFrame(on.only('b').bytes), { dst: B.ip, dstPort: 5353, ...right });
  on.send(
    'a',
    udpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 53, payload: Uint8Array.of(9), checksum: 0 }),
  );
  t.match(parseFrame(on.only('b').bytes), { dst: B.ip, checksum: 0 });
  on.send(
    'b',
    udpFrame({
      srcMac: B.mac,
      dstMac: A.mac,
      src: B.ip,
      dst: A.ip,
      srcPort: 5353,
      dstPort: 1000,
      payload: Uint8Array.of(8),
    }),
  );
  t.match(parseFrame(on.only('a').bytes), { src: VIP, srcPort: 53, ...right });
});

t.test('without endpoints TCP is reset and UDP answered by ICMP, at once', async (t) => {
  const on = bench(
    [
      web({
        ports: [
          { port: 80, protocol: 'TCP' },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      }),
    ],
    [],
  );
  t.match(syn(on, 1000), { src: VIP, dst: A.ip, srcPort: 80, dstPort: 1000, flags: RST | ACK, ...right });
  t.same(on.drops(), { 'no-endpoints': 1 });
  on.send('a', udpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 53 }));
  t.match(parseFrame(on.only('a').bytes), {
    icmpType: 3,
    icmpCode: 3,
    src: ROUTER.ip,
    quoted: { dst: VIP, dstPort: 53 },
  });
});

t.test('a port that the Service does not have is unreachable', async (t) => {
  const on = bench([web()], [sliceObject('web', [{ ip: B.ip }])]);
  on.send('a', tcpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 81, flags: SYN }));
  t.match(parseFrame(on.only('a').bytes), { icmpType: 3, icmpCode: 3 });
  t.same(on.drops(), { 'no-such-service': 1 });
});

t.test('schedulers: random and round robin reach all, source hash keeps a client', async (t) => {
  const endpoints = [B, C, REMOTE].map(({ ip }) => ({ ip }));
  for (const [scheduler, distinct] of [
    ['random', 3],
    ['rr', 3],
    ['sh', 1],
    ['userspace', 3],
  ] as const) {
    const annotations = { 'podwire.dev/scheduler': scheduler };
    const on = bench([web({ annotations })], [sliceObject('web', endpoints)]);
    const got = Array.from({ length: 60 }, (_, i) => syn(on, 2000 + i));
    t.equal(new Set(got.map(({ dst }) => dst)).size, distinct, scheduler);
    if (scheduler === 'rr') t.equal(got.filter(({ dst }) => dst === B.ip).length, 20);
    t.ok(got.every(({ src }) => src === (scheduler === 'userspace' ? ROUTER.ip : A.ip)));
  }
});

t.test(
  'a client with affinity keeps its endpoint until the timeout, or until the endpoint is not ready',
  async (t) => {
    const spec = {
      sessionAffinity: 'ClientIP' as const,
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
    };
    const on = bench([web(spec)], [sliceObject('web', [{ ip: B.ip }, { ip: C.ip }, { ip: REMOTE.ip }])]);
    const first = syn(on, 2000).dst;
    for (let i = 1; i < 20; i++) t.equal(syn(on, 2000 + i).dst, first);
    const others = [B.ip, C.ip, REMOTE.ip].filter((ip) => ip !== first);
    on.view = {
      ...on.view,
      endpointSlices: [sliceObject('web', [{ ip: first!, ready: false }, ...others.map((ip) => ({ ip }))])],
    };
    on.update();
    const second = syn(on, 3000).dst;
    t.not(second, first, 'not ready: another');
    t.equal(syn(on, 3001).dst, second);
    on.now += 61_000;
    const later = new Set(
      Array.from({ length: 12 }, (_, i) => {
        on.now += 61_000;
        return syn(on, 4000 + i).dst;
      }),
    );
    t.equal(later.size, 2, 'after the timeout the choice is free');
  },
);

t.test('an endpoint that drains keeps TCP and loses UDP; one that is gone resets', async (t) => {
  const ports = [
    { port: 80, protocol: 'TCP' as const },
    { name: 'u', port: 53, protocol: 'UDP' as const },
  ];
  const slice = (endpoints: Parameters<typeof sliceObject>[1]): EndpointSlice =>
    sliceObject('web', endpoints, [
      { name: '', port: 8080, protocol: 'TCP' },
      { name: 'u', port: 5353, protocol: 'UDP' },
    ]);
  const on = bench([web({ ports })], [slice([{ ip: B.ip }])]);
  const udp = udpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 53 });
  t.equal(syn(on, 1000).dst, B.ip);
  on.send('a', udp);
  t.equal(frameOf(on.only()).dst, B.ip);

  on.view = { ...on.view, endpointSlices: [slice([{ ip: B.ip, ready: false }, { ip: C.ip }])] };
  on.update();
  const data = tcpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 80, flags: ACK, seq: 9, ack: 77 });
  on.send('a', data);
  t.equal(frameOf(on.only()).dst, B.ip, 'the established connection goes on');
  on.send('a', udp);
  t.equal(frameOf(on.only()).dst, C.ip, 'the next datagram goes elsewhere');
  t.equal(syn(on, 1001).dst, C.ip, 'a new connection goes elsewhere');

  on.view = { ...on.view, endpointSlices: [slice([{ ip: C.ip }])] };
  on.update();
  on.send('a', data);
  t.equal(frameOf(on.only()).dst, B.ip, 'out of the slice, its pod still there: it drains');

  on.view = { ...on.view, pods: on.view.pods.filter((pod) => pod.metadata.name !== 'b') };
  on.update();
  on.send('a', data);
  t.match(parseFrame(on.only('a').bytes), {
    src: VIP,
    srcPort: 80,
    dstPort: 1000,
    flags: RST,
    seq: 77,
    ...right,
  });
  t.same(on.drops(), { 'endpoint-gone': 1 });
});

t.test(
  'a node port is served at the host’s address, with the router as source under policy Cluster',
  async (t) => {
    const ports = [{ port: 80, nodePort: 30080 }];
    const on = bench([web({ type: 'NodePort', ports })], [sliceObject('web', [{ ip: B.ip, node: 'node1' }])]);
    const got = syn(on, 1000, NODE, { ...FROM_HOST, src: OUTSIDE }, 'pw0', 30080);
    t.match(got, { src: ROUTER.ip, dst: B.ip, dstPort: 8080, ...right });
    on.send(
      'b',
      tcpFrame({
        srcMac: B.mac,
        dstMac: ROUTER.mac,
        src: B.ip,
        dst: ROUTER.ip,
        srcPort: 8080,
        dstPort: got.srcPort!,
        flags: SYN | ACK,
      }),
    );
    t.match(parseFrame(on.only('pw0').bytes), {
      src: NODE,
      dst: OUTSIDE,
      srcPort: 30080,
      dstPort: 1000,
      dstMac: GATEWAY.mac,
      ...right,
    });
  },
);

t.test('policy Local keeps the source and the endpoints of this host', async (t) => {
  const ports = [{ port: 80, nodePort: 30080 }];
  const service = web({ type: 'NodePort', ports, externalTrafficPolicy: 'Local' });
  const on = bench(
    [service],
    [
      sliceObject('web', [
        { ip: B.ip, node: 'node1' },
        { ip: REMOTE.ip, node: 'node2' },
      ]),
    ],
  );
  for (let i = 0; i < 10; i++)
    t.match(syn(on, 1000 + i, NODE, { ...FROM_HOST, src: OUTSIDE }, 'pw0', 30080), {
      src: OUTSIDE,
      dst: B.ip,
    });
  t.equal(
    new Set(Array.from({ length: 40 }, (_, i) => syn(on, 2000 + i, NODE, FROM_A, 'a', 30080).dst)).size,
    2,
    'from a pod: everywhere',
  );

  on.view = { ...on.view, endpointSlices: [sliceObject('web', [{ ip: REMOTE.ip, node: 'node2' }])] };
  on.update();
  on.send('pw0', tcpFrame({ ...FROM_HOST, src: OUTSIDE, dst: NODE, srcPort: 1, dstPort: 30080, flags: SYN }));
  t.same(on.take(), []);
  t.same(on.drops(), { 'no-local-endpoints': 1 });
});

t.test('a load balancer’s address takes only the sources it allows', async (t) => {
  const service = web({
    type: 'LoadBalancer',
    loadBalancer: '192.168.50.200',
    loadBalancerSourceRanges: ['203.0.113.0/24'],
  });
  const on = bench([service], [sliceObject('web', [{ ip: B.ip }])]);
  t.equal(syn(on, 1000, '192.168.50.200', { ...FROM_HOST, src: OUTSIDE }, 'pw0').dst, B.ip);
  on.send(
    'pw0',
    tcpFrame({
      ...FROM_HOST,
      src: '198.51.100.1',
      dst: '192.168.50.200',
      srcPort: 1,
      dstPort: 80,
      flags: SYN,
    }),
  );
  t.same(on.drops(), { 'source-not-allowed': 1 });
});

t.test('a pod speaks to the outside from the host’s address, and hears the answer', async (t) => {
  const on = bench([], []);
  on.send('a', udpFrame({ ...FROM_A, dst: '9.9.9.9', srcPort: 5000, dstPort: 53 }));
  const out = parseFrame(on.only('pw0').bytes);
  t.match(out, { src: NODE, dst: '9.9.9.9', dstPort: 53, ...right });
  t.ok(out.srcPort! >= 61000 && out.srcPort! <= 64999, `port ${out.srcPort}`);
  on.send('pw0', udpFrame({ ...FROM_HOST, src: '9.9.9.9', dst: NODE, srcPort: 53, dstPort: out.srcPort! }));
  t.match(parseFrame(on.only('a').bytes), {
    src: '9.9.9.9',
    dst: A.ip,
    srcPort: 53,
    dstPort: 5000,
    ...right,
  });
});

t.test('an ICMP error about a translated packet finds its sender and quotes what it sent', async (t) => {
  const ports = [{ port: 53, protocol: 'UDP' as const }];
  const on = bench(
    [web({ ports })],
    [sliceObject('web', [{ ip: B.ip }], [{ name: '', port: 5353, protocol: 'UDP' }])],
  );
  on.send('a', udpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 53, payload: Uint8Array.of(1) }));
  const seen = on.only('b').bytes.slice(14);
  on.send(
    'b',
    icmpFrame({
      srcMac: B.mac,
      dstMac: A.mac,
      src: B.ip,
      dst: A.ip,
      icmpType: 3,
      icmpCode: 3,
      payload: seen,
    }),
  );
  t.match(parseFrame(on.only('a').bytes), {
    src: VIP,
    dst: A.ip,
    icmpType: 3,
    icmpCode: 3,
    ...right,
    quoted: { src: A.ip, dst: VIP, srcPort: 1000, dstPort: 53, ipChecksumRight: true },
  });
});

t.test('two questions from one socket at once, A and AAAA, lose no answer', async (t) => {
  const ports = [{ port: 53, protocol: 'UDP' as const }];
  const on = bench(
    [web({ ports })],
    [sliceObject('web', [{ ip: B.ip }, { ip: C.ip }], [{ name: '', port: 5353, protocol: 'UDP' }])],
  );
  for (let i = 0; i < 200; i++) {
    const question = udpFrame({
      ...FROM_A,
      dst: VIP,
      srcPort: 1024 + i,
      dstPort: 53,
      payload: Uint8Array.of(i & 255),
    });
    on.batch(() => {
      on.send('a', question);
      on.send('a', question);
    });
    const got = on.take();
    const packets = got.flatMap((output) => (output.header.gsoSize > 0 ? [output, output] : [output]));
    t.equal(packets.length, 2);
    t.equal(new Set(packets.map((output) => frameOf(output).dst)).size, 1, 'both to one endpoint');
  }
});

t.test('a pod’s host port is served at the host’s addresses, and the pod sees who asked', async (t) => {
  const on = bench([], []);
  const [a, b, ...others] = on.view.pods;
  const ports = [{ containerPort: 8080, hostPort: 9090 }];
  const withPort = { ...b!, spec: { ...b!.spec, containers: [{ name: 'c', ports }] } };
  on.view = { ...on.view, pods: [a!, withPort, ...others] };
  on.update();
  t.match(syn(on, 1000, NODE, { ...FROM_HOST, src: OUTSIDE }, 'pw0', 9090), {
    src: OUTSIDE,
    dst: B.ip,
    dstPort: 8080,
    ...right,
  });
  t.match(syn(on, 1001, NODE, { ...FROM_HOST, src: NODE }, 'pw0', 9090), { src: ROUTER.ip, dst: B.ip });
  t.match(syn(on, 1002, NODE, FROM_A, 'a', 9090), { src: A.ip, dst: B.ip });
});

t.test('127.0.0.1:NODEPORT: the endpoint sees the router, the program 127.0.0.1', async (t) => {
  const ports = [{ port: 80, nodePort: 30080 }];
  const on = bench([web({ type: 'NodePort', ports })], [sliceObject('web', [{ ip: B.ip, node: 'node1' }])]);
  const self = { ...FROM_HOST, src: '127.0.0.1' };
  const seen = syn(on, 40000, '127.0.0.1', self, 'pw0', 30080);
  t.match(seen, { src: ROUTER.ip, dst: B.ip, dstPort: 8080, ...right });
  on.send(
    'b',
    tcpFrame({
      srcMac: B.mac,
      dstMac: ROUTER.mac,
      src: B.ip,
      dst: ROUTER.ip,
      srcPort: 8080,
      dstPort: seen.srcPort!,
      flags: SYN | ACK,
    }),
  );
  t.match(frameOf(on.only('pw0')), {
    src: '127.0.0.1',
    dst: '127.0.0.1',
    srcPort: 30080,
    dstPort: 40000,
    ...right,
  });
});

t.test('a port that is steered to us and no Service has is given back to the host, untouched', async (t) => {
  const on = bench([], []);
  for (const [src, dst] of [
    [OUTSIDE, NODE],
    [NODE, NODE],
    ['127.0.0.1', '127.0.0.1'],
  ] as const) {
    on.send('pw0', tcpFrame({ ...FROM_HOST, src, dst, srcPort: 1000, dstPort: 31000, flags: SYN }));
    t.match(frameOf(on.only('pw0')), {
      src,
      dst,
      srcPort: 1000,
      dstPort: 31000,
      dstMac: GATEWAY.mac,
      ...right,
    });
  }
  t.same(on.drops(), {});
});

t.test('loopback addresses stay on the host', async (t) => {
  const on = bench([], []);
  on.send('a', tcpFrame({ ...FROM_A, dst: '127.0.0.1', srcPort: 1, dstPort: 31000, flags: SYN }));
  t.same([on.take(), on.drops()], [[], { multicast: 1 }], 'a pod does not reach the host’s');
  on.send(
    'pw0',
    tcpFrame({ ...FROM_HOST, src: '127.0.0.1', dst: B.ip, srcPort: 1, dstPort: 80, flags: SYN }),
  );
  t.same([on.take(), on.drops()], [[], { martian: 1 }], 'and none of them goes out');
});

t.test('a load balancer’s own address is always among those that may come to it', async (t) => {
  const LB = '192.168.50.200';
  const balanced = web({
    type: 'LoadBalancer',
    loadBalancer: LB,
    loadBalancerSourceRanges: ['198.51.100.0/24'],
  });
  const on = bench([balanced], [sliceObject('web', [{ ip: B.ip }])]);
  t.match(syn(on, 1000, LB, { ...FROM_HOST, src: LB }, 'pw0'), { src: ROUTER.ip, dst: B.ip, ...right });
  on.send('pw0', tcpFrame({ ...FROM_HOST, src: OUTSIDE, dst: LB, srcPort: 1, dstPort: 80, flags: SYN }));
  t.same([on.take(), on.drops()], [[], { 'source-not-allowed': 1 }]);
});

t.test('what comes from the host and goes back to it answers by the router', async (t) => {
  const local = web({
    type: 'NodePort',
    externalTrafficPolicy: 'Local',
    ports: [{ port: 80, nodePort: 30080 }],
  });
  const on = bench([local], [sliceObject('web', [{ ip: NODE, node: 'node1' }])]);
  // From the host's own programs, and from outside under policy Local: the host would answer both without us.
  for (const [src, dst, dstPort] of [
    [GATEWAY.ip, VIP, 80],
    [OUTSIDE, NODE, 30080],
  ] as const) {
    const got = syn(on, 1000, dst, { ...FROM_HOST, src }, 'pw0', dstPort);
    t.match(got, { src: ROUTER.ip, dst: NODE, dstPort: 8080, ...right }, `from ${src}`);
    on.send(
      'pw0',
      tcpFrame({
        ...FROM_HOST,
        src: NODE,
        dst: ROUTER.ip,
        srcPort: 8080,
        dstPort: got.srcPort!,
        flags: SYN | ACK,
      }),
    );
    t.match(frameOf(on.only('pw0')), { src: dst, srcPort: dstPort, dst: src, dstPort: 1000, ...right });
  }
});

t.test('a Service of another proxy is none of ours', async (t) => {
  const other = web();
  other.metadata.labels = { 'service.kubernetes.io/service-proxy-name': 'another' };
  const on = bench([other], [sliceObject('web', [{ ip: B.ip }])]);
  on.send('a', tcpFrame({ ...FROM_A, dst: VIP, srcPort: 1000, dstPort: 80, flags: SYN }));
  t.match(on.drops(), { 'no-such-service': 1 });
});
