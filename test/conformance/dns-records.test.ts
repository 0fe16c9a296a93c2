/**
 * The Kubernetes DNS specification's cases and CoreDNS' own, over UDP and over TCP.
 *
 * What is skipped is listed with its reason and counted; what is left must pass.
 */
import { readFileSync } from 'node:fs';
import * as dnsPacket from 'dns-packet';
import t, { type Test } from 'tap';
import type { ApiObject, Node, PodNames } from '../../src/api/types.js';
import type { Resolver } from '../../src/dns/resolver.js';
import { TYPE } from '../../src/wire/dns.js';
import {
  decode,
  askOnce,
  askTcp,
  framed,
  objectsIn,
  query,
  recordsOf,
  recordText,
  serveNames,
  type TestServer,
} from '../lib/dns.js';
import { CONFORMANCE } from '../lib/root.js';

interface Expected {
  name: string;
  type: string;
  data?: string;
  target?: string;
  port?: number;
}

interface Case {
  id: string;
  class?: string;
  fixture: string;
  desc?: string;
  q: { name: string; type: keyof typeof TYPE };
  serverConfig?: {
    zone?: string;
    ttl?: number;
    pods?: PodNames;
    reverseZones?: string[];
    endpointPodNames?: boolean;
    state?: string;
  };
  upstreamStub?: { answer: Expected[]; tc: boolean };
  expect: {
    rcode: string;
    answer?: Expected[];
    answerSubset?: boolean;
    answerCount?: number;
    answerTargetRegex?: string;
    authoritySOA?: boolean;
    tc?: boolean;
    followTargets?: Record<string, number>;
  };
}

/** Cases that contradict the specification, with its sentence. */
const CONTRADICTIONS: Readonly<Record<string, string>> = {
  'cd-emptysvc-001':
    '§2.3.1: a Service with a ClusterIP has an A record, with no word of endpoints; leaving it out is an option of CoreDNS',
};

function whySkipped({ id, class: kind = 'k8s-dns' }: Case): string | undefined {
  if (kind.startsWith('optional-')) return `${kind.slice(9)}: not offered`;
  return CONTRADICTIONS[id];
}

/** Types that only a few cases name. */
const typeOf = (type: string): number =>
  ({ ...TYPE, MX: 15 })[type as keyof typeof TYPE] ?? Number(type.slice(4));

const expectedText = ({ name, type, data, target, port }: Expected): string => {
  if (type === 'SOA') return `${name.toLowerCase()} SOA`;
  const rest = type === 'SRV' ? `${port} ${target?.toLowerCase()}` : data;
  return `${name.toLowerCase()} ${type} ${rest}`;
};

/** A host for the pods of fixtures that have none. */
const NODE: Node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'test-node' },
  spec: { podCIDR: '10.244.1.0/24' },
  status: { addresses: [{ type: 'InternalIP', address: '192.168.0.2' }] },
};

const withNode = (objects: readonly ApiObject[]): ApiObject[] => [NODE, ...objects];

/** An upstream that says what the case has it say. */
function stubOf({ upstreamStub }: Case): Resolver | undefined {
  if (!upstreamStub) return undefined;
  return {
    resolve({ bytes }) {
      const { questions } = dnsPacket.decode(
        Buffer.concat([Buffer.from('000000000001000000000000', 'hex'), bytes]),
      );
      const message = dnsPacket.encode({
        type: 'response',
        flags: upstreamStub.tc ? dnsPacket.TRUNCATED_RESPONSE : 0,
        questions,
        answers: upstreamStub.answer.map(
          ({ name, type, data }) => ({ name, type, data, ttl: 5 }) as dnsPacket.Answer,
        ),
      });
      return Promise.resolve({ message, by: 'forward' });
    },
  };
}

