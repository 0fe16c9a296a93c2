import * as dnsPacket from 'dns-packet';
import t, { type Test } from 'tap';
import { createForwarder, type Forwarder, type ForwarderOptions } from '../../src/dns/forwarder.js';
import { Metrics } from '../../src/dns/metrics.js';
import { createUpstream } from '../../src/dns/upstream.js';
import {
  askOnce,
  askUdp,
  decode,
  objectsOf,
  query,
  recordsOf,
  recordText,
  serveNames,
  type TestServer,
} from '../lib/dns.js';
import { until } from '../lib/until.js';
import { serveUpstream, type Sayings } from '../lib/upstream.js';

const NAME = 'www.example.com';

/** An answer to a query: these records, in answer to its question. */
function reply(
  message: Buffer,
  answers: dnsPacket.Answer[],
  extra: dnsPacket.Packet & { rcode?: number } = {},
): Buffer {
  const { id, questions } = dnsPacket.decode(message);
  const { rcode = 0, ...rest } = extra;
  return dnsPacket.encode({ ...rest, type: 'response', id, flags: 0x0180 | rcode, questions, answers });
}

const address = (data: string, name = NAME, ttl = 60): dnsPacket.Answer => ({ type: 'A', name, ttl, data });

async function setUp(
  t: Test,
  sayings: Sayings[],
  options: Partial<ForwarderOptions> = {},
  objects = '',
): Promise<{
  server: TestServer;
  forwarder: Forwarder;
  ask(name?: string, type?: number): Promise<string[]>;
}> {
  const upstreams = [];
  for (const one of sayings)
    upstreams.push(createUpstream({ address: '127.0.0.1', port: (await serveUpstream(t, one)).port }));
  // Who answers at all is never found silent, however long this process is kept waiting.
  const forwarder = createForwarder({ upstreams, tryMs: 10_000, totalMs: 15_000, ...options });
  t.teardown(() => forwarder.close());
  const server = await serveNames(t, objectsOf(objects), { resolver: forwarder });
  return {
    server,
    forwarder,
    async ask(name = NAME, type = 1) {
      const packet = decode(await askOnce(server.port, query({ name, type })));
      return [packet.rcode, ...recordsOf(packet.answers).map(recordText)];
    },
  };
}

t.test('an answer is kept, its TTL runs down, and the case is the asker’s', async (t) => {
  let asked = 0;
  const { server, ask } = await setUp(t, [
    {
      udp(message, send) {
        asked++;
        send(reply(message, [address('192.0.2.1')]));
      },
    },
  ]);
  t.same(await ask(), ['NOERROR', 'www.example.com. A 192.0.2.1']);
  const again = await askOnce(server.port, query({ name: 'WWW.Example.COM' }));
  t.equal(asked, 1);
  t.equal(decode(again).questions![0]!.name, 'WWW.Example.COM');
  t.ok((decode(again).answers![0] as dnsPacket.StringAnswer).ttl! <= 30, 'no longer than half a minute');
  t.equal(again[3]! & 0x80, 0x80, 'RA');
});

t.test('a denial is kept as long as its SOA says', async (t) => {
  let asked = 0;
  const soa = (ttl: number, minimum: number): dnsPacket.Answer => ({
    type: 'SOA',
    name: 'example.com',
    ttl,
    data: {
      mname: 'ns.example.com',
      rname: 'x.example.com',
      serial: 1,
      refresh: 1,
      retry: 1,
      expire: 1,
      minimum,
    },
  });
  const { ask } = await setUp(t, [
    {
      udp(message, send) {
        asked++;
        const isKept = dnsPacket.decode(message).questions![0]!.name.toLowerCase().startsWith('kept');
        send(reply(message, [], { authorities: isKept ? [soa(60, 60)] : [soa(60, 0)], rcode: 3 }));
      },
    },
  ]);
  t.same(await ask('kept.example.com'), ['NXDOMAIN']);
  t.same(await ask('kept.example.com'), ['NXDOMAIN']);
  t.equal(asked, 1);
  await ask('gone.example.com');
  await ask('gone.example.com');
  t.equal(asked, 3, 'a minimum of 0 keeps nothing');
});

t.test('the next upstream is asked when one is silent, and the silent one no more', async (t) => {
  const seen = [0, 0];
  const metrics = new Metrics('dns://test');
  const { forwarder, ask } = await setUp(
    t,
    [
      { udp: () => void seen[0]!++ },
      {
        udp(message, send) {
          seen[1]!++;
          send(reply(message, [address('192.0.2.2')]));
        },
      },
    ],
    { tryMs: 1000, isUncached: true, metrics },
  );
  for (let i = 0; i < 6; i++) t.same(await ask(), ['NOERROR', 'www.example.com. A 192.0.2.2']);
  t.equal(seen[1], 6);
  // It may have been looked at once more, whether it is back: by the clock, not with each question.
  t.ok(seen[0]! < 6, `the silent one was asked ${seen[0]} times`);
  t.equal(forwarder.state()[1]!.isUp, true);
  t.match(metrics.text(), /coredns_forward_responses_total\{rcode="NOERROR",to="127\.0\.0\.1:\d+"\} 6/);
});

