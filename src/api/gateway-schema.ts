/**
 * What the kinds of the Gateway API share: references, statuses, filters, and the columns and rules of routes. Fields of
 * the experimental channel are known too.
 *
 * Source: kubernetes-sigs/gateway-api, config/crd.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Column, type Kind } from './kind.js';
import { at, invalid, required, type Problem } from './problem.js';
import { checkDnsSubdomain, checkPort, checkWildcardName } from './rules.js';
import {
  ANY,
  BOOLEAN,
  CONDITIONS,
  fillIn,
  INT32,
  listOf,
  object,
  objectSchema,
  oneOf,
  STRING,
  STRINGS,
  type Schema,
} from './schema.js';
import type { ApiObject, Condition, ParentReference, WeightedBackend } from './types.js';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export const withDefault = (schema: Schema, value: unknown): Schema => ({ ...schema, default: value });
export const atMost = (most: number, list: Schema, least = 0): Schema => ({
  ...list,
  maxItems: most,
  ...(least > 0 && { minItems: least }),
});

const PARENT_REF = object(
  {
    group: withDefault(STRING, GATEWAY_GROUP),
    kind: withDefault(STRING, 'Gateway'),
    name: STRING,
    namespace: STRING,
    port: INT32,
    sectionName: STRING,
  },
  ['name'],
);
/** A reference to an object of a kind that must be said; the core group is ''. */
export const OBJECT_REF = object({ group: STRING, kind: STRING, name: STRING, namespace: STRING }, [
  'kind',
  'name',
]);
export const SECRET_REF = object(
  {
    group: withDefault(STRING, ''),
    kind: withDefault(STRING, 'Secret'),
    name: STRING,
    namespace: STRING,
  },
  ['name'],
);
const SERVICE_REF_FIELDS = {
  group: withDefault(STRING, ''),
  kind: withDefault(STRING, 'Service'),
  name: STRING,
  namespace: STRING,
  port: INT32,
};
const SERVICE_REF = object(SERVICE_REF_FIELDS, ['name']);

/** @param filters  of a backend alone; streams have none */
export const backendRefs = (filters?: Schema): Schema =>
  atMost(
    16,
    listOf(
      object({ ...SERVICE_REF_FIELDS, ...(filters && { filters }), weight: withDefault(INT32, 1) }, ['name']),
    ),
  );

const HEADERS = atMost(16, listOf(object({ name: STRING, value: STRING }, ['name', 'value'])));
const HEADER_CHANGES = object({ add: HEADERS, remove: STRINGS, set: HEADERS });
const PATH_CHANGE = object(
  {
    replaceFullPath: STRING,
    replacePrefixMatch: STRING,
    type: oneOf('ReplaceFullPath', 'ReplacePrefixMatch'),
  },
  ['type'],
);

const COMMON_FILTERS = {
  extensionRef: object({ group: STRING, kind: STRING, name: STRING }, ['kind', 'name']),
  requestHeaderModifier: HEADER_CHANGES,
  requestMirror: object(
    {
      backendRef: SERVICE_REF,
      fraction: object({ denominator: withDefault(INT32, 100), numerator: INT32 }, ['numerator']),
      percent: INT32,
    },
    ['backendRef'],
  ),
  responseHeaderModifier: HEADER_CHANGES,
};
const COMMON_FILTER_TYPES = [
  'ExtensionRef',
  'RequestHeaderModifier',
  'RequestMirror',
  'ResponseHeaderModifier',
];

export const GRPC_FILTERS = atMost(
  16,
  listOf(object({ ...COMMON_FILTERS, type: oneOf(...COMMON_FILTER_TYPES) }, ['type'])),
);

export const HTTP_FILTERS = atMost(
  16,
  listOf(
    object(
      {
        ...COMMON_FILTERS,
        cors: object({
          allowCredentials: BOOLEAN,
          allowHeaders: STRINGS,
          allowMethods: STRINGS,
          allowOrigins: STRINGS,
          exposeHeaders: STRINGS,
          maxAge: withDefault(INT32, 5),
        }),
        externalAuth: ANY,
        requestRedirect: object({
          hostname: STRING,
          path: PATH_CHANGE,
          port: INT32,
          scheme: oneOf('http', 'https'),
          statusCode: withDefault(INT32, 302),
        }),
        type: oneOf(...COMMON_FILTER_TYPES, 'CORS', 'ExternalAuth', 'RequestRedirect', 'URLRewrite'),
        urlRewrite: object({ hostname: STRING, path: PATH_CHANGE }),
      },
      ['type'],
    ),
  ),
);

