/**
 * The DNS protocol's requirements, one case of rfc/dns.jsonl after the other, and the probes of ISC's genreport.
 *
 * The cases say in words what to send and what to expect; here stands the same in bytes, by the case's id. A case without
 * a check fails.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import * as dnsPacket from 'dns-packet';
import t, { type Test } from 'tap';
import { createForwarder } from '../../src/dns/forwarder.js';
import { createUpstream } from '../../src/dns/upstream.js';
import { HEADER_LEN, TYPE } from '../../src/wire/dns.js';
import {
  answerOrNothing,
  askOnce,
  askTcp,
  decode,
  framed,
  nameBytes,
  query,
  recordsOf,
  recordText,
  serveNames,
  type QueryParts,
  type TestServer,
} from '../lib/dns.js';
import { CONFORMANCE } from '../lib/root.js';
import { serveUpstream } from '../lib/upstream.js';
import { KUBERNETES, zoneObjects } from './dns/zone.js';

const skip = CONFORMANCE ? false : 'the cases are not beside the checkout';
const casesOf = <T>(file: string): T[] =>
  readFileSync(`${CONFORMANCE!}rfc/${file}`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

interface Flags {
  id: number;
  qr: number;
  opcode: number;
  aa: number;
  tc: number;
  rd: number;
  ra: number;
  z: number;
  ad: number;
  cd: number;
  rcode: number;
  counts: number[];
}

function header(m: Buffer): Flags {
  const w = m.readUInt16BE(2);
  const bit = (n: number): number => (w >> n) & 1;
  return {
    id: m.readUInt16BE(0),
    qr: bit(15),
    opcode: (w >> 11) & 15,
    aa: bit(10),
    tc: bit(9),
    rd: bit(8),
    ra: bit(7),
    z: bit(6),
    ad: bit(5),
    cd: bit(4),
    rcode: w & 15,
    counts: [4, 6, 8, 10].map((at) => m.readUInt16BE(at)),
  };
}

const optOf = (m: Buffer): dnsPacket.OptAnswer | undefined =>
  decode(m).additionals?.find((record): record is dnsPacket.OptAnswer => record.type === 'OPT');

const NOERROR = 0;
const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const NOTIMP = 4;
const REFUSED = 5;

/** What a check may use: the server, and a way to ask it. */
interface Bench {
  readonly server: TestServer;
  ask(parts: QueryParts): Promise<Buffer>;
}

type Check = (t: Test, bench: Bench) => Promise<void>;

const A = { name: KUBERNETES, type: TYPE.A };
const rawQuestion = (name: Uint8Array, type = 1): Buffer =>
  Buffer.concat([name, Buffer.from([0, type, 0, 1])]);

const deniedFor =
  (name: string, ...types: number[]): Check =>
  async (t, { ask }) => {
    for (const type of types) {
      const m = await ask({ name, type });
      t.equal(header(m).rcode, NXDOMAIN);
      t.equal(header(m).aa, 1);
      t.same(recordsOf(decode(m).answers), []);
      t.same(
        decode(m).authorities?.map(({ type: one }) => one),
        ['SOA'],
      );
    }
  };

const echoes =
  (question: Buffer, rcodes: number[]): Check =>
  async (t, { ask }) => {
    const m = await ask({ question });
    t.ok(rcodes.includes(header(m).rcode), `rcode ${header(m).rcode}`);
    t.same(
      m.subarray(HEADER_LEN, HEADER_LEN + question.length),
      question,
      'the question comes back as it was',
    );
  };

const isCut =
  (name: string, size: number | undefined, limit: number): Check =>
  async (t, { ask }) => {
    const m = await ask({ name, type: TYPE.A, ...(size !== undefined && { edns: { size } }) });
    t.ok(m.length <= limit, `${m.length} bytes`);
    t.equal(header(m).tc, 1);
    t.equal(optOf(m) !== undefined, size !== undefined, 'OPT for those who sent one');
    const { answers = [] } = decode(m);
    t.ok(answers.length > 0, 'what fits is there');
  };