t.test(
  'when all are dead the answer comes at once, names of the cluster too, and life comes back',
  async (t) => {
    let isDead = true;
    const log: string[] = [];
    const { forwarder, ask } = await setUp(
      t,
      [{ udp: (message, send) => void (isDead || send(reply(message, [address('192.0.2.1')]))) }],
      { tryMs: 500, totalMs: 1000, log: (line) => log.push(line) },
    );
    t.same(await ask(), ['SERVFAIL']);
    t.equal(forwarder.state()[0]!.isUp, false);
    const start = performance.now();
    for (let i = 0; i < 20; i++) t.same(await ask(`x${i}.example.com`), ['SERVFAIL']);
    // Waiting, each would take half a second at least.
    t.ok(performance.now() - start < 5000, 'no waiting for what is known to be dead');
    t.same((await ask('cluster.local', 6))[0], 'NOERROR');
    isDead = false;
    await until('the upstream is up', () => forwarder.state()[0]!.isUp);
    t.same(await ask(), ['NOERROR', 'www.example.com. A 192.0.2.1']);
    t.match(log.join('\n'), /does not answer[\s\S]*answers again/);
  },
);

t.test('nobody listens: no time is lost', async (t) => {
  const upstreams = [createUpstream({ address: '127.0.0.1', port: 1 })];
  const gone = createForwarder({ upstreams, tryMs: 15_000, totalMs: 15_000 });
  t.teardown(() => gone.close());
  const server = await serveNames(t, [], { resolver: gone });
  const start = performance.now();
  t.equal(decode(await askOnce(server.port, query({ name: NAME }))).rcode, 'SERVFAIL');
  t.ok(performance.now() - start < 10_000);
});

t.test('one question at a time for the same name, whoever asks', async (t) => {
  let asked = 0;
  let go: (() => void) | undefined;
  const { server } = await setUp(t, [
    {
      udp(message, send) {
        asked++;
        go = () => send(reply(message, [address('192.0.2.1')]));
      },
    },
  ]);
  const all = Array.from({ length: 20 }, (_, id) => askUdp(server.port, query({ name: NAME, id })));
  await until('the upstream was asked', () => go);
  // A last one that is answered only when all before it have been read.
  await askOnce(server.port, query({ name: 'cluster.local', type: 6 }));
  go!();
  const answers = (await Promise.all(all)).flat();
  t.same(
    answers.map((m) => m.readUInt16BE(0)),
    Array.from({ length: 20 }, (_, id) => id),
  );
  t.equal(asked, 1);
});

t.test('an upstream that is ourselves gets one question and then none', async (t) => {
  let ownPort = 0;
  let asked = 0;
  const { server, ask } = await setUp(
    t,
    [
      {
        // The way back to us, as a resolver that has us for its upstream.
        udp(message, send) {
          asked++;
          void askUdp(ownPort, message).then(
            ([m]) => send(m!),
            () => undefined,
          );
        },
      },
    ],
    { tryMs: 200, totalMs: 500 },
  );
  ownPort = server.port;
  t.same(await ask(), ['SERVFAIL']);
  t.ok(asked <= 5, `asked ${asked} times`);
});

t.test('an upstream that cannot read EDNS is asked without', async (t) => {
  const sizes: number[] = [];
  const { ask } = await setUp(t, [
    {
      udp(message, send) {
        sizes.push(message.readUInt16BE(10));
        if (message.readUInt16BE(10) === 0) return send(reply(message, [address('192.0.2.1')]));
        const complaint = Buffer.alloc(12);
        complaint.writeUInt16BE(message.readUInt16BE(0), 0);
        complaint.writeUInt16BE(0x8001, 2);
        send(complaint);
      },
    },
  ]);
  t.same(await ask(), ['NOERROR', 'www.example.com. A 192.0.2.1']);
  t.same(sizes, [1, 0]);
});

t.test('an upstream that writes names its own way is asked over TCP, then in small letters', async (t) => {
  const names: string[] = [];
  const small = (message: Buffer): Buffer => {
    const packet = dnsPacket.decode(message);
    names.push(packet.questions![0]!.name);
    const questions = packet.questions!.map((one) => ({ ...one, name: one.name.toLowerCase() }));
    return dnsPacket.encode({
      type: 'response',
      id: packet.id,
      flags: 0x0180,
      questions,
      answers: [address('192.0.2.1')],
    });
  };
  const { ask } = await setUp(
    t,
    [{ udp: (message, send) => send(small(message)), tcp: (message, send) => send(small(message)) }],
    { isUncached: true },
  );
  const long = 'abcdefghijklmnopqrstuvwxyz.example.com';
  t.equal((await ask(long))[0], 'NOERROR');
  t.equal(names.length, 2, 'over UDP, then over TCP');
  t.not(names[0], long, 'the case is random');
  await ask(long);
  t.equal(names[2], long);
});

t.test('an alias of ours and what it leads to', async (t) => {
  const objects =
    '{apiVersion: v1, kind: Service, metadata: {name: out}, spec: {type: ExternalName, externalName: www.example.com}}';
  let isDead = false;
  const { ask } = await setUp(
    t,
    [{ udp: (message, send) => void (isDead || send(reply(message, [address('192.0.2.1')]))) }],
    { tryMs: 500, totalMs: 1000, isUncached: true },
    objects,
  );
  const alias = 'out.default.svc.cluster.local. CNAME www.example.com.';
  t.same(await ask('out.default.svc.cluster.local'), ['NOERROR', alias, 'www.example.com. A 192.0.2.1']);
  isDead = true;
  t.same(await ask('out.default.svc.cluster.local'), ['SERVFAIL', alias]);
});
