/**
 * EndpointSlice: the row. discovery.k8s.io/v1.
 *
 * Source: k8s.io/kubernetes, pkg/apis/discovery/validation/validation.go.
 */
import { parseIpv4, parseAddress } from '../wire/address.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { OBJECT_REFERENCE } from './object-reference.js';
import { at, duplicate, invalid, required, tooMany, type Problem } from './problem.js';
import {
  checkDnsLabel,
  checkDnsSubdomain,
  checkNonSpecialAddress,
  checkPort,
  checkQualifiedName,
} from './rules.js';
import {
  ANY,
  BOOLEAN,
  INT32,
  listOf,
  object,
  objectSchema,
  oneOf,
  STRING,
  STRINGS,
  STRING_MAP,
} from './schema.js';
import type { Endpoint, EndpointSlice } from './types.js';

const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 100;
/** Columns show so many items of a list. */
const SHOWN = 3;

const FOR_NAMES = listOf(object({ name: STRING }, ['name']));
const ENDPOINT = object(
  {
    addresses: STRINGS,
    conditions: object({ ready: BOOLEAN, serving: BOOLEAN, terminating: BOOLEAN }),
    deprecatedTopology: STRING_MAP,
    hints: object({ forNodes: FOR_NAMES, forZones: FOR_NAMES }),
    hostname: STRING,
    nodeName: STRING,
    targetRef: OBJECT_REFERENCE,
    zone: STRING,
  },
  ['addresses'],
);

export const ENDPOINT_SLICE: Kind<EndpointSlice> = {
  group: 'discovery.k8s.io',
  versions: ['v1'],
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  shortNames: [],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    addressType: oneOf('FQDN', 'IPv4', 'IPv6'),
    endpoints: listOf(ENDPOINT),
    ports: listOf(
      object({ appProtocol: STRING, name: STRING, port: INT32, protocol: oneOf('SCTP', 'TCP', 'UDP') }),
    ),
    status: ANY,
  }),
  columns: [
    NAME_COLUMN,
    column('AddressType', (slice) => slice.addressType),
    column('Ports', ({ ports = [] }) =>
      listText(ports.map(({ port, name }) => String(port ?? (name || '*')))),
    ),
    column('Endpoints', ({ endpoints }) => listText(endpoints.flatMap(({ addresses }) => addresses))),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: true,
  defaults(slice) {
    slice.endpoints ??= [];
    for (const port of slice.ports ?? []) {
      port.name ??= '';
      port.protocol ||= 'TCP';
    }
  },
  validate: (slice) => [
    ...(slice.metadata.name ? checkDnsSubdomain(slice.metadata.name, 'metadata.name') : []),
    ...(slice.addressType ? [] : [required('addressType', 'must be specified')]),
    ...checkCount(slice.endpoints, MAX_ENDPOINTS, 'endpoints'),
    ...slice.endpoints.flatMap((endpoint, i) => checkEndpoint(endpoint, slice, at('endpoints', i))),
    ...checkPorts(slice),
  ],
  validateUpdate: (next, old) =>
    next.addressType === old.addressType
      ? []
      : [invalid('addressType', next.addressType, 'field is immutable')],
};

/** The first few, and how many more: as `kubectl get endpointslices` has it. */
function listText(items: readonly string[]): string {
  if (items.length === 0) return '<unset>';
  const text = items.slice(0, SHOWN).join(',');
  return items.length > SHOWN ? `${text} + ${items.length - SHOWN} more...` : text;
}

const checkCount = (items: readonly unknown[], most: number, field: string): Problem[] =>
  items.length > most ? [tooMany(field, items.length, most)] : [];

function checkEndpoint(endpoint: Endpoint, { addressType }: EndpointSlice, field: string): Problem[] {
  const { addresses, hostname, nodeName } = endpoint;
  const zones = endpoint.hints?.forZones ?? [];
  return [
    ...(addresses.length === 0
      ? [required(`${field}.addresses`, 'must contain at least 1 address')]
      : checkCount(addresses, MAX_ADDRESSES, `${field}.addresses`)),
    ...addresses.flatMap((address, i) =>
      checkEndpointAddress(address, addressType, at(`${field}.addresses`, i)),
    ),
    ...(nodeName ? checkDnsSubdomain(nodeName, `${field}.nodeName`) : []),
    ...(hostname ? checkDnsLabel(hostname, `${field}.hostname`) : []),
    ...zones.flatMap(({ name }, i) =>
      zones.findIndex((zone) => zone.name === name) < i
        ? [duplicate(`${at(`${field}.hints.forZones`, i)}.name`, name)]
        : [],
    ),
  ];
}

function checkEndpointAddress(address: string, type: EndpointSlice['addressType'], field: string): Problem[] {
  if (type === 'FQDN') return checkDnsSubdomain(address, field);
  if (type === 'IPv4' && parseIpv4(address) === undefined)
    return [invalid(field, address, 'must be an IPv4 address')];
  if (type === 'IPv6' && (!address.includes(':') || !parseAddress(address)))
    return [invalid(field, address, 'must be an IPv6 address')];
  return type ? checkNonSpecialAddress(address, field) : [];
}

function checkPorts({ ports = [] }: EndpointSlice): Problem[] {
  return [
    ...checkCount(ports, MAX_PORTS, 'ports'),
    ...ports.flatMap(({ name = '', port, appProtocol }, i) => {
      const field = at('ports', i);
      return [
        ...(name ? checkDnsLabel(name, `${field}.name`) : []),
        ...(ports.findIndex((other) => (other.name ?? '') === name) < i
          ? [duplicate(`${field}.name`, name)]
          : []),
        ...(port === undefined ? [] : checkPort(port, `${field}.port`)),
        ...(appProtocol ? checkQualifiedName(appProtocol, `${field}.appProtocol`) : []),
      ];
    }),
  ];
}
