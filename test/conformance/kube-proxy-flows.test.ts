/**
 * The flows of kube-proxy's own tests, asked of `explain`: fixtures are applied, the step is done, one packet is explained.
 *
 * What is skipped is listed with its reason and counted; what is left must pass.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { ApiObject, Node } from '../../src/api/types.js';
import { parseManifest } from '../../src/client/manifest.js';
import { explain } from '../../src/explain/explain.js';
import type { Verdict } from '../../src/explain/query.js';
import { viewOf } from '../../src/explain/view.js';
import { CONFORMANCE } from '../lib/root.js';

interface Flow {
  id: string;
  class: 'core' | 'optional-config';
  fixture: string;
  desc: string;
  step: string;
  source: { test: string };
  node: { name: string; ips: string[] };
  podCIDR: string[];
  config?: {
    masqueradeAll?: boolean;
    localDetector?: boolean;
    localhostNodePorts?: boolean;
    nodePortAddresses?: string[] | null;
  };
  flow: { from: string; fromKind: string; proto: string; to: string; port: number };
  expect: { action: string; backends?: string[]; sourceRewritten?: boolean };
}

const VERDICTS: Record<string, Verdict> = {
  FORWARD: 'forward',
  REJECT: 'reject',
  DROP: 'drop',
  'NO-SERVICE-MATCH': 'no-service',
  ACCEPT: 'local',
};

/** Connections a case: the chance that one of three endpoints is chosen by none is 1 in 10^11. */
const TRIES = 64;

/** Why a case cannot be met, or undefined. */
function whySkipped({ class: kind, config, flow }: Flow): string | undefined {
  if (flow.to.includes(':')) return 'IPv6 packets are not routed yet';
  if (flow.proto === 'SCTP') return 'SCTP is dropped by name';
  if (kind === 'core') return undefined;
  if (config?.masqueradeAll) return 'needs --masquerade-all: not offered';
  if (config?.localDetector === false)
    return 'needs a proxy that cannot tell pods from others: the pod CIDR is always known here';
  if (config?.nodePortAddresses) return 'needs --nodeport-addresses: not offered';
  if (config?.localhostNodePorts === false) return 'needs --iptables-localhost-nodeports=false: not offered';
  return undefined;
}

const objectsOf = (path: string): ApiObject[] =>
  parseManifest(readFileSync(CONFORMANCE! + 'service/' + path, 'utf8'), path).map(({ object }) => object);

/** The lab and the node that the cases assume. */
function surroundings({ node, podCIDR }: Flow): ApiObject[] {
  const cidr = podCIDR.find((text) => !text.includes(':'))!;
  const ours: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node.name },
    spec: { podCIDR: cidr },
    status: { addresses: node.ips.map((address) => ({ type: 'InternalIP', address })) },
  };
  return [
    {
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: 'cases' },
      spec: { podCIDR: cidr, serviceCIDR: '172.30.0.0/16' },
    } as ApiObject,
    ours,
  ];
}

/** The objects after a step such as `delete Service ns/name`. */
function afterStep(objects: ApiObject[], step: string): ApiObject[] {
  if (step === 'apply') return objects;
  const [, kind, namespace, name] = /^delete (\w+) ([^/]+)\/(\S+)$/.exec(step) ?? [];
  const left = objects.filter(
    (object) =>
      object.kind !== kind || object.metadata.namespace !== namespace || object.metadata.name !== name,
  );
  if (left.length === objects.length) throw new Error(`Cannot do the step "${step}"`);
  return left;
}

function run(one: Flow): object {
  const view = viewOf(afterStep([...surroundings(one), ...objectsOf(one.fixture)], one.step));
  const { flow, expect } = one;
  const answer = explain(view, {
    node: one.node.name,
    from: flow.from,
    to: flow.to,
    port: flow.port,
    protocol: flow.proto,
    tries: TRIES,
  });
  const hasBackends = expect.action === 'FORWARD';
  return {
    action: answer.verdict,
    ...(hasBackends && {
      backends: answer.backends.map(({ ip, port }) => `${ip}:${port}`).sort(),
      sourceRewritten: answer.sourceRewritten,
    }),
  };
}

t.test('the flows of kube-proxy', { skip: CONFORMANCE ? false : 'no conformance cases here' }, async (t) => {
  const lines = readFileSync(CONFORMANCE! + 'service/kube-proxy-flows.jsonl', 'utf8')
    .trim()
    .split('\n');
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const one of lines.map((line) => JSON.parse(line) as Flow)) {
    const name = `${one.id} ${one.source.test}: ${one.desc} (${one.class})`;
    const why = whySkipped(one);
    if (why !== undefined) {
      count.skipped++;
      t.pass(name, { skip: why });
      continue;
    }
    const { action, backends, sourceRewritten } = one.expect;
    const expected = {
      action: VERDICTS[action],
      ...(action === 'FORWARD' && { backends: [...(backends ?? [])].sort(), sourceRewritten }),
    };
    count[t.same(run(one), expected, name) ? 'passed' : 'failed']++;
  }
  t.comment(
    `conformance kube-proxy-flows: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`,
  );
});