async function check(t: Test, one: Case, server: TestServer): Promise<void> {
  const { q, expect } = one;
  const bytes = query({ name: q.name, type: typeOf(q.type) });
  for (const [transport, raw] of [
    ['udp', await askOnce(server.port, bytes)],
    ['tcp', (await askTcp(server.port, framed(bytes)))[0]!],
  ] as const) {
    const packet = decode(raw);
    const label = `${one.id} ${transport} ${q.name} ${q.type}`;
    const answers = recordsOf(packet.answers);
    const got = [...new Set(answers.map(recordText))].sort();
    const wanted = (expect.answer ?? []).map(expectedText).sort();
    if (expect.rcode !== '*') t.equal(packet.rcode, expect.rcode, `${label}: rcode`);
    if (expect.answerSubset)
      t.same(
        wanted.filter((text) => !got.includes(text)),
        [],
        `${label}: answers`,
      );
    else if (expect.answer) t.same(got, wanted, `${label}: answers`);
    if (expect.answerCount !== undefined) t.equal(answers.length, expect.answerCount, `${label}: count`);
    if (expect.answerTargetRegex)
      t.ok(
        answers.every(
          (record) =>
            record.type === 'SRV' && new RegExp(expect.answerTargetRegex!).test(`${record.data.target}.`),
        ),
        `${label}: targets`,
      );
    if (expect.tc) t.ok(packet.flag_tc, `${label}: TC`);
    const isDenial = expect.rcode !== '*' && packet.rcode !== 'SERVFAIL' && answers.length === 0;
    if (isDenial) {
      const soa = recordsOf(packet.authorities);
      t.equal(soa.length, 1, `${label}: one SOA`);
      t.ok(
        soa[0]?.type === 'SOA' && `.${q.name.toLowerCase()}`.endsWith(`.${soa[0].name.toLowerCase()}.`),
        `${label}: of a zone above`,
      );
    }
    for (const [address, times] of Object.entries(expect.followTargets ?? {})) {
      let found = 0;
      for (const record of answers) {
        if (record.type !== 'SRV') continue;
        const target = await askOnce(server.port, query({ name: record.data.target, type: TYPE.A }));
        found += recordsOf(dnsPacket.decode(target).answers).filter(
          (a) => a.type === 'A' && a.data === address,
        ).length;
      }
      t.equal(found, times, `${label}: ${address} is found by the targets`);
    }
  }
}

const sets: [folder: string, file: string][] = [
  ['dns-spec/', 'dns-spec.jsonl'],
  ['coredns/', 'coredns-kubernetes.jsonl'],
];

for (const [folder, file] of sets)
  t.test(file, { skip: CONFORMANCE ? false : 'the cases are not beside the checkout' }, async (t) => {
    const cases = readFileSync(CONFORMANCE! + folder + file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Case);
    const servers = new Map<string, TestServer>();
    const skipped = new Map<string, string[]>();
    for (const one of cases) {
      const why = whySkipped(one);
      if (why !== undefined) {
        skipped.set(why, [...(skipped.get(why) ?? []), one.id]);
        continue;
      }
      const { serverConfig = {}, fixture, upstreamStub } = one;
      const key = JSON.stringify([fixture, serverConfig, upstreamStub]);
      let server = servers.get(key);
      if (!server) {
        server = await serveNames(t, withNode(objectsIn(CONFORMANCE! + folder + fixture)), {
          dns: {
            zone: serverConfig.zone?.replace(/\.$/, ''),
            ttl: serverConfig.ttl,
            pods: serverConfig.pods,
          },
          reverse: serverConfig.reverseZones,
          endpointNames: serverConfig.endpointPodNames ? 'pod' : 'address',
          isUnsynced: serverConfig.state === 'api-not-synced',
          resolver: stubOf(one),
        });
        servers.set(key, server);
      }
      await check(t, one, server);
    }
    for (const [why, ids] of skipped) t.comment(`skipped ${ids.length}: ${why} (${ids.join(' ')})`);
  });
