/**
 * Explain: what would happen to a packet, and by which rule. The real compile and the real pipeline on made-up connections.
 *
 *     query ─► whose address is it? ─► the port it comes in by ─► bench ─► outcomes ─► verdict, backends, path
 *
 * Each query has a bench of its own: no flow, affinity or turn of one is seen by the next. The same query on the same objects gives
 * the same answer.
 */
import type { ClusterView } from '../api/types.js';
import { podPortKey } from '../compile/compile.js';
import { keyOf } from '../api/types.js';
import { REASONS, type ReasonName } from '../dataplane/verdict.js';
import { PORT_HOST } from '../tables/ports.js';
import { ROUTE_SELF } from '../tables/routes.js';
import { formatIpv4, parseAddress, parseIpv4 } from '../wire/address.js';
import * as ipv4 from '../wire/ipv4.js';
import { createBench, strangerKey, type Bench, type Entry, type Outcome } from './bench.js';
import { Cluster } from './cluster.js';
import { entryStep, pathOf, type Told } from './path.js';
import { PROTOCOLS, type Answer, type Backend, type Query, type Verdict } from './query.js';

/** Where source ports of made-up connections begin: those of a Linux client. */
const FIRST_PORT = 32_768;
const PORTS = 65_536;

/** The first sentence of the answer, its words, and whatever could not be compiled. */
export interface Explanation extends Answer {
  readonly problems: readonly string[];
}

/**
 * Answer a query that passed `checkQuery`.
 *
 * @throws RangeError when it names no node of the view, or no address
 */
export function explain(view: ClusterView, query: Query): Explanation {
  const name = query.node ?? (view.nodes.length === 1 ? view.nodes[0]!.metadata.name : undefined);
  if (name === undefined) throw new RangeError('Which node? Name it, the objects have none or several');
  const from = addressOf('from', query.from);
  const to = addressOf('to', query.to);
  if (from === undefined || to === undefined) return { ...refuseIpv6(), problems: [] };
  const cluster = new Cluster(view, name);
  const proto = PROTOCOLS[(query.protocol ?? 'TCP').toUpperCase()]!;
  const dstPort = proto === ipv4.ICMP ? 0 : (query.port ?? 0);
  const { entry, words } = entryOf(cluster, query, from);

  if (entry.kind === 'host') {
    const kept = keptByHost(cluster, words, to, dstPort, proto);
    if (kept) return { ...kept, problems: [] };
  }
  const strangers = cluster.strangers();
  if (entry.kind === 'pod' && entry.key === strangerKey(from)) strangers.add(from);
  const bench = createBench(cluster, strangers);
  const first = query.fromPort ?? FIRST_PORT;
  const told: Told[] = Array.from({ length: query.tries ?? 1 }, (_, i) => {
    const srcPort = 1 + ((first - 1 + i) % (PORTS - 1));
    const packet = { proto, src: from, dst: to, srcPort, dstPort };
    const outcome = bench.send(entry, packet);
    return { packet, outcome, verdict: verdictOf(cluster, bench, to, dstPort, outcome) };
  });
  const chief = told.find(({ verdict }) => verdict === 'forward') ?? told[0]!;
  const others = told.filter(({ verdict }) => verdict !== chief.verdict);
  const more =
    others.length === 0
      ? ''
      : ` (of ${told.length} connections ${others.length} ended otherwise: ${others[0]!.verdict}, ${reasonOf(cluster, bench, others[0]!)})`;
  return {
    verdict: chief.verdict,
    backends: backendsOf(bench, told),
    sourceRewritten: told.some(
      ({ outcome, packet, verdict }) =>
        (verdict === 'forward' || verdict === 'local') && outcome.src !== packet.src,
    ),
    reason: reasonOf(cluster, bench, chief) + more,
    path: pathOf(cluster, bench, entry, words, told[0]!),
    problems: bench.problems,
  };
}

/** @returns undefined for an IPv6 address */
function addressOf(field: string, text: string): number | undefined {
  const word = parseIpv4(text);
  if (word === undefined && !parseAddress(text))
    throw new RangeError(`Cannot read "${field}" "${text}": need an IP address`);
  return word;
}

function refuseIpv6(): Answer {
  const [reason, sentence] = REASONS.find(([name]) => name === 'ipv6-not-routed')!;
  const path = [{ stage: 'parse', text: `dropped: ${sentence}`, rule: reason }];
  return { verdict: 'drop', backends: [], sourceRewritten: false, reason: sentence, path };
}

