/**
 * Node: the row, and what tells an external host from one of ours.
 */
import { parseIpv4, parseMac } from '../wire/address.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, forbidden, invalid, type Problem } from './problem.js';
import { checkAddress, checkCidr, checkDnsSubdomain } from './rules.js';
import {
  ANY,
  BOOLEAN,
  CONDITIONS,
  INT32,
  listOf,
  mapOf,
  object,
  objectSchema,
  QUANTITY,
  STRING,
  STRINGS,
  STRING_MAP,
  TIME,
} from './schema.js';
import {
  AGENT_ANNOTATION,
  FLANNEL_BACKEND_DATA,
  FLANNEL_BACKEND_TYPE,
  FLANNEL_PUBLIC_IP,
  type Node,
} from './types.js';

/**
 * Whether a node is an external host: one that runs no agent of ours but is reached over the overlay, such as a Linux
 * host with the kernel's VXLAN.
 *
 * It is one when it carries flannel's backend annotation but not {@link AGENT_ANNOTATION}. Whoever writes flannel's
 * annotations for a host of ours (the lab, the agent) writes AGENT_ANNOTATION in the same request. A node with
 * neither is one of ours whose agent has not come up yet.
 */
export const isExternalNode = (node: Node): boolean => {
  const annotations = node.metadata.annotations ?? {};
  return annotations[FLANNEL_BACKEND_DATA] !== undefined && annotations[AGENT_ANNOTATION] === undefined;
};

/** The address by which other nodes reach this one. */
export const nodeAddress = (node: Node): string | undefined =>
  node.metadata.annotations?.[FLANNEL_PUBLIC_IP] ?? addressOf(node, 'InternalIP');

const addressOf = (node: Node, type: string): string | undefined =>
  node.status?.addresses?.find((address) => address.type === type)?.address;

export const isReady = (object: { status?: { conditions?: { type: string; status: string }[] } }): boolean =>
  object.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ??
  false;