const CHECKS: Readonly<Record<string, Check>> = {
  'dn-002': async (t, { ask }) => {
    t.equal(header(await ask({ ...A, flags: 0 })).rd, 0);
    t.equal(header(await ask({ ...A, flags: 0x0100 })).rd, 1);
  },
  'dn-003': async (t, { ask }) => {
    for (const opcode of [2, 5, 15]) {
      const { rcode, opcode: back } = header(await ask({ ...A, flags: opcode << 11 }));
      t.equal(rcode, NOTIMP);
      t.equal(back, opcode);
    }
  },
  'dn-005': async (t, { ask }) => {
    const { z, rcode } = header(await ask({ ...A, flags: 0x0140 }));
    t.same({ z, rcode }, { z: 0, rcode: NOERROR });
  },
  'dn-007': async (t, { ask }) => {
    const question = Buffer.concat([
      nameBytes('Kubernetes.DEFAULT.svc.cluster.local'),
      Buffer.from([0, 28, 0, 1]),
    ]);
    const m = await ask({ question });
    t.equal(header(m).counts[0], 1);
    t.same(m.subarray(HEADER_LEN, HEADER_LEN + question.length), question);
  },
  'dn-008': async (t, { ask }) => {
    const one = Buffer.concat([nameBytes(KUBERNETES), Buffer.from([0, 1, 0, 1])]);
    t.equal(header(await ask({ question: Buffer.concat([one, one]), counts: [2, 0, 0, 0] })).rcode, FORMERR);
  },
  'dn-009': async (t, { ask }) => {
    t.equal(header(await ask({ question: Buffer.alloc(0), counts: [0, 0, 0, 0] })).rcode, FORMERR);
  },
  'dn-010': async (t, { ask }) => {
    const record = Buffer.concat([nameBytes('x.'), Buffer.from('00010001000000050004' + '01020304', 'hex')]);
    t.equal(header(await ask({ ...A, counts: [1, 1, 0, 0], tail: record })).rcode, NOERROR);
  },
  'dn-011': deniedFor(`${'a'.repeat(63)}.cluster.local`, TYPE.A),
  'dn-014': async (t, { server }) => {
    for (const first of [0x40, 0x80]) {
      const bytes = query({ question: rawQuestion(Buffer.from([first, 0x61, 0])) });
      const m = await answerOrNothing(server.port, bytes);
      t.ok(!m || header(m).rcode === FORMERR);
    }
  },
  'dn-015': async (t, { ask }) => {
    const m = await ask({ name: '_a._tcp.pods-2.default.svc.cluster.local', type: TYPE.SRV });
    let at = HEADER_LEN + nameBytes('_a._tcp.pods-2.default.svc.cluster.local').length + 4;
    const total = header(m)
      .counts.slice(1)
      .reduce((a, b) => a + b);
    t.ok(total > 2);
    const name = (from: number): number => {
      let i = from;
      while (m[i] !== 0) {
        if (m[i]! >= 0xc0) {
          const to = m.readUInt16BE(i) & 0x3fff;
          t.ok(to < i && to >= HEADER_LEN, `pointer at ${i} to ${to}`);
          return i + 2;
        }
        i += m[i]! + 1;
      }
      return i + 1;
    };
    for (let i = 0; i < total; i++) {
      at = name(at);
      at += 10 + m.readUInt16BE(at + 8);
    }
    t.equal(at, m.length);
  },
  'dn-016': async (t, { ask }) => {
    const m = await ask({ name: '_https._tcp.kubernetes.default.svc.cluster.local', type: TYPE.SRV });
    t.ok(m.includes(nameBytes(KUBERNETES), HEADER_LEN + 60), 'the target stands there in full');
  },
  'dn-018': echoes(rawQuestion(nameBytes('kUbErNeTeS.dEfAuLt.SvC.cLuStEr.LoCaL')), [NOERROR]),
  'dn-019': async (t, { ask }) => {
    const { answers } = decode(await ask({ ...A, name: 'kUbErNeTeS.dEfAuLt.SvC.cLuStEr.LoCaL' }));
    t.equal(answers?.[0]?.name.toLowerCase(), KUBERNETES);
  },
  'dn-020': async (t, bench) => {
    for (const label of ['a\0b', 'a.b', 'a b', '\xff\xfe'])
      await echoes(
        rawQuestion(
          Buffer.concat([
            Buffer.from([label.length]),
            Buffer.from(label, 'latin1'),
            nameBytes('default.svc.cluster.local'),
          ]),
        ),
        [NXDOMAIN],
      )(t, bench);
  },
  'dn-021': async (t, { ask }) => {
    for (const type of [TYPE.NS, TYPE.A])
      t.ok([REFUSED, SERVFAIL].includes(header(await ask({ name: '.', type })).rcode));
  },
  'dn-022': deniedFor('nosuch.default.svc.cluster.local', TYPE.A),
  'dn-024': async (t, { ask }) => {
    for (const name of ['nosuch.default.svc.cluster.local', 'default.svc.cluster.local']) {
      const [soa] = decode(await ask({ name, type: TYPE.A })).authorities ?? [];
      t.ok(soa?.type === 'SOA' && soa.ttl! <= soa.data.minimum!);
    }
  },
  'dn-025': deniedFor('nosuch.default.svc.cluster.local', TYPE.AAAA, TYPE.A, TYPE.SRV),
  'dn-026': deniedFor('a.nosuch.default.svc.cluster.local', TYPE.A),
  'dn-027': async (t, { ask }) => {
    for (const name of ['svc.cluster.local', 'default.svc.cluster.local']) {
      const m = await ask({ name, type: TYPE.A });
      t.equal(header(m).rcode, NOERROR);
      t.same(header(m).counts, [1, 0, 1, 0]);
    }
  },
  'dn-030': async (t, { ask }) => {
    t.equal(header(await ask({ name: 'example.com', type: TYPE.A })).rcode, REFUSED);
  },
  'dn-031': async (t, { ask }) => {
    const m = await ask({ ...A, type: 65280 });
    t.equal(header(m).rcode, NOERROR);
    t.same(header(m).counts, [1, 0, 1, 0]);
  },
  'dn-032': async (t, { ask }) => {
    // MD, MF, IXFR, AXFR, MAILB, MAILA
    for (const type of [3, 4, 251, 252, 253, 254])
      t.ok(
        [NOERROR, NOTIMP, REFUSED].includes(header(await ask({ name: 'cluster.local', type })).rcode),
        `type ${type}`,
      );
  },
  'dn-034': async (t, { ask }) => {
    t.equal(header(await ask({ name: 'version.bind', type: TYPE.TXT, class: 3 })).rcode, REFUSED);
  },
  'dn-035': async (t, { ask }) => {
    for (const klass of [4, 65280]) {
      const m = await ask({ ...A, class: klass });
      t.equal(header(m).rcode, REFUSED);
      t.equal(header(m).counts[1], 0);
    }
  },
  'dn-036': async (t, { ask }) => {
    const { answers = [] } = decode(await ask({ name: 'pods-20.default.svc.cluster.local', type: TYPE.A }));
    t.equal(answers.length, 20);
    t.equal(new Set(answers.map((record) => (record as { ttl?: number }).ttl)).size, 1);
  },
  'dn-038': async (t, { ask }) => {
    for (const [name, type] of [
      ['pods-2.default.svc.cluster.local', TYPE.A],
      ['_b._tcp.pods-2.default.svc.cluster.local', TYPE.SRV],
    ] as const) {
      const records = recordsOf(decode(await ask({ name, type })).answers).map(recordText);
      t.equal(records.length, 2);
      t.equal(new Set(records).size, records.length);
    }
  },
  'dn-039': async (t, { ask }) => {
    const { answers = [] } = decode(
      await ask({ name: '_a._tcp.pods-2.default.svc.cluster.local', type: TYPE.SRV }),
    );
    for (const record of answers) {
      const target = record.type === 'SRV' ? record.data.target : '';
      const found = decode(await ask({ name: target, type: TYPE.A }));
      t.same(
        found.answers?.map(({ type, name }) => [type, name]),
        [['A', target]],
      );
    }
  },
  'dn-040': async (t, { ask }) => {
    for (const type of [TYPE.A, TYPE.AAAA])
      t.equal(decode(await ask({ name: 'ext.default.svc.cluster.local', type })).answers?.[0]?.type, 'CNAME');
  },
  'dn-042': async (t, { ask }) => {
    const m = await ask({ name: 'ping.default.svc.cluster.local', type: TYPE.A });
    t.ok([NOERROR, SERVFAIL].includes(header(m).rcode));
  },
  'dn-043': isCut('pods-100.default.svc.cluster.local', undefined, 512),
  'dn-045': async (t, { server }) => {
    const [m] = await askTcp(
      server.port,
      framed(query({ name: 'pods-100.default.svc.cluster.local', type: TYPE.A })),
    );
    t.equal(header(m!).tc, 0);
    t.equal(header(m!).counts[1], 100);
  },
  'dn-047': async (t, { server }) => {
    const messages = [1, 2, 3].map((id) => query({ ...A, id }));
    const back = await askTcp(server.port, framed(...messages), 3);
    t.same(back.map((m) => header(m).id).sort(), [1, 2, 3]);
  },
  'dn-049': async (t) => {
    const server = await serveNames(t, zoneObjects(), { limits: { idleMs: 1500 } });
    const socket = connect(server.port, '127.0.0.1');
    const start = performance.now();
    socket.write(framed(query({ ...A, id: 1 })));
    await once(socket, 'data');
    socket.write(framed(query({ ...A, id: 2 })));
    const [second] = (await once(socket, 'data')) as [Buffer];
    t.equal(second.readUInt16BE(2), 2, 'the connection was not closed at once');
    await once(socket, 'close');
    t.ok(performance.now() - start >= 1400, 'it was closed when nobody used it');
  },
  'dn-050': async (t, { server }) => {
    const [m] = await askTcp(server.port, framed(query(A)), 1, true);
    t.equal(header(m!).rcode, NOERROR);
  },
  'dn-051': async (t, { server, ask }) => {
    const zero = connect(server.port, '127.0.0.1');
    zero.on('error', () => undefined);
    zero.write(Buffer.from([0, 0]));
    await once(zero, 'close');
    const waiting = connect(server.port, '127.0.0.1');
    waiting.write(Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(20)]));
    await once(waiting, 'connect');
    t.equal(header(await ask(A)).rcode, NOERROR, 'others are answered');
    waiting.destroy();
  },
  'dn-052': async (t, { server }) => {
    const all = await Promise.all(
      Array.from({ length: 200 }, (_, id) => askTcp(server.port, framed(query({ ...A, id })))),
    );
    t.ok(all.every(([m], id) => header(m!).id === id && header(m!).rcode === NOERROR));
  },
  'dn-053': async (t, { server }) => {
    const socket = createSocket('udp4');
    const arrived = once(socket, 'message') as Promise<[Buffer, { address: string; port: number }]>;
    socket.send(query(A), server.port, '127.0.0.1');
    const [, from] = await arrived;
    socket.close();
    t.same([from.address, from.port], ['127.0.0.1', server.port]);
  },
  'dn-054': async (t, { ask }) => {
    const m = await ask({ ...A, edns: { size: 1232 } });
    const opts = decode(m).additionals?.filter(({ type }) => type === 'OPT') ?? [];
    t.equal(opts.length, 1);
    t.equal((opts[0] as dnsPacket.OptAnswer).ednsVersion, 0);
    t.equal(opts[0]!.name, '.');
  },
  'dn-058': async (t, { ask }) => {
    const m = await ask({ ...A, edns: { version: 1 } });
    t.equal((optOf(m)!.extendedRcode << 4) | header(m).rcode, 16);
    t.equal(optOf(m)!.ednsVersion, 0);
    t.equal(header(m).counts[1], 0);
  },
  'dn-059': async (t, { ask }) => {
    const m = await ask({ ...A, edns: { options: Buffer.from('fde9000401020304', 'hex') } });
    t.equal(header(m).counts[1], 1);
    t.same(optOf(m)!.options, []);
  },
  'dn-060': async (t, { ask }) => {
    const m = await ask({ ...A, edns: { flags: 0x0080 } });
    t.equal(header(m).counts[1], 1);
    t.equal(optOf(m)!.flags & 0x7fff, 0);
  },
  'dn-061': async (t, { ask }) => {
    t.equal(optOf(await ask({ ...A, edns: { flags: 0x8000 } }))!.flags, 0x8000);
  },
  'dn-062': async (t, { ask }) => {
    const m = await ask({ name: 'pods-20.default.svc.cluster.local', type: TYPE.A, edns: { size: 100 } });
    t.ok(m.length > 380 && m.length <= 512, `${m.length} bytes`);
    t.equal(header(m).tc, 0);
    t.equal(header(m).counts[1], 20);
  },
  'dn-063': isCut('pods-200.default.svc.cluster.local', 1232, 1232),
  'dn-064': isCut('pods-200.default.svc.cluster.local', 65535, 4096),
  'dn-065': isCut('pods-200.default.svc.cluster.local', 512, 512),
  'dn-068': async (t, { ask }) => {
    const m = await ask({ ...A, edns: { options: Buffer.from('00080004' + '00010000', 'hex') } });
    t.equal(header(m).counts[1], 1);
    t.same(optOf(m)!.options, [], 'not echoed');
  },
  'dn-069': async (t, { server }) => {
    const bytes = query({ name: 'pods-100.default.svc.cluster.local', type: TYPE.A, edns: { size: 512 } });
    const [m] = await askTcp(server.port, framed(bytes));
    t.equal(header(m!).counts[1], 100);
    t.equal(header(m!).tc, 0);
  },
  'dn-070': async (t, { server }) => {
    const whole = query(A);
    for (const length of [0, 1, 11, 12]) {
      const m = await answerOrNothing(server.port, whole.subarray(0, length));
      if (length < 12) t.equal(m, undefined, `${length} octets`);
      else t.same([header(m!).rcode, header(m!).id], [FORMERR, 0x1234]);
    }
  },
  'dn-071': async (t, { ask }) => {
    t.equal(header(await ask({ ...A, tail: Buffer.alloc(20) })).rcode, FORMERR);
  },
  'dn-072': async (t, { server }) => {
    const bytes = query({ ...A, edns: {} });
    bytes.writeUInt16BE(65535, bytes.length - 2);
    const m = await answerOrNothing(server.port, bytes);
    t.ok(!m || header(m).rcode === FORMERR);
  },
  'dn-075': async (t) => {
    const stranger = createSocket('udp4');
    const upstream = await serveUpstream(t, {
      udp(message, reply, from) {
        const wrongId = answerWith(message, '192.0.2.1');
        wrongId.writeUInt16BE(message.readUInt16BE(0) ^ 1, 0);
        const wrongQuestion = answerWith(message, '192.0.2.2');
        wrongQuestion[HEADER_LEN + 1]! ^= 1;
        reply(wrongId);
        reply(wrongQuestion);
        stranger.send(answerWith(message, '192.0.2.3'), from.port, from.address, () =>
          reply(answerWith(message, '192.0.2.4')),
        );
      },
    });
    t.teardown(() => stranger.close());
    t.same(await forwarded(t, upstream.port), {
      rcode: 'NOERROR',
      answers: ['www.example.com. A 192.0.2.4'],
    });
  },
  'dn-076': async (t) => {
    const upstream = await serveUpstream(t, {
      udp(message, reply) {
        const cut = Buffer.from(answerWith(message, '192.0.2.1').subarray(0, questionEnd(message)));
        cut.writeUInt16BE(cut.readUInt16BE(2) | 0x0200, 2);
        for (const at of [6, 8, 10]) cut.writeUInt16BE(0, at);
        reply(cut);
      },
      tcp: (message, reply) => reply(answerWith(message, '192.0.2.9')),
    });
    t.same(await forwarded(t, upstream.port), {
      rcode: 'NOERROR',
      answers: ['www.example.com. A 192.0.2.9'],
    });
  },
  'dn-077': async (t) => {
    const upstream = await serveUpstream(t, { udp: () => undefined });
    // A machine that has more to do may take longer for once.
    for (let tries = 3; tries > 0; tries--) {
      const start = performance.now();
      t.same(await forwarded(t, upstream.port), { rcode: 'SERVFAIL', answers: [] });
      if (performance.now() - start < 5000) return;
    }
    t.fail('none of three answers came within 5 s');
  },
  'dn-079': async (t, { ask }) => {
    const sets = new Set<string>();
    const firsts = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const texts = recordsOf(
        decode(await ask({ name: 'pods-20.default.svc.cluster.local', type: TYPE.A })).answers,
      ).map(recordText);
      firsts.add(texts[0]!);
      sets.add(texts.sort().join());
    }
    t.equal(sets.size, 1);
    t.equal(firsts.size, 20, 'each has its turn');
  },
  'dn-080': async (t, { ask }) => {
    const known = decode(await ask({ name: '1.0.96.10.in-addr.arpa', type: TYPE.PTR }));
    t.same(known.answers?.map(recordText), [`1.0.96.10.in-addr.arpa. PTR ${KUBERNETES}.`]);
    t.equal(header(await ask({ name: '77.0.96.10.in-addr.arpa', type: TYPE.PTR })).rcode, NXDOMAIN);
  },
};

