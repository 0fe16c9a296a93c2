/**
 * Ingress: the row. It is stored; nothing listens for it yet.
 *
 * Source: k8s.io/kubernetes, pkg/apis/networking/validation/validation.go; pkg/printers/internalversion, printIngress.
 */
import { parseAddress } from '../wire/address.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { at, invalid, notSupported, required, type Problem } from './problem.js';
import {
  checkDns1035Label,
  checkDnsSubdomain,
  checkPort,
  checkPortName,
  checkWildcardName,
} from './rules.js';
import { INT32, listOf, object, objectSchema, oneOf, STRING, STRINGS } from './schema.js';
import type { Ingress, IngressBackend, IngressPath } from './types.js';

const BACKEND = object({
  resource: object({ apiGroup: STRING, kind: STRING, name: STRING }, ['kind', 'name']),
  service: object({ name: STRING, port: object({ name: STRING, number: INT32 }) }, ['name']),
});

export const INGRESS: Kind<Ingress> = {
  group: 'networking.k8s.io',
  versions: ['v1'],
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['ing'],
  namespaced: true,
  subresources: ['status'],
  schema: objectSchema({
    spec: object({
      defaultBackend: BACKEND,
      ingressClassName: STRING,
      rules: listOf(
        object({
          host: STRING,
          http: object(
            {
              paths: listOf(
                object({ backend: BACKEND, path: STRING, pathType: STRING }, ['backend', 'pathType']),
              ),
            },
            ['paths'],
          ),
        }),
      ),
      tls: listOf(object({ hosts: STRINGS, secretName: STRING })),
    }),
    status: object({
      loadBalancer: object({
        ingress: listOf(
          object({
            hostname: STRING,
            ip: STRING,
            ipMode: STRING,
            ports: listOf(
              object({ error: STRING, port: INT32, protocol: oneOf('SCTP', 'TCP', 'UDP') }, [
                'port',
                'protocol',
              ]),
            ),
          }),
        ),
      }),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Class', ({ spec }) => spec.ingressClassName ?? '<none>'),
    column('Hosts', hostsText),
    column('Address', addressText),
    column('Ports', ({ spec }) => ((spec.tls ?? []).length > 0 ? '80, 443' : '80')),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: false,
  defaults(ingress) {
    ingress.spec ??= {};
  },
  validate: validateIngress,
  prepareCreate(ingress) {
    ingress.status = { loadBalancer: {} };
  },
};

/** The column shows so many hosts. */
const SHOWN = 3;

function hostsText({ spec: { rules = [] } }: Ingress): string {
  const hosts = rules.flatMap(({ host }) => host || []);
  if (hosts.length === 0) return '*';
  const text = hosts.slice(0, SHOWN).join(',');
  return hosts.length > SHOWN ? `${text} + ${rules.length - SHOWN} more...` : text;
}

function addressText({ status }: Ingress): string {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip || hostname || []).join(',');
}

function validateIngress({ metadata, spec }: Ingress): Problem[] {
  const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
  const { rules = [], defaultBackend, ingressClassName, tls = [] } = spec;
  if (rules.length === 0 && !defaultBackend)
    problems.push(invalid('spec', rules, 'either `defaultBackend` or `rules` must be specified'));
  if (ingressClassName) problems.push(...checkDnsSubdomain(ingressClassName, 'spec.ingressClassName'));
  if (defaultBackend) problems.push(...checkBackend(defaultBackend, 'spec.defaultBackend'));
  rules.forEach(({ host, http }, i) => {
    const field = at('spec.rules', i);
    if (host) problems.push(...checkHost(host, `${field}.host`));
    if (http && http.paths.length === 0) problems.push(required(`${field}.http.paths`));
    http?.paths.forEach((path, j) => problems.push(...checkPath(path, at(`${field}.http.paths`, j))));
  });
  tls.forEach(({ hosts = [], secretName }, i) => {
    const field = at('spec.tls', i);
    hosts.forEach((host, j) => problems.push(...checkHost(host, at(`${field}.hosts`, j))));
    if (secretName) problems.push(...checkDnsSubdomain(secretName, `${field}.secretName`));
  });
  return problems;
}

const checkHost = (host: string, field: string): Problem[] =>
  parseAddress(host)
    ? [invalid(field, host, 'must be a DNS name, not an IP address')]
    : host.includes('*')
      ? checkWildcardName(host, field)
      : checkDnsSubdomain(host, field);

/** Parts that an Exact or Prefix path may not have, and not end with. */
const INSIDE = ['//', '/./', '/../', '%2f', '%2F'];
const AT_END = ['/..', '/.'];

function checkPath({ path = '', pathType, backend }: IngressPath, field: string): Problem[] {
  const problems: Problem[] = [];
  const place = `${field}.path`;
  if (pathType === 'Exact' || pathType === 'Prefix') {
    if (!path.startsWith('/')) problems.push(invalid(place, path, 'must be an absolute path'));
    for (const part of INSIDE)
      if (path.includes(part)) problems.push(invalid(place, path, `must not contain '${part}'`));
    for (const end of AT_END)
      if (path.endsWith(end)) problems.push(invalid(place, path, `cannot end with '${end}'`));
  } else if (pathType === 'ImplementationSpecific') {
    if (path && !path.startsWith('/')) problems.push(invalid(place, path, 'must be an absolute path'));
  } else
    problems.push(notSupported(`${field}.pathType`, pathType, ['Exact', 'ImplementationSpecific', 'Prefix']));
  return [...problems, ...checkBackend(backend, `${field}.backend`)];
}

function checkBackend({ service, resource }: IngressBackend, field: string): Problem[] {
  if (service && resource) return [invalid(field, '', 'cannot set both resource and service backends')];
  if (resource) return [];
  if (!service) return [invalid(field, '', 'resource or service backend is required')];
  const { name, number } = service.port ?? {};
  const port = `${field}.service.port`;
  return [
    ...checkDns1035Label(service.name, `${field}.service.name`),
    ...(name && number
      ? [invalid(field, '', 'cannot set both port name & port number')]
      : name
        ? checkPortName(name, `${port}.name`)
        : number
          ? checkPort(number, `${port}.number`)
          : [required(field, 'port name or number is required')]),
  ];
}
