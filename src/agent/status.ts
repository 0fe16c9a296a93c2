/**
 * What an agent knows of itself and its host, and how its API shows it.
 */
import { allContainers } from '../api/all-containers.js';
import { ApiError, badRequest, notFound } from '../api/error.js';
import { POD } from '../api/kinds.js';
import { isReady } from '../api/node.js';
import type { ClusterView, Node, Pod, PodStatus } from '../api/types.js';
import type { ApiRelay } from './api-relay.js';
import type { Shown } from './api/http.js';
import type { AgentDns } from './dns/agent-dns.js';
import type { HostSide, HostSideStatus } from './host-side.js';
import type { PacketPath } from './parts.js';
import type { Way } from './peers/peer-watch.js';
import { isBad, type UnderlayCondition } from './peers/peer-news.js';
import type { PodRuntime } from './pods/runtime.js';
import { uidOf } from './pods/state.js';
import type { ClusterSource } from './source/source.js';
import type { Underlay } from './underlay.js';
import { VERSION } from './version.js';

/** What is known so far; the agent fills it in as it starts. */
export interface AgentFacts {
  readonly lab: string;
  readonly node: string;
  readonly netns: string | undefined;
  readonly source: ClusterSource;
  phase: 'starting' | 'running' | 'stopping';
  /** What a starting agent waits for, in words. */
  waitsFor?: string;
  /** The newest view, in force or not. */
  view?: ClusterView;
  /** Why the newest view is not in force. */
  viewProblem?: string;
  underlay?: Underlay;
  /** Why its NIC carries nothing, when it does not. */
  underlayProblem?: string;
  /** The ways to the peers, as they were found last. */
  ways: ReadonlyMap<string, Way>;
  /** What was found out about the underlay. */
  conditions?: readonly UnderlayCondition[];
  podCidr?: string;
  path?: PacketPath;
  runtime?: PodRuntime;
  hostSide?: HostSide;
  apiRelay?: ApiRelay;
  dns?: AgentDns;
  /** What the pods' runtime said last, by uid. */
  readonly statuses: Map<string, PodStatus>;
}

export interface PodRow {
  namespace: string;
  name: string;
  uid: string;
  podIP: string | undefined;
  phase: string;
  isReady: boolean;
  /** Why it is not. */
  message?: string;
}

/** The answer to `GET /status`. */
export interface AgentStatus {
  lab: string;
  node: string;
  version: string;
  pid: number;
  phase: AgentFacts['phase'];
  waitsFor?: string;
  /** Where the objects come from. */
  source: string;
  netns?: string;
  underlay?: Underlay;
  podCIDR?: string;
  packetPath?: ReturnType<PacketPath['status']>;
  host?: HostSideStatus;
  dns?: ReturnType<AgentDns['status']>;
  pods: PodRow[];
  /** Everything that is wrong, in sentences; empty when all is well. */
  problems: string[];
}

/** This host's node in the newest view. */
export const ourNode = ({ view, node }: AgentFacts): Node | undefined =>
  view?.nodes.find(({ metadata }) => metadata.name === node);

/** The pods that shall run on this host: placed here, and with an address. */
export const ourPods = ({ view, node }: AgentFacts): Pod[] =>
  view?.pods.filter((pod) => pod.spec.nodeName === node && pod.status?.podIP) ?? [];

const podRow = (pod: Pod, status: PodStatus | undefined): PodRow => ({
  namespace: pod.metadata.namespace ?? 'default',
  name: pod.metadata.name,
  uid: pod.metadata.uid ?? '',
  podIP: pod.status?.podIP,
  phase: status?.phase ?? 'Pending',
  isReady: isReady({ status }),
  ...(status?.message && { message: status.message }),
});

const problemsOf = (facts: AgentFacts): string[] => [
  ...facts.source.problems(),
  ...(facts.viewProblem === undefined ? [] : [facts.viewProblem]),
  ...(facts.conditions ?? []).filter(isBad).map(({ message }) => message),
  ...(facts.path?.status().problems ?? []),
  ...(facts.hostSide?.problems() ?? []),
  ...(facts.apiRelay?.problems() ?? []),
  ...(facts.dns?.problems() ?? []),
];

const statusOf = (facts: AgentFacts): AgentStatus => ({
  lab: facts.lab,
  node: facts.node,
  version: VERSION,
  pid: process.pid,
  phase: facts.phase,
  waitsFor: facts.waitsFor,
  source: facts.source.name,
  netns: facts.netns,
  underlay: facts.underlay,
  podCIDR: facts.podCidr,
  packetPath: facts.path?.status(),
  host: facts.hostSide?.status(),
  dns: facts.dns?.status(),
  pods: ourPods(facts).map((pod) => podRow(pod, facts.statuses.get(pod.metadata.uid ?? '') ?? pod.status)),
  problems: problemsOf(facts),
});

const notYet = ({ node, phase, waitsFor }: AgentFacts): ApiError =>
  new ApiError(
    503,
    'ServiceUnavailable',
    `The agent of node "${node}" is ${phase}${waitsFor === undefined ? '' : ` and waits for ${waitsFor}`}`,
  );

/** The parts throw a RangeError for what they do not have: a table, a log. */
const orNotFound = <T>(look: () => T): T => {
  try {
    return look();
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError(404, 'NotFound', error.message);
    throw error;
  }
};

/** @throws ApiError 404 */
function ourPod(facts: AgentFacts, namespace: string, name: string): Pod {
  const pod = ourPods(facts).find(
    ({ metadata }) => metadata.name === name && (metadata.namespace ?? 'default') === namespace,
  );
  if (!pod) throw notFound(POD, name);
  return pod;
}

/** What the agent's API shows of an agent. */
export const showAgent = (facts: AgentFacts): Shown => ({
  netns: facts.netns,
  status: () => statusOf(facts),
  table(name) {
    if (!facts.path) throw notYet(facts);
    return orNotFound(() => facts.path!.dump(name));
  },
  tableRows(name) {
    if (!facts.path) throw notYet(facts);
    return orNotFound(() => facts.path!.rows(name));
  },
  pod(namespace, name) {
    const { runtime } = facts;
    if (!runtime) throw notYet(facts);
    const uid = uidOf(ourPod(facts, namespace, name));
    return orNotFound(() => ({ state: runtime.state(uid), folder: runtime.folder(uid) }));
  },
  readings() {
    if (!facts.path?.readings) throw notYet(facts);
    return facts.path.readings();
  },
  podLog(namespace, name, options) {
    if (!facts.runtime) throw notYet(facts);
    const pod = ourPod(facts, namespace, name);
    const containers = allContainers(pod.spec).map((container) => container.name);
    if (options.container !== undefined && !containers.includes(options.container))
      throw badRequest(
        `container ${options.container} is not valid for pod ${name}: it has ${containers.join(', ')}`,
      );
    return orNotFound(() => facts.runtime!.logs(uidOf(pod), options));
  },
});
