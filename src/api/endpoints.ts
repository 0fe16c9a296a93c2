/**
 * Endpoints: the row. The older form of EndpointSlices, one object a Service.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go, ValidateEndpoints.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { OBJECT_REFERENCE } from './object-reference.js';
import { at, required, type Problem } from './problem.js';
import {
  checkDnsLabel,
  checkDnsSubdomain,
  checkNonSpecialAddress,
  checkPort,
  checkQualifiedName,
} from './rules.js';
import { INT32, listOf, object, objectSchema, oneOf, STRING } from './schema.js';
import type { EndpointAddress, Endpoints, EndpointSubset } from './types.js';

/** The column shows so many addresses. */
const SHOWN = 3;

const ADDRESSES = listOf(
  object(
    {
      hostname: STRING,
      ip: STRING,
      nodeName: STRING,
      targetRef: OBJECT_REFERENCE,
    },
    ['ip'],
  ),
);

export const ENDPOINTS: Kind<Endpoints> = {
  group: '',
  versions: ['v1'],
  kind: 'Endpoints',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    subsets: listOf(
      object({
        addresses: ADDRESSES,
        notReadyAddresses: ADDRESSES,
        ports: listOf(
          object({ appProtocol: STRING, name: STRING, port: INT32, protocol: oneOf('SCTP', 'TCP', 'UDP') }, [
            'port',
          ]),
        ),
      }),
    ),
  }),
  columns: [NAME_COLUMN, column('Endpoints', addressesText), AGE_COLUMN],
  selectable: [],
  hasEffect: true,
  defaults(endpoints) {
    for (const { ports } of endpoints.subsets ?? []) for (const port of ports ?? []) port.protocol ||= 'TCP';
  },
  validate: ({ metadata, subsets = [] }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...subsets.flatMap((subset, i) => checkSubset(subset, at('subsets', i))),
  ],
};

function addressesText({ subsets = [] }: Endpoints): string {
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) =>
          addresses.map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
        ),
  );
  if (all.length === 0) return '<none>';
  const text = all.slice(0, SHOWN).join(',');
  return all.length > SHOWN ? `${text} + ${all.length - SHOWN} more...` : text;
}

function checkSubset(subset: EndpointSubset, field: string): Problem[] {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
  const problems: Problem[] = [];
  if (addresses.length + notReadyAddresses.length === 0)
    problems.push(required(field, 'must specify `addresses` or `notReadyAddresses`'));
  addresses.forEach((address, i) => problems.push(...checkAddressOf(address, at(`${field}.addresses`, i))));
  notReadyAddresses.forEach((address, i) =>
    problems.push(...checkAddressOf(address, at(`${field}.notReadyAddresses`, i))),
  );
  ports.forEach(({ name, port, appProtocol }, i) => {
    const place = at(`${field}.ports`, i);
    if (name) problems.push(...checkDnsLabel(name, `${place}.name`));
    else if (ports.length > 1) problems.push(required(`${place}.name`));
    problems.push(...checkPort(port, `${place}.port`));
    if (appProtocol) problems.push(...checkQualifiedName(appProtocol, `${place}.appProtocol`));
  });
  return problems;
}

const checkAddressOf = ({ ip, hostname, nodeName }: EndpointAddress, field: string): Problem[] => [
  ...checkNonSpecialAddress(ip, `${field}.ip`),
  ...(hostname ? checkDnsLabel(hostname, `${field}.hostname`) : []),
  ...(nodeName ? checkDnsSubdomain(nodeName, `${field}.nodeName`) : []),
];