/** How a header or a query parameter is matched. */
export const NAMED_MATCHES = atMost(
  16,
  listOf(
    object({ name: STRING, type: withDefault(oneOf('Exact', 'RegularExpression'), 'Exact'), value: STRING }, [
      'name',
      'value',
    ]),
  ),
);

export const SESSION_PERSISTENCE = object({
  absoluteTimeout: STRING,
  cookie: ANY,
  cookieConfig: ANY,
  header: ANY,
  idleTimeout: STRING,
  sessionName: STRING,
  type: oneOf('Cookie', 'Header'),
});

/** Nobody has looked at an object yet. @param types  of conditions */
export const pending = (...types: string[]): Condition[] =>
  types.map((type) => ({
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for controller',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  }));

type Route = ApiObject & {
  spec: {
    parentRefs?: ParentReference[];
    hostnames?: string[];
    rules?: { backendRefs?: WeightedBackend[] }[];
  };
  status?: unknown;
};

const HOSTNAMES: Column<Route> = column('Hostnames', ({ spec }) =>
  spec.hostnames ? JSON.stringify(spec.hostnames) : '',
);

/**
 * The row of a route.
 *
 * @param rule    the schema of one of its rules
 * @param check   rules of the kind alone
 */
export function routeKind<T extends Route>(
  kind: string,
  versions: readonly string[],
  options: {
    rule: Schema;
    rules: { most: number; least?: number; default?: unknown };
    hasHostnames: boolean;
  },
  check: (route: T) => Problem[] = () => [],
): Kind<T> {
  const { rule, rules, hasHostnames } = options;
  const list = atMost(rules.most, listOf(rule), rules.least);
  const spec = object(
    {
      ...(hasHostnames && { hostnames: STRINGS }),
      parentRefs: atMost(32, listOf(PARENT_REF)),
      rules: rules.default === undefined ? list : withDefault(list, rules.default),
      useDefaultGateways: oneOf('All', 'None'),
    },
    rules.least && rules.default === undefined ? ['rules'] : [],
  );
  const plural = `${kind.toLowerCase()}s`;
  return {
    group: GATEWAY_GROUP,
    versions,
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: ['gateway-api'],
    namespaced: true,
    subresources: ['status'],
    schema: objectSchema({
      spec,
      status: object({
        parents: listOf(
          object({ conditions: CONDITIONS, controllerName: STRING, parentRef: PARENT_REF }, [
            'controllerName',
            'parentRef',
          ]),
        ),
      }),
    }),
    columns: [NAME_COLUMN, ...(hasHostnames && kind !== 'TLSRoute' ? [HOSTNAMES] : []), AGE_COLUMN],
    selectable: [],
    isCustom: true,
    hasEffect: false,
    defaults(route) {
      route.spec ??= {};
      fillIn(route.spec, spec);
    },
    validate: (route) => [
      ...(route.metadata.name ? checkDnsSubdomain(route.metadata.name, 'metadata.name') : []),
      ...(route.spec.hostnames ?? []).flatMap((host, i) => checkHostname(host, at('spec.hostnames', i))),
      ...(route.spec.rules ?? []).flatMap(({ backendRefs: backends = [] }, i) =>
        backends.flatMap((backend, j) => checkBackend(backend, at(`${at('spec.rules', i)}.backendRefs`, j))),
      ),
      ...check(route),
    ],
    prepareCreate(route) {
      delete route.status;
    },
  };
}

export const checkHostname = (host: string, field: string): Problem[] =>
  host.startsWith('*') ? checkWildcardName(host, field) : checkDnsSubdomain(host, field);

/** A Service is nothing without a port. */
function checkBackend({ kind, group, port }: WeightedBackend, field: string): Problem[] {
  if (port !== undefined) return checkPort(port, `${field}.port`);
  return kind === 'Service' && group === ''
    ? [invalid(field, 'object', 'Must have port for Service reference')]
    : [];
}

/** A group must be said, and may be ''. */
export const checkGroups = (refs: readonly { group?: string }[], field: string): Problem[] =>
  refs.flatMap(({ group }, i) => (group === undefined ? [required(`${at(field, i)}.group`)] : []));

export const OBSERVED_CONDITIONS: Schema = atMost(8, CONDITIONS);
export const SUPPORTED_KINDS = listOf(
  object({ group: withDefault(STRING, GATEWAY_GROUP), kind: STRING }, ['kind']),
);