const questionEnd = (message: Buffer): number => {
  let at = HEADER_LEN;
  while (message[at] !== 0) at += message[at]! + 1;
  return at + 5;
};

/** What an upstream says of whatever name. */
function answerWith(message: Buffer, address: string): Buffer {
  const end = questionEnd(message);
  const head = Buffer.from(message.subarray(0, end));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.writeUInt16BE(0, 10);
  const record = Buffer.from('c00c000100010000003c0004', 'hex');
  return Buffer.concat([head, record, Buffer.from(address.split('.').map(Number))]);
}

/** Ask a server of ours that has but this upstream. */
async function forwarded(t: Test, port: number): Promise<{ rcode: string; answers: string[] }> {
  const resolver = createForwarder({ upstreams: [createUpstream({ address: '127.0.0.1', port })] });
  t.teardown(() => resolver.close());
  const server = await serveNames(t, zoneObjects(), { resolver });
  const m = decode(await askOnce(server.port, query({ name: 'www.example.com', type: TYPE.A })));
  return { rcode: m.rcode, answers: recordsOf(m.answers).map(recordText) };
}

t.test('rfc/dns.jsonl', { skip }, async (t) => {
  const server = await serveNames(t, zoneObjects());
  const bench: Bench = { server, ask: (parts) => askOnce(server.port, query(parts)) };
  const cases = casesOf<{ id: string; requirement: string }>('dns.jsonl');
  for (const { id, requirement } of cases)
    await t.test(`${id} ${requirement}`, async (t) => {
      const check = CHECKS[id];
      if (check) await check(t, bench);
      else t.fail('there is no check for this case');
    });
});

