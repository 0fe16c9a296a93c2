/**
 * Lab, our own kind: what `podwire up -f` reads. The row, its defaults and its rules.
 */
import {
  cidrContains,
  cidrLast,
  cidrsOverlap,
  parseAddress,
  parseCidr,
  parseIpv4,
  type Cidr,
} from '../wire/address.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, invalid, required, type Problem } from './problem.js';
import {
  checkAddress,
  checkCidr,
  checkDnsLabel,
  checkDnsSubdomain,
  checkPort,
  checkUnique,
} from './rules.js';
import { BOOLEAN, INT32, listOf, object, objectSchema, oneOf, STRING, STRINGS } from './schema.js';
import type { DnsSpec, HostAlias, Lab, LabSpec, PodNames, Scheduler } from './types.js';

/** A lab's spec with nothing left out; `underlay.cidr` stays open until `up` picks a free one. */
export interface FullLabSpec {
  podCIDR: string;
  serviceCIDR: string;
  backend: { type: 'vxlan'; vni: number; port: number };
  underlay: { cidr?: string; mtu: number };
  access: boolean;
  nodes: { name: string; address?: string }[];
  manifests: string[];
  loadBalancers: { cidr?: string };
  proxy: { scheduler: Scheduler };
  dns: { zone: string; ttl: number; pods: PodNames; upstreams?: string[]; hosts: HostAlias[] };
}

export const POD_NAMES: readonly PodNames[] = ['disabled', 'insecure', 'verified'];
export const SCHEDULERS: readonly Scheduler[] = ['random', 'rr', 'sh', 'userspace'];

export const LAB_DEFAULTS: Readonly<FullLabSpec> = {
  podCIDR: '10.244.0.0/16',
  serviceCIDR: '10.96.0.0/12',
  backend: { type: 'vxlan', vni: 1, port: 8472 },
  underlay: { mtu: 1500 },
  access: true,
  nodes: [{ name: 'node1' }, { name: 'node2' }],
  manifests: [],
  loadBalancers: {},
  proxy: { scheduler: 'random' },
  dns: { zone: 'cluster.local', ttl: 5, pods: 'insecure', hosts: [] },
};

/** A lab's spec with every field. */
export function labSpec(lab: Lab): FullLabSpec {
  const spec: LabSpec = lab.spec ?? {};
  return {
    podCIDR: spec.podCIDR ?? LAB_DEFAULTS.podCIDR,
    serviceCIDR: spec.serviceCIDR ?? LAB_DEFAULTS.serviceCIDR,
    backend: { ...LAB_DEFAULTS.backend, ...spec.backend },
    underlay: { ...LAB_DEFAULTS.underlay, ...spec.underlay },
    access: spec.access ?? LAB_DEFAULTS.access,
    nodes: (spec.nodes ?? LAB_DEFAULTS.nodes).map((node) => ({ ...node })),
    manifests: [...(spec.manifests ?? LAB_DEFAULTS.manifests)],
    loadBalancers: { ...spec.loadBalancers },
    proxy: { ...LAB_DEFAULTS.proxy, ...spec.proxy },
    dns: { ...LAB_DEFAULTS.dns, ...spec.dns },
  };
}

/** Link names have at most 15 bytes, and ours put `pw-` before the lab's name. */
const LONGEST_NAME = 12;
/** Names that files and namespaces of the lab itself have in the places where those of its nodes stand. */
const RESERVED_NODE_NAMES = ['dns', 'net', 'server', 'store', 'supervisor'];
const MIN_MTU = 1280;
const MAX_MTU = 65535;
const MAX_VNI = 0xffffff;
/** Every node gets a /24. */
export const NODE_CIDR_BITS = 24;

