/**
 * The path of one packet in words: a step a stage, each with the row that decided.
 */
import { HOST_PORT_KEY, TUNNEL_PORT_KEY } from '../compile/compile.js';
import { REASONS, type ReasonName } from '../dataplane/verdict.js';
import { FRONTEND_LOCAL, SCHEDULERS } from '../tables/services.js';
import { PORT_HOST, PORT_TUNNEL } from '../tables/ports.js';
import { ROUTE_KINDS } from '../tables/routes.js';
import { formatIpv4 } from '../wire/address.js';
import * as ipv4 from '../wire/ipv4.js';
import { isStrangerKey, type Bench, type Entry, type Outcome } from './bench.js';
import type { Cluster } from './cluster.js';
import type { Packet } from './packet.js';
import type { Step, Verdict } from './query.js';

/** A made-up packet and what became of it. */
export interface Told {
  readonly packet: Packet;
  readonly outcome: Outcome;
  readonly verdict: Verdict;
}

const sentences = new Map<ReasonName, string>(REASONS);

/** Where the packet comes in. */
export const entryStep = (words: string, rule: string): Step => ({ stage: 'port in', text: words, rule });

export function pathOf(cluster: Cluster, bench: Bench, entry: Entry, words: string, told: Told): Step[] {
  const { packet, outcome } = told;
  const rule = entry.kind === 'pod' ? entry.key : entry.kind === 'host' ? HOST_PORT_KEY : TUNNEL_PORT_KEY;
  const steps: Step[] = [entryStep(words, rule)];
  if (outcome.isUnresolved) {
    steps.push({ stage: 'arp', text: `nobody answers for ${formatIpv4(packet.dst)}: nothing is sent` });
    return steps;
  }
  steps.push(...serviceSteps(cluster, bench, packet, outcome));
  if (outcome.route !== 0) steps.push(routeStep(bench, outcome));
  if (outcome.hasLeft && outcome.answer === undefined && outcome.src !== packet.src)
    steps.push(sourceStep(cluster, packet, outcome));
  if (outcome.reason !== undefined) steps.push(dropStep(outcome.reason, outcome.answer));
  if (outcome.hasLeft) steps.push(leaveStep(bench, outcome));
  return steps;
}

function serviceSteps(cluster: Cluster, bench: Bench, packet: Packet, outcome: Outcome): Step[] {
  const { dp } = bench;
  const row = outcome.service;
  if (row === 0) {
    if (packet.proto === ipv4.ICMP) return [];
    const proto = packet.proto === ipv4.TCP ? 'TCP' : packet.proto === ipv4.UDP ? 'UDP' : 'SCTP';
    return [
      { stage: 'service', text: `no Service has ${formatIpv4(packet.dst)}:${packet.dstPort}/${proto}` },
    ];
  }
  const { services } = dp;
  const rule = bench.keyOf('services', row);
  if (outcome.endpoint === 0) return [{ stage: 'service', text: 'matches', rule }];
  const isLocal = (services.flags[row]! & FRONTEND_LOCAL) !== 0;
  const policy = isLocal ? `, for traffic from outside the ${services.localCount[row]} on this host` : '';
  const affinity = services.affinityMs[row]! > 0 ? `, affinity ${services.affinityMs[row]! / 1000} s` : '';
  const endpoint = bench.keyOf('endpoints', outcome.endpoint);
  const ip = dp.endpoints.a3[outcome.endpoint]!;
  const stranger =
    cluster.ownerOf(ip).kind === 'stranger'
      ? ', taken for a pod of this host: no Pod object has the address'
      : '';
  return [
    {
      stage: 'service',
      text: `matches; one of ${services.count[row]}${policy}, by ${SCHEDULERS[services.scheduler[row]!]}${affinity}`,
      rule,
    },
    {
      stage: 'dnat',
      text: `${formatIpv4(packet.dst)}:${packet.dstPort} becomes ${formatIpv4(outcome.dst)}:${outcome.dstPort}${stranger}`,
      rule: endpoint,
    },
  ];
}

function routeStep(bench: Bench, outcome: Outcome): Step {
  const kind = ROUTE_KINDS[bench.dp.routes.kind[outcome.route]!]!;
  const to = formatIpv4(outcome.dst);
  const words: Record<(typeof ROUTE_KINDS)[number], string> = {
    none: `nothing is known of ${to}`,
    local: `${to} is a pod of this host`,
    vtep: `${to} is a pod of another host`,
    host: `${to} is reached through the host’s kernel`,
    unreachable: `${to} is in the pod network, but of no node`,
    refuse: `${to} is in the Service network, and no Service has the port`,
    self: `${to} is the router’s own address`,
  };
  return { stage: 'route', text: words[kind], rule: bench.keyOf('routes', outcome.route) };
}

function sourceStep(cluster: Cluster, packet: Packet, outcome: Outcome): Step {
  const isRouters = outcome.src === cluster.self.router;
  const why = isRouters
    ? 'so that the answer comes back by this router'
    : 'the host’s own address (masquerade)';
  const now = `${formatIpv4(outcome.src)}:${outcome.srcPort}`;
  return { stage: 'snat', text: `${formatIpv4(packet.src)}:${packet.srcPort} becomes ${now}, ${why}` };
}

function dropStep(reason: ReasonName, answer: Outcome['answer']): Step {
  const how =
    answer === undefined
      ? 'dropped'
      : answer === 'tcp-reset'
        ? 'refused by a TCP reset'
        : 'refused by an ICMP error';
  return {
    stage: answer === undefined ? 'drop' : 'reject',
    text: `${how}: ${sentences.get(reason)}`,
    rule: reason,
  };
}

function leaveStep(bench: Bench, outcome: Outcome): Step {
  const { dp } = bench;
  if (outcome.isFlooded) return { stage: 'port out', text: 'by all ports of the segment' };
  const rule = bench.keyOf('ports', outcome.outPort);
  const what = outcome.answer === undefined ? '' : 'the answer, ';
  switch (dp.ports.kind[outcome.outPort]) {
    case PORT_HOST:
      return { stage: 'port out', text: `${what}to the host’s kernel`, rule };
    case PORT_TUNNEL: {
      const node = bench.keyOf('vteps', outcome.vtep);
      const peer = formatIpv4(dp.vteps.a3[outcome.vtep]!);
      return { stage: 'port out', text: `${what}in VXLAN to node ${node} at ${peer}`, rule };
    }
    default:
      return {
        stage: 'port out',
        text: `${what}to ${isStrangerKey(rule) ? 'a pod that is no object' : rule}`,
        rule,
      };
  }
}