function statusText(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'];
  if (node.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

function roles(node: Node): string {
  const prefix = 'node-role.kubernetes.io/';
  const found = Object.keys(node.metadata.labels ?? {}).filter((label) => label.startsWith(prefix));
  return (
    found
      .map((label) => label.slice(prefix.length))
      .sort()
      .join(',') || '<none>'
  );
}

const info = (key: string) => (node: Node) => node.status?.nodeInfo?.[key] ?? '<unknown>';
const wide = { priority: 1 as const };

export const NODE: Kind<Node> = {
  group: '',
  versions: ['v1'],
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  namespaced: false,
  subresources: ['status', 'proxy'],
  schema: objectSchema({
    spec: object({
      podCIDR: STRING,
      podCIDRs: listOf(STRING, ''),
      providerID: STRING,
      unschedulable: BOOLEAN,
      taints: listOf(
        object({ key: STRING, value: STRING, effect: STRING, timeAdded: TIME }, ['key', 'effect']),
      ),
      configSource: ANY,
      externalID: STRING,
    }),
    status: object({
      addresses: listOf(object({ type: STRING, address: STRING }, ['type', 'address']), 'type'),
      allocatable: mapOf(QUANTITY),
      capacity: mapOf(QUANTITY),
      conditions: CONDITIONS,
      config: ANY,
      daemonEndpoints: object({ kubeletEndpoint: object({ Port: INT32 }, ['Port']) }),
      features: ANY,
      images: listOf(ANY),
      nodeInfo: STRING_MAP,
      phase: STRING,
      runtimeHandlers: listOf(ANY),
      volumesAttached: listOf(ANY),
      volumesInUse: STRINGS,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Status', statusText),
    column('Roles', roles),
    AGE_COLUMN,
    column('Version', (node) => node.status?.nodeInfo?.['kubeletVersion'] ?? ''),
    column('Internal-IP', (node) => addressOf(node, 'InternalIP') ?? '<none>', wide),
    column('External-IP', (node) => addressOf(node, 'ExternalIP') ?? '<none>', wide),
    column('OS-Image', info('osImage'), wide),
    column('Kernel-Version', info('kernelVersion'), wide),
    column('Container-Runtime', info('containerRuntimeVersion'), wide),
  ],
  selectable: ['spec.unschedulable'],
  hasEffect: true,
  defaults(node) {
    node.spec ??= {};
    if (node.spec.podCIDR) node.spec.podCIDRs ??= [node.spec.podCIDR];
    else if (node.spec.podCIDRs?.[0]) node.spec.podCIDR = node.spec.podCIDRs[0];
    node.metadata.labels = { 'kubernetes.io/hostname': node.metadata.name, ...node.metadata.labels };
  },
  validate: validateNode,
  validateUpdate(next, old) {
    if (!old.spec?.podCIDR || next.spec?.podCIDR === old.spec.podCIDR) return [];
    return [forbidden('spec.podCIDR', 'node updates may not change podCIDR except from "" to valid')];
  },
};

/** The longest prefix that leaves a pod an address: the first two and the last two are never a pod's. */
const LONGEST_POD_CIDR = 29;
/** The shortest: as in Kubernetes, a node is no whole cluster. */
const SHORTEST_POD_CIDR = 16;

function validateNode(node: Node): Problem[] {
  const problems = node.metadata.name ? checkDnsSubdomain(node.metadata.name, 'metadata.name') : [];
  const cidrs = node.spec?.podCIDRs ?? [];
  cidrs.forEach((text, i) => {
    // Objects are dual-stack; only the IPv4 prefix is read so far.
    if (text.includes(':')) return;
    const field = at('spec.podCIDRs', i);
    const { cidr, problems: wrong } = checkCidr(text, field);
    problems.push(...wrong);
    if (cidr && (cidr.bits > LONGEST_POD_CIDR || cidr.bits < SHORTEST_POD_CIDR)) {
      const range = `${SHORTEST_POD_CIDR}..${LONGEST_POD_CIDR}`;
      problems.push(invalid(field, text, `its prefix length must be ${range}`));
    }
  });
  if (node.spec?.podCIDR && cidrs[0] !== node.spec.podCIDR) {
    problems.push(invalid(at('spec.podCIDRs', 0), cidrs[0], 'must be the same as podCIDR'));
  }
  (node.status?.addresses ?? []).forEach(({ type, address }, i) => {
    if (type.endsWith('IP')) problems.push(...checkAddress(address, `${at('status.addresses', i)}.address`));
  });
  return problems.concat(checkFlannel(node.metadata.annotations ?? {}));
}

/** flannel's annotations, where they are present: its peers send packets by them. */
function checkFlannel(annotations: Readonly<Record<string, string>>): Problem[] {
  const problems: Problem[] = [];
  const field = (key: string): string => at('metadata.annotations', key);
  const publicIp = annotations[FLANNEL_PUBLIC_IP];
  if (publicIp !== undefined && parseIpv4(publicIp) === undefined) {
    problems.push(invalid(field(FLANNEL_PUBLIC_IP), publicIp, 'must be a valid IPv4 address'));
  }
  const type = annotations[FLANNEL_BACKEND_TYPE];
  if (type !== undefined && type !== 'vxlan') {
    problems.push(invalid(field(FLANNEL_BACKEND_TYPE), type, 'must be vxlan, the only backend'));
  }
  const data = annotations[FLANNEL_BACKEND_DATA];
  if (data !== undefined && !isBackendData(data)) {
    problems.push(
      invalid(
        field(FLANNEL_BACKEND_DATA),
        data,
        'must be JSON such as {"VNI":1,"VtepMAC":"0e:58:0a:f4:01:00"}',
      ),
    );
  }
  return problems;
}

function isBackendData(text: string): boolean {
  try {
    const data = JSON.parse(text) as { VNI?: unknown; VtepMAC?: unknown } | null;
    const vni = data?.VNI;
    return (
      (vni === undefined || (Number.isInteger(vni) && (vni as number) >= 0 && (vni as number) < 1 << 24)) &&
      typeof data?.VtepMAC === 'string' &&
      parseMac(data.VtepMAC) !== undefined
    );
  } catch {
    return false;
  }
}
