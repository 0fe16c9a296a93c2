/**
 * The Node object as its own agent writes it: addresses, flannel's annotations (what peers need to know of its
 * VTEP, see api/types.ts), what `kubectl get nodes -o wide` shows, and the Ready condition with its heartbeat.
 */
import { readFileSync } from 'node:fs';
import { arch, release } from 'node:os';
import { nodeAddresses } from '../compile/node-addresses.js';
import { RELEASE_NAME } from '../api/release.js';
import { formatMac } from '../wire/address.js';
import {
  AGENT_ANNOTATION,
  DNS_CONDITION,
  FLANNEL_BACKEND_DATA,
  FLANNEL_BACKEND_TYPE,
  FLANNEL_PUBLIC_IP,
} from '../api/types.js';
import type { Condition, Node } from '../api/types.js';
import { VERSION } from './version.js';

/** flannel's word about a node's VTEP; nothing as long as there is no usable pod CIDR. */
const backendData = (vni: number, podCidr: string | undefined): Record<string, string> => {
  const mac = nodeAddresses(podCidr ?? '')?.vtepMac;
  return mac
    ? { [FLANNEL_BACKEND_DATA]: JSON.stringify({ VNI: vni, VtepMAC: formatMac(mac.hi, mac.lo) }) }
    : {};
};

/**
 * The annotations of a node of ours: flannel's, of which the one that needs the pod CIDR is missing until that is
 * known, and the mark that an agent looks after it.
 */
export const nodeAnnotations = (
  address: string,
  vni: number,
  podCidr: string | undefined,
): Record<string, string> => ({
  [AGENT_ANNOTATION]: VERSION,
  [FLANNEL_PUBLIC_IP]: address,
  [FLANNEL_BACKEND_TYPE]: 'vxlan',
  ...backendData(vni, podCidr),
});

export interface NodeFacts {
  name: string;
  address: string;
  vni: number;
  podCidr?: string;
  /** Why the node is not ready, or undefined when it is. */
  notReady?: { reason: string; message: string };
  /** What the host has to give, as quantities. */
  capacity?: Readonly<Record<string, string>>;
  /** Whether DNS queries are answered here; why not, when they are not; undefined before it was tried. */
  dns?: { problem: string | undefined };
  /** What is known of the underlay: conditions without their times. */
  underlay?: readonly { type: string; status: 'True' | 'False'; reason: string; message: string }[];
  /** The current time, RFC 3339. */
  now: string;
}

/** Kubernetes' architecture names are Go's. */
const goArch = (): string => ({ x64: 'amd64', ia32: '386' })[arch() as string] ?? arch();

/** The distribution's name for itself. os-release(5). */
const osImage = (): string => {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
};

/** Pressures that the kubelet watches for; nothing here is ever evicted. */
const NO_PRESSURE = [
  ['MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
  ['DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
  ['PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
] as const;

const readLine = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};
const dnsCondition = (
  problem: string | undefined,
  now: string,
): Condition & { lastHeartbeatTime: string } => ({
  type: DNS_CONDITION,
  status: problem === undefined ? 'True' : 'False',
  reason: problem === undefined ? 'Answering' : 'CannotListen',
  message: problem ?? 'The agent answers DNS queries at the gateway address',
  lastHeartbeatTime: now,
  lastTransitionTime: now,
});

/** What the agent says of its node. The source merges it into the object that is there. */
export const nodeObject = (facts: NodeFacts): Node => {
  const times = { lastHeartbeatTime: facts.now, lastTransitionTime: facts.now };
  const ready: Condition & { lastHeartbeatTime: string } = {
    type: 'Ready',
    status: facts.notReady ? 'False' : 'True',
    reason: facts.notReady?.reason ?? 'AgentReady',
    message: facts.notReady?.message ?? 'The agent forwards packets',
    ...times,
  };
  const pressures = NO_PRESSURE.map(([type, reason, message]): Condition => ({
    type,
    status: 'False',
    reason,
    message,
    ...times,
  }));
  const underlay = (facts.underlay ?? []).map((condition): Condition => ({ ...condition, ...times }));
  const dns = facts.dns ? [dnsCondition(facts.dns.problem, facts.now)] : [];
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: facts.name,
      labels: {
        'kubernetes.io/hostname': facts.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': goArch(),
      },
      annotations: nodeAnnotations(facts.address, facts.vni, facts.podCidr),
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: facts.address },
        { type: 'Hostname', address: facts.name },
      ],
      ...(facts.capacity && { capacity: { ...facts.capacity }, allocatable: { ...facts.capacity } }),
      conditions: [...pressures, ...underlay, ...dns, ready],
      nodeInfo: {
        machineID: readLine('/etc/machine-id'),
        bootID: readLine('/proc/sys/kernel/random/boot_id'),
        architecture: goArch(),
        operatingSystem: 'linux',
        osImage: osImage(),
        kernelVersion: release(),
        kubeletVersion: RELEASE_NAME,
        containerRuntimeVersion: `podwire://${VERSION}`,
      },
    },
  };
};

/**
 * What `said` changes in `current`, as a new object: labels, annotations and conditions are merged, and a condition
 * that keeps its status keeps the time of its last change.
 */
export const mergeNode = (current: Node, said: Node): Node => ({
  ...current,
  metadata: {
    ...current.metadata,
    labels: { ...current.metadata.labels, ...said.metadata.labels },
    annotations: { ...current.metadata.annotations, ...said.metadata.annotations },
  },
  status: {
    ...current.status,
    ...said.status,
    conditions: mergeConditions(current.status?.conditions ?? [], said.status?.conditions ?? []),
  },
});

const mergeConditions = (current: readonly Condition[], said: readonly Condition[]): Condition[] => [
  ...current.filter((old) => !said.some((next) => next.type === old.type)),
  ...said.map((next) => {
    const old = current.find((one) => one.type === next.type && one.status === next.status);
    return old?.lastTransitionTime === undefined
      ? next
      : { ...next, lastTransitionTime: old.lastTransitionTime };
  }),
];
