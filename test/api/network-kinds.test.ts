/**
 * Ingress, IngressClass, NetworkPolicy and the Gateway API: defaults, rules, columns.
 */
import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { findKind, kindOf } from '../../src/api/kinds.js';
import type { ApiObject, Gateway, HTTPRoute, Ingress, NetworkPolicy } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const wrong = (object: unknown): string[] => validate(object).map(describeProblem);
const cells = (object: ApiObject): unknown[] =>
  kindOf(object)!.columns.map((column) => column.value(object, 0));
const make = <T extends ApiObject>(apiVersion: string, kind: string, spec: object): T =>
  ({ apiVersion, kind, metadata: { name: 'a', namespace: 'default' }, spec }) as unknown as T;
const ingress = (spec: object): Ingress => make('networking.k8s.io/v1', 'Ingress', spec);
const policy = (spec: object): NetworkPolicy => make('networking.k8s.io/v1', 'NetworkPolicy', spec);
const gateway = (kind: string, spec: object, version = 'v1'): ApiObject =>
  make(`gateway.networking.k8s.io/${version}`, kind, spec);
const backend = { service: { name: 'web', port: { number: 80 } } };

t.test('an Ingress and its columns', async (t) => {
  const paths = [{ path: '/', pathType: 'Prefix', backend }];
  const hosts = ['a.example.com', 'b.example.com', 'c.example.com', '*.example.com'];
  const object = ingress({
    ingressClassName: 'nginx',
    rules: hosts.map((host) => ({ host, http: { paths } })),
    tls: [{ hosts, secretName: 'cert' }],
  });
  t.strictSame(wrong(object), []);
  object.status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example.com' }] } };
  t.strictSame(cells(object), [
    'a',
    'nginx',
    'a.example.com,b.example.com,c.example.com + 1 more...',
    '192.0.2.1,lb.example.com',
    '80, 443',
    '<unknown>',
  ]);
});

t.test('what an Ingress may not be', async (t) => {
  const path = (parts: object): string[] =>
    wrong(ingress({ rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', backend, ...parts }] } }] }));
  const field = 'spec.rules[0].http.paths[0]';
  t.strictSame(wrong(ingress({})), [
    'spec: Invalid value: []: either `defaultBackend` or `rules` must be specified',
  ]);
  t.strictSame(path({ path: 'a' }), [`${field}.path: Invalid value: "a": must be an absolute path`]);
  t.strictSame(path({ path: '/a//b' }), [`${field}.path: Invalid value: "/a//b": must not contain '//'`]);
  t.strictSame(path({ pathType: 'Exactly' }), [
    `${field}.pathType: Unsupported value: "Exactly": supported values: "Exact", "ImplementationSpecific", "Prefix"`,
  ]);
  t.strictSame(path({ pathType: undefined }), [`${field}.pathType: Required value`]);
  t.strictSame(path({ backend: {} }), [
    `${field}.backend: Invalid value: "": resource or service backend is required`,
  ]);
  t.strictSame(path({ backend: { service: { name: 'web' } } }), [
    `${field}.backend: Required value: port name or number is required`,
  ]);
  t.strictSame(wrong(ingress({ rules: [{ host: '10.0.0.1' }] })), [
    'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
  ]);
  t.match(wrong(ingress({ rules: [{ host: 'a.*.com' }] })), [
    /^spec.rules\[0\].host: .*a wildcard DNS-1123 subdomain/,
  ]);
});

t.test('an IngressClass', async (t) => {
  const make = (spec: object): ApiObject =>
    ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name: 'a' },
      spec,
    }) as ApiObject;
  const parameters = { apiGroup: 'k8s.example.net', kind: 'P', name: 'p' };
  t.strictSame(cells(make({ controller: 'example.com/x', parameters })).slice(0, 3), [
    'a',
    'example.com/x',
    'P.k8s.example.net/p',
  ]);
  t.strictSame(wrong(make({})), ['spec.controller: Required value']);
  t.match(wrong(make({ controller: 'x' })), [/must be a domain-prefixed path/]);
});

t.test('a NetworkPolicy means ingress, and egress when it has such rules', async (t) => {
  t.strictSame(withDefaults(policy({})).spec, { podSelector: {}, policyTypes: ['Ingress'] });
  t.strictSame(withDefaults(policy({ egress: [{ ports: [{ port: 53 }] }] })).spec, {
    podSelector: {},
    egress: [{ ports: [{ port: 53, protocol: 'TCP' }] }],
    policyTypes: ['Ingress', 'Egress'],
  });
  t.strictSame(cells(withDefaults(policy({ podSelector: { matchLabels: { app: 'db' } } }))).slice(0, 2), [
    'a',
    'app=db',
  ]);
});