interface Probe {
  id: string;
  query: {
    type: string | null;
    opcode: number;
    headerFlags: string[];
    edns?: {
      version: number;
      size: number;
      do?: boolean;
      flagsHex?: string;
      options?: { code: number; hex: string }[];
    };
  };
  expect: Record<string, unknown>;
}

const HEADER_BITS: Readonly<Record<string, number>> = { aa: 10, tc: 9, rd: 8, ra: 7, z: 6, ad: 5, cd: 4 };
/** Numbers of types that only these probes name. */
// prettier-ignore
const NUMBERS: Readonly<Record<string, number>> = {
  MD: 3, MF: 4, MB: 7, MG: 8, MR: 9, NULL: 10, WKS: 11, MINFO: 14, MX: 15, RP: 17, AFSDB: 18, X25: 19, ISDN: 20, RT: 21, NSAP: 22,
  'NSAP-PTR': 23, SIG: 24, KEY: 25, PX: 26, GPOS: 27, LOC: 29, NXT: 30, EID: 31, NIMLOC: 32, ATMA: 34, NAPTR: 35, KX: 36, CERT: 37,
  A6: 38, DNAME: 39, SINK: 40, APL: 42, DS: 43, SSHFP: 44, IPSECKEY: 45, RRSIG: 46, NSEC: 47, DNSKEY: 48, DHCID: 49, NSEC3: 50,
  NSEC3PARAM: 51, TLSA: 52, SMIMEA: 53, HIP: 55, OPENPGPKEY: 61, SPF: 99, NID: 104, L32: 105, L64: 106, LP: 107, EUI48: 108,
  EUI64: 109, URI: 256, CAA: 257, AVC: 258, DOA: 259, AMTRELAY: 260, TA: 32768, DLV: 32769,
};
const numberOf = (type: string): number =>
  NUMBERS[type] ?? TYPE[type as keyof typeof TYPE] ?? Number(/^TYPE(\d+)$/.exec(type)?.[1]);

