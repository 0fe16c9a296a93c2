/**
 * Gateway: the row. It is stored; there is no controller for it yet.
 */
import {
  atMost,
  checkHostname,
  GATEWAY_GROUP,
  OBJECT_REF,
  OBSERVED_CONDITIONS,
  pending,
  SECRET_REF,
  SUPPORTED_KINDS,
  withDefault,
} from './gateway-schema.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { LABEL_SELECTOR } from './label-selector.js';
import { at, forbidden, type Problem } from './problem.js';
import { checkDnsLabel, checkDnsSubdomain, checkPort, checkUnique } from './rules.js';
import {
  fillIn,
  INT32,
  listOf,
  object,
  objectSchema,
  oneOf,
  STRING,
  STRING_MAP,
  type Schema,
} from './schema.js';
import type { Gateway, Listener } from './types.js';

/** From which namespaces something may hang on a Gateway. */
const namespaces = (from: string, ...words: string[]): Schema =>
  withDefault(object({ from: withDefault(oneOf(...words), from), selector: LABEL_SELECTOR }), { from });

const VALIDATION = object({
  validation: object(
    {
      caCertificateRefs: atMost(16, listOf(OBJECT_REF), 1),
      mode: withDefault(oneOf('AllowInsecureFallback', 'AllowValidOnly'), 'AllowValidOnly'),
    },
    ['caCertificateRefs'],
  ),
});

const LISTENER = object(
  {
    allowedRoutes: withDefault(
      object({
        kinds: atMost(8, SUPPORTED_KINDS),
        namespaces: namespaces('Same', 'All', 'None', 'Same', 'Selector'),
      }),
      {},
    ),
    hostname: STRING,
    name: STRING,
    port: INT32,
    protocol: STRING,
    tls: object({
      certificateRefs: atMost(64, listOf(SECRET_REF)),
      frontendValidation: VALIDATION,
      mode: withDefault(oneOf('Passthrough', 'Terminate'), 'Terminate'),
      options: STRING_MAP,
    }),
  },
  ['name', 'port', 'protocol'],
);

const ADDRESSES = atMost(16, listOf(object({ type: withDefault(STRING, 'IPAddress'), value: STRING })));

const SPEC = object(
  {
    addresses: ADDRESSES,
    allowedListeners: object({ namespaces: namespaces('None', 'All', 'None', 'Same', 'Selector') }),
    defaultScope: oneOf('All', 'None'),
    gatewayClassName: STRING,
    infrastructure: object({ annotations: STRING_MAP, labels: STRING_MAP, parametersRef: OBJECT_REF }),
    listeners: atMost(64, listOf(LISTENER), 1),
    tls: object({
      backend: object({ clientCertificateRef: SECRET_REF }),
      frontend: object(
        { default: VALIDATION, perPort: listOf(object({ port: INT32, tls: VALIDATION }, ['port', 'tls'])) },
        ['default'],
      ),
    }),
  },
  ['gatewayClassName', 'listeners'],
);

export const GATEWAY: Kind<Gateway> = {
  group: GATEWAY_GROUP,
  versions: ['v1', 'v1beta1'],
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gtw'],
  categories: ['gateway-api'],
  namespaced: true,
  subresources: ['status'],
  schema: objectSchema({
    spec: SPEC,
    status: object({
      addresses: ADDRESSES,
      attachedListenerSets: INT32,
      conditions: OBSERVED_CONDITIONS,
      listeners: atMost(
        64,
        listOf(
          object(
            {
              attachedRoutes: INT32,
              conditions: OBSERVED_CONDITIONS,
              name: STRING,
              supportedKinds: atMost(8, SUPPORTED_KINDS),
            },
            ['attachedRoutes', 'conditions', 'name'],
          ),
          'name',
        ),
      ),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Class', ({ spec }) => spec.gatewayClassName),
    column('Address', ({ status }) => (status?.addresses ?? []).map(({ value }) => value).join(',')),
    column(
      'Programmed',
      ({ status }) => status?.conditions?.find(({ type }) => type === 'Programmed')?.status ?? '',
    ),
    AGE_COLUMN,
  ],
  selectable: [],
  isCustom: true,
  hasEffect: false,
  defaults: ({ spec }) => fillIn(spec, SPEC),
  validate: ({ metadata, spec }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...spec.listeners.flatMap((listener, i) => checkListener(listener, at('spec.listeners', i))),
    ...checkUnique(
      spec.listeners,
      ({ name }) => name,
      (i) => at('spec.listeners', i),
    ),
    ...checkUnique(
      spec.listeners,
      ({ port, protocol, hostname = '' }) => `${port}/${protocol}/${hostname}`,
      (i) => at('spec.listeners', i),
    ),
  ],
  prepareCreate(gateway) {
    gateway.status = { conditions: pending('Accepted', 'Programmed') };
  },
};

function checkListener({ name, port, protocol, hostname, tls }: Listener, field: string): Problem[] {
  return [
    ...checkDnsLabel(name, `${field}.name`),
    ...checkPort(port, `${field}.port`),
    ...(hostname ? checkHostname(hostname, `${field}.hostname`) : []),
    ...(hostname && (protocol === 'TCP' || protocol === 'UDP')
      ? [forbidden(`${field}.hostname`, "hostname must not be specified for protocols ['TCP', 'UDP']")]
      : []),
    ...(tls && ['HTTP', 'TCP', 'UDP'].includes(protocol)
      ? [forbidden(`${field}.tls`, "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']")]
      : []),
  ];
}