/** Prefixes that no lab may use. RFC 6890 §2.2.2, RFC 1112 §4. */
const SPECIAL: readonly [cidr: string, what: string][] = [
  ['0.0.0.0/8', '"this network"'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/3', 'multicast and reserved'],
];

export const LAB: Kind<Lab> = {
  group: 'podwire.dev',
  versions: ['v1alpha1'],
  kind: 'Lab',
  plural: 'labs',
  singular: 'lab',
  shortNames: [],
  namespaced: false,
  subresources: [],
  schema: objectSchema({
    spec: object({
      podCIDR: STRING,
      serviceCIDR: STRING,
      backend: object({ type: oneOf('vxlan'), vni: INT32, port: INT32 }),
      underlay: object({ cidr: STRING, mtu: INT32 }),
      access: BOOLEAN,
      nodes: listOf(object({ name: STRING, address: STRING }, ['name']), 'name'),
      manifests: STRINGS,
      loadBalancers: object({ cidr: STRING }),
      proxy: object({ scheduler: oneOf(...SCHEDULERS) }),
      dns: object({
        zone: STRING,
        ttl: INT32,
        pods: oneOf(...POD_NAMES),
        upstreams: STRINGS,
        hosts: listOf(object({ ip: STRING, hostnames: STRINGS }, ['ip']), 'ip'),
      }),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Nodes', (lab) => labSpec(lab).nodes.length, { type: 'integer' }),
    column('Pod-CIDR', (lab) => labSpec(lab).podCIDR),
    column('Service-CIDR', (lab) => labSpec(lab).serviceCIDR, { priority: 1 }),
    column('Underlay', (lab) => labSpec(lab).underlay.cidr ?? '<none>', { priority: 1 }),
    AGE_COLUMN,
  ],
  selectable: [],
  isCustom: true,
  hasEffect: true,
  defaults(lab) {
    lab.spec = labSpec(lab);
  },
  validate: validateLab,
};

function validateLab(lab: Lab): Problem[] {
  const spec = labSpec(lab);
  const problems: Problem[] = [];
  const { name } = lab.metadata;
  if (name.length > LONGEST_NAME) {
    problems.push(
      invalid(
        'metadata.name',
        name,
        `must be no more than ${LONGEST_NAME} characters, for it is part of link names`,
      ),
    );
  } else if (name) problems.push(...checkDnsLabel(name, 'metadata.name'));

  const prefixes: [field: string, cidr: Cidr][] = [];
  const prefix = (field: string, text: string, minBits: number, maxBits: number): Cidr | undefined => {
    const { cidr, problems: wrong } = checkCidr(text, field);
    problems.push(...wrong);
    if (!cidr) return undefined;
    if (cidr.bits < minBits || cidr.bits > maxBits) {
      problems.push(invalid(field, text, `its prefix length must be ${minBits}..${maxBits}`));
      return undefined;
    }
    for (const [special, what] of SPECIAL) {
      if (cidrsOverlap(parseCidr(special)!, cidr)) {
        problems.push(invalid(field, text, `must not overlap ${special}, which is ${what}`));
      }
    }
    for (const [other, otherCidr] of prefixes) {
      if (cidrsOverlap(otherCidr, cidr)) problems.push(invalid(field, text, `must not overlap ${other}`));
    }
    prefixes.push([field, cidr]);
    return cidr;
  };
  const podCidr = prefix('spec.podCIDR', spec.podCIDR, 8, NODE_CIDR_BITS);
  prefix('spec.serviceCIDR', spec.serviceCIDR, 12, 30);
  if (spec.loadBalancers.cidr !== undefined) {
    prefix('spec.loadBalancers.cidr', spec.loadBalancers.cidr, 8, 32);
    // It may, and mostly does, lie in the underlay.
    if (prefixes.at(-1)?.[0] === 'spec.loadBalancers.cidr') prefixes.pop();
  }
  const underlay =
    spec.underlay.cidr === undefined ? undefined : prefix('spec.underlay.cidr', spec.underlay.cidr, 16, 29);

  const { vni, port } = spec.backend;
  if (vni < 0 || vni > MAX_VNI) problems.push(invalid('spec.backend.vni', vni, `must be 0..${MAX_VNI}`));
  problems.push(...checkPort(port, 'spec.backend.port'));
  const { mtu } = spec.underlay;
  if (mtu < MIN_MTU || mtu > MAX_MTU) {
    problems.push(invalid('spec.underlay.mtu', mtu, `must be ${MIN_MTU}..${MAX_MTU}`));
  }
  return problems.concat(
    checkNodes(spec.nodes, podCidr, underlay),
    ...spec.manifests.map((path, i) => (path ? [] : [required(at('spec.manifests', i))])),
    checkDns(spec.dns),
  );
}

/** The longest that clients may be told to keep an answer; CoreDNS has the same. */
const MAX_TTL = 3600;

function checkDns({ zone, ttl, upstreams = [], hosts = [] }: DnsSpec): Problem[] {
  const problems: Problem[] = [];
  if (zone !== undefined) problems.push(...checkDnsSubdomain(zone, 'spec.dns.zone'));
  if (ttl !== undefined && (ttl < 0 || ttl > MAX_TTL))
    problems.push(invalid('spec.dns.ttl', ttl, `must be 0..${MAX_TTL} seconds`));
  upstreams.forEach((text, i) => {
    if (!parseEndpoint(text, DNS_PORT))
      problems.push(invalid(at('spec.dns.upstreams', i), text, 'must be ADDRESS or ADDRESS:PORT'));
  });
  hosts.forEach(({ ip, hostnames = [] }, i) => {
    problems.push(...checkAddress(ip, `${at('spec.dns.hosts', i)}.ip`));
    hostnames.forEach((name, j) =>
      problems.push(...checkDnsSubdomain(name, at(`${at('spec.dns.hosts', i)}.hostnames`, j))),
    );
  });
  return problems;
}

/** Where DNS servers listen unless something else is said. */
export const DNS_PORT = 53;

/** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; undefined when it is none of them. */
export function parseEndpoint(
  text: string,
  defaultPort: number,
): { address: string; port: number } | undefined {
  if (parseAddress(text)) return { address: text, port: defaultPort };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  const port = Number(digits);
  return parseAddress(address) && port > 0 && port < 65536 ? { address, port } : undefined;
}

function checkNodes(
  nodes: FullLabSpec['nodes'],
  podCidr: Cidr | undefined,
  underlay: Cidr | undefined,
): Problem[] {
  const problems: Problem[] = [];
  if (nodes.length === 0) problems.push(required('spec.nodes', 'a lab has at least one node'));
  const podNetworks = podCidr && 2 ** (NODE_CIDR_BITS - podCidr.bits);
  if (podNetworks !== undefined && nodes.length > podNetworks) {
    problems.push(
      invalid(
        'spec.nodes',
        nodes.length,
        `spec.podCIDR has room for ${podNetworks} nodes, each with a /${NODE_CIDR_BITS} of its own`,
      ),
    );
  }
  // Of an underlay's addresses the first and the last are no host's, and the last but one is the machine's.
  const hosts = underlay ? 2 ** (32 - underlay.bits) - 3 : 253;
  if (nodes.length > hosts) {
    problems.push(invalid('spec.nodes', nodes.length, `the underlay has room for ${hosts} nodes`));
  }
  nodes.forEach(({ name, address }, i) => {
    const field = at('spec.nodes', i);
    if (RESERVED_NODE_NAMES.includes(name)) {
      problems.push(invalid(`${field}.name`, name, 'is a name that the lab itself uses'));
    } else problems.push(...checkDnsLabel(name, `${field}.name`));
    if (address !== undefined) problems.push(...checkUnderlayAddress(address, underlay, `${field}.address`));
  });
  return problems.concat(
    checkUnique(
      nodes,
      (node) => node.name,
      (i) => `${at('spec.nodes', i)}.name`,
    ),
    checkUnique(
      nodes,
      (node) => node.address,
      (i) => `${at('spec.nodes', i)}.address`,
    ),
  );
}

function checkUnderlayAddress(address: string, underlay: Cidr | undefined, field: string): Problem[] {
  const word = parseIpv4(address);
  if (word === undefined) return [invalid(field, address, 'must be a valid IPv4 address')];
  if (!underlay) return [invalid(field, address, 'needs spec.underlay.cidr, in which it must lie')];
  if (!cidrContains(underlay, word)) return [invalid(field, address, 'must lie in spec.underlay.cidr')];
  const last = cidrLast(underlay);
  if (word === underlay.base || word === last || word === last - 1) {
    return [
      invalid(field, address, 'must not be the first, the last, or the last but one address of the underlay'),
    ];
  }
  return [];
}