t.test('rfc/dns-wire-genreport.jsonl', { skip }, async (t) => {
  const server = await serveNames(t, zoneObjects());
  for (const { id, query: asked, expect } of casesOf<Probe>('dns-wire-genreport.jsonl'))
    await t.test(id, async (t) => {
      const { type, opcode, headerFlags, edns } = asked;
      const options = edns?.options?.map(({ code, hex }) => {
        const head = Buffer.alloc(4);
        head.writeUInt16BE(code, 0);
        head.writeUInt16BE(hex.length / 2, 2);
        return Buffer.concat([head, Buffer.from(hex, 'hex')]);
      });
      const number = type === null ? undefined : numberOf(type);
      t.not(number, NaN, `${type} has a number`);
      const bytes = query({
        name: 'cluster.local',
        type: number,
        flags: headerFlags.reduce((word, flag) => word | (1 << HEADER_BITS[flag]!), opcode << 11),
        ...(number === undefined && { question: Buffer.alloc(0), counts: [0, 0, 0, 0] as const }),
        ...(edns && {
          edns: {
            version: edns.version,
            size: edns.size,
            flags: (edns.do ? 0x8000 : 0) | parseInt(edns.flagsHex ?? '0', 16),
            options: options && Buffer.concat(options),
          },
        }),
      });
      const m = await askOnce(server.port, bytes);
      const packet = decode(m);
      const head = header(m);
      const opt = optOf(m);
      const rcode = ((opt?.extendedRcode ?? 0) << 4) | head.rcode;
      const got: Record<string, unknown> = {
        ...head,
        rcode: rcode === 16 ? 'BADVERS' : packet.rcode,
        opt: opt !== undefined,
        answerHasSOA: packet.answers?.some((record) => record.type === 'SOA'),
        question: head.counts[0],
        answer: head.counts[1],
        authority: head.counts[2],
        additional: head.counts[3],
        optVersion: opt?.ednsVersion,
        optFlagsOtherThanDO: (opt?.flags ?? 0) & 0x7fff,
        option100Echoed: opt?.options.some(({ code }) => (code as unknown) === 100) ?? false,
        trailingBytes: m.length - dnsPacket.decode.bytes,
      };
      for (const [key, wanted] of Object.entries(expect))
        if (key === 'maxLength') t.ok(m.length <= (wanted as number), key);
        else if (key === 'cookie') t.same(opt?.options, [], 'no cookie');
        else t.same(got[key], wanted, key);
    });
});
