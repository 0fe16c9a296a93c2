/**
 * NetworkPolicy: the row. It is stored; nothing is kept from passing yet.
 *
 * Source: k8s.io/kubernetes, pkg/apis/networking/v1/defaults.go; pkg/apis/networking/validation/validation.go.
 */
import { cidrContains, parseCidr } from '../wire/address.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { checkLabelSelector, formatLabelSelector, LABEL_SELECTOR } from './label-selector.js';
import { at, forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import { checkCidr, checkDnsSubdomain, checkPort, checkPortName } from './rules.js';
import { INT32, INT_OR_STRING, listOf, object, objectSchema, oneOf, STRING, STRINGS } from './schema.js';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from './types.js';

const PEERS = listOf(
  object({
    ipBlock: object({ cidr: STRING, except: STRINGS }, ['cidr']),
    namespaceSelector: LABEL_SELECTOR,
    podSelector: LABEL_SELECTOR,
  }),
);
const PORTS = listOf(object({ endPort: INT32, port: INT_OR_STRING, protocol: oneOf('SCTP', 'TCP', 'UDP') }));

export const NETWORK_POLICY: Kind<NetworkPolicy> = {
  group: 'networking.k8s.io',
  versions: ['v1'],
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  shortNames: ['netpol'],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    spec: object({
      egress: listOf(object({ ports: PORTS, to: PEERS })),
      ingress: listOf(object({ from: PEERS, ports: PORTS })),
      podSelector: LABEL_SELECTOR,
      policyTypes: STRINGS,
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Pod-Selector', ({ spec }) => formatLabelSelector(spec.podSelector)),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: false,
  defaults(policy) {
    policy.spec ??= {};
    const { spec } = policy;
    spec.podSelector ??= {};
    for (const { ports = [] } of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
      for (const port of ports) port.protocol ??= 'TCP';
    // Whoever writes egress rules means egress; ingress is always meant.
    if ((spec.policyTypes ?? []).length === 0)
      spec.policyTypes = spec.egress && spec.egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  validate({ metadata, spec }) {
    const { podSelector, policyTypes = [], ingress = [], egress = [] } = spec;
    return [
      ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
      ...checkLabelSelector(podSelector, 'spec.podSelector'),
      ...ingress.flatMap(({ from = [], ports = [] }, i) => [
        ...ports.flatMap((port, j) => checkPolicyPort(port, at(`${at('spec.ingress', i)}.ports`, j))),
        ...from.flatMap((peer, j) => checkPeer(peer, at(`${at('spec.ingress', i)}.from`, j))),
      ]),
      ...egress.flatMap(({ to = [], ports = [] }, i) => [
        ...ports.flatMap((port, j) => checkPolicyPort(port, at(`${at('spec.egress', i)}.ports`, j))),
        ...to.flatMap((peer, j) => checkPeer(peer, at(`${at('spec.egress', i)}.to`, j))),
      ]),
      ...(policyTypes.length > 2
        ? [invalid('spec.policyTypes', policyTypes, 'may not specify more than two policyTypes')]
        : policyTypes.flatMap((type, i) =>
            type === 'Ingress' || type === 'Egress'
              ? []
              : [notSupported(at('spec.policyTypes', i), type, ['Egress', 'Ingress'])],
          )),
    ];
  },
};

function checkPolicyPort({ port, endPort }: NetworkPolicyPort, field: string): Problem[] {
  const problems =
    port === undefined
      ? []
      : typeof port === 'number'
        ? checkPort(port, `${field}.port`)
        : checkPortName(port, `${field}.port`);
  if (endPort === undefined) return problems;
  const place = `${field}.endPort`;
  if (port === undefined)
    problems.push(invalid(place, endPort, 'may not be specified when `port` is not specified'));
  else if (typeof port === 'string')
    problems.push(invalid(place, endPort, 'may not be specified when `port` is non-numeric'));
  else if (endPort < port) problems.push(invalid(place, endPort, 'must be greater than or equal to `port`'));
  return [...problems, ...checkPort(endPort, place)];
}

function checkPeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, field: string): Problem[] {
  if (!podSelector && !namespaceSelector && !ipBlock) return [required(field, 'must specify a peer')];
  if (ipBlock && (podSelector || namespaceSelector))
    return [forbidden(field, 'may not specify both ipBlock and another peer')];
  return [
    ...checkLabelSelector(podSelector, `${field}.podSelector`),
    ...checkLabelSelector(namespaceSelector, `${field}.namespaceSelector`),
    ...(ipBlock ? checkBlock(ipBlock, `${field}.ipBlock`) : []),
  ];
}

function checkBlock({ cidr, except = [] }: { cidr: string; except?: string[] }, field: string): Problem[] {
  // Objects are dual-stack; only IPv4 prefixes are read so far.
  if (cidr.includes(':')) return [];
  const { cidr: whole, problems } = checkCidr(cidr, `${field}.cidr`);
  if (!whole) return problems;
  return except.flatMap((text, i) => {
    const place = at(`${field}.except`, i);
    const part = parseCidr(text);
    if (!part) return checkCidr(text, place).problems;
    return part.bits > whole.bits && cidrContains(whole, part.base)
      ? []
      : [invalid(place, text, 'must be a strict subset of `cidr`')];
  });
}