t.test('what a NetworkPolicy may not be', async (t) => {
  const from = (peer: object): string[] => wrong(policy({ ingress: [{ from: [peer] }] }));
  const field = 'spec.ingress[0].from[0]';
  t.strictSame(from({}), [`${field}: Required value: must specify a peer`]);
  t.strictSame(from({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }), [
    `${field}: Forbidden: may not specify both ipBlock and another peer`,
  ]);
  t.strictSame(
    from({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.0.0.0/8', '11.0.0.0/16'] } }),
    [
      `${field}.ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of \`cidr\``,
      `${field}.ipBlock.except[2]: Invalid value: "11.0.0.0/16": must be a strict subset of \`cidr\``,
    ],
  );
  const port = (parts: object): string[] => wrong(policy({ egress: [{ ports: [parts] }] }));
  t.match(port({ port: 80, endPort: 79 }), [
    /endPort: Invalid value: 79: must be greater than or equal to `port`$/,
  ]);
  t.match(port({ port: 'http', endPort: 90 }), [/may not be specified when `port` is non-numeric$/]);
  t.match(port({ port: 0 }), [/port: Invalid value: 0: must be between 1 and 65535, inclusive$/]);
  t.match(wrong(policy({ policyTypes: ['Inside'] })), [/policyTypes\[0\]: Unsupported value: "Inside"/]);
});

t.test('defaults of the Gateway API come from its schemas', async (t) => {
  const full = withDefaults(
    gateway('HTTPRoute', {
      parentRefs: [{ name: 'gw' }],
      rules: [{ backendRefs: [{ name: 'web', port: 80 }] }],
    }),
  ) as HTTPRoute;
  t.strictSame(full.spec, {
    parentRefs: [{ name: 'gw', group: 'gateway.networking.k8s.io', kind: 'Gateway' }],
    rules: [
      {
        backendRefs: [{ name: 'web', port: 80, group: '', kind: 'Service', weight: 1 }],
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
      },
    ],
  });
  t.strictSame(withDefaults(full), full);
  t.strictSame(wrong(full), []);
  const listeners = [{ name: 'http', port: 80, protocol: 'HTTP' }];
  const made = withDefaults(gateway('Gateway', { gatewayClassName: 'x', listeners })) as Gateway;
  t.match(made.spec.listeners[0], { allowedRoutes: { namespaces: { from: 'Same' } } });
  kindOf(made)!.prepareCreate!(made);
  t.strictSame(cells(made), ['a', 'x', '', 'Unknown', '<unknown>']);
});

t.test('what objects of the Gateway API may not be', async (t) => {
  t.strictSame(wrong(gateway('Gateway', { gatewayClassName: 'x', listeners: [] })), [
    'spec.listeners: Invalid value: 0: spec.listeners in body should have at least 1 items',
  ]);
  const listener = { name: 'http', port: 80, protocol: 'HTTP' };
  t.match(wrong(gateway('Gateway', { gatewayClassName: 'x', listeners: [listener, listener] })), [
    /^spec.listeners\[1\]: Duplicate value: "http"$/,
    /^spec.listeners\[1\]: Duplicate value: "80\/HTTP\/"$/,
  ]);
  t.match(wrong(gateway('Gateway', { gatewayClassName: 'x', listeners: [{ ...listener, tls: {} }] })), [
    /tls must not be specified for protocols/,
  ]);
  const route = (rule: object, kind = 'HTTPRoute'): string[] => wrong(gateway(kind, { rules: [rule] }));
  t.match(route({ backendRefs: [{ name: 'web' }] }), [/Must have port for Service reference$/]);
  t.match(route({ matches: [{ path: { value: 'a' } }] }), [
    /value must be an absolute path and start with '\/'/,
  ]);
  t.strictSame(route({ backendRefs: [{ name: 'web', port: 80 }] }, 'TCPRoute'), []);
  t.strictSame(wrong(gateway('TCPRoute', {})), ['spec.rules: Required value']);
  t.match(
    wrong(
      gateway('ReferenceGrant', {
        from: [{ kind: 'X', namespace: 'a' }],
        to: [{ group: '', kind: 'Service' }],
      }),
    ),
    [/^spec.from\[0\].group: Required value$/],
  );
});

t.test('older versions are known too', async (t) => {
  for (const [kind, versions] of [
    ['Gateway', ['v1', 'v1beta1']],
    ['HTTPRoute', ['v1', 'v1beta1']],
    ['TLSRoute', ['v1', 'v1alpha3', 'v1alpha2']],
    ['TCPRoute', ['v1', 'v1alpha2']],
    ['ReferenceGrant', ['v1', 'v1beta1']],
  ] as const)
    for (const version of versions)
      t.equal(findKind(`gateway.networking.k8s.io/${version}`, kind)?.kind, kind, `${kind} ${version}`);
});