/** By which port a packet of this source comes in, and who that is in words. */
function entryOf(cluster: Cluster, query: Query, from: number): { entry: Entry; words: string } {
  const text = formatIpv4(from);
  if (query.inInterface === 'underlay')
    return { entry: { kind: 'host' }, words: `${text}, by the host's NIC on the underlay` };
  const owner = cluster.ownerOf(from);
  switch (owner.kind) {
    case 'host':
      return { entry: { kind: 'host' }, words: `${text}, a program of the host ${cluster.name} itself` };
    case 'pod': {
      const key = keyOf(owner.pod);
      return { entry: { kind: 'pod', key: podPortKey(key), ip: from }, words: `pod ${key} (${text})` };
    }
    case 'stranger':
      return {
        entry: { kind: 'pod', key: strangerKey(from), ip: from },
        words: `${text}, taken for a pod of this host: no Pod object has the address`,
      };
    case 'remote':
      return {
        entry: { kind: 'tunnel', node: owner.node },
        words:
          `${owner.pod ? `pod ${keyOf(owner.pod)} (${text})` : text} of node ${owner.node}, by the overlay; ` +
          `what its own host does first: --node ${owner.node}`,
      };
    case 'outside':
      return { entry: { kind: 'host' }, words: `${text}, from outside` };
  }
}

/** What never comes to podwire: the host's kernel answers it or sends it elsewhere. */
function keptByHost(
  cluster: Cluster,
  words: string,
  to: number,
  port: number,
  proto: number,
): Answer | undefined {
  const isSteerable = proto === ipv4.TCP || proto === ipv4.UDP;
  const where = cluster.steers(to, isSteerable ? port : 0);
  if (where === 'podwire') return undefined;
  const target = proto === ipv4.ICMP ? formatIpv4(to) : `${formatIpv4(to)}:${port}`;
  const reason =
    where === 'host'
      ? `${target} is the host's own: its kernel delivers it, podwire does not see it.`
      : `${target} is neither a pod's nor a Service's: the host's kernel routes it, podwire does not see it.`;
  const path = [entryStep(words, 'kernel'), { stage: 'host', text: reason }];
  const verdict = where === 'host' ? 'local' : 'no-service';
  return { verdict, backends: [], sourceRewritten: false, reason, path };
}

function verdictOf(cluster: Cluster, bench: Bench, to: number, port: number, outcome: Outcome): Verdict {
  const { dp } = bench;
  if (outcome.service === 0) {
    if (dp.routes.kind[outcome.route] === ROUTE_SELF && outcome.hasLeft) return 'local';
    const isToHost =
      outcome.hasLeft &&
      outcome.answer === undefined &&
      dp.ports.kind[outcome.outPort] === PORT_HOST &&
      cluster.isHostsOwn(to);
    if (isToHost && (!cluster.isServiceAddress(to, port) || cluster.healthCheckOf(port))) return 'local';
    if (cluster.isServiceAddress(to, port)) return 'no-service';
  }
  if (outcome.answer !== undefined) return 'reject';
  return outcome.hasLeft ? 'forward' : 'drop';
}

/** What the connections chose, most chosen first. */
function backendsOf({ dp }: Bench, told: readonly Told[]): Backend[] {
  const counts = new Map<number, number>();
  for (const { outcome } of told)
    if (outcome.endpoint !== 0) counts.set(outcome.endpoint, (counts.get(outcome.endpoint) ?? 0) + 1);
  return [...counts]
    .map(([row, count]) => ({ ip: formatIpv4(dp.endpoints.a3[row]!), port: dp.endpoints.port[row]!, count }))
    .sort((a, b) => b.count - a.count || (a.ip < b.ip ? -1 : 1) || a.port - b.port);
}

const sentenceOf = new Map<ReasonName, string>(REASONS);

function reasonOf(cluster: Cluster, bench: Bench, { packet, outcome, verdict }: Told): string {
  const to = `${formatIpv4(packet.dst)}${packet.proto === ipv4.ICMP ? '' : `:${packet.dstPort}`}`;
  if (verdict === 'no-service')
    return `No Service has ${to}${outcome.reason === undefined ? '.' : `; the packet goes on without: ${sentenceOf.get(outcome.reason)}`}`;
  if (verdict === 'local') {
    const checked = cluster.healthCheckOf(packet.dstPort);
    if (checked) return `${to} is the health check port of Service ${keyOf(checked)}: the host answers.`;
    const isRouters = bench.dp.routes.kind[outcome.route] === ROUTE_SELF;
    return isRouters ? `${to} is the router's own address: it answers.` : `${to} is the host's own.`;
  }
  if (outcome.isUnresolved) return `No pod has ${formatIpv4(packet.dst)}: nobody answers the ARP request.`;
  if (outcome.reason !== undefined) return sentenceOf.get(outcome.reason)!;
  if (outcome.endpoint === 0) return `${to} is reached without a Service.`;
  const { dp } = bench;
  const all = dp.services.all[outcome.service]!;
  const key = bench.keyOf('services', outcome.service);
  return `Service ${key} has ${all} endpoint${all === 1 ? '' : 's'} that may be chosen.`;
}
