import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { ENDPOINT_SLICE, ENDPOINTS, SERVICE } from '../../src/api/kinds.js';
import type { Kind } from '../../src/api/kinds.js';
import type { ApiObject, Endpoints, EndpointSlice, Service } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const service = (spec: object, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', ...metadata },
  spec,
});
const full = (spec: object): Service => withDefaults(service(spec) as Service);
const slice = (parts: object) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: [],
  ...parts,
});
const lines = (value: unknown): string[] => validate(value).map(describeProblem);
const port = { port: 80 };

t.test('defaults of a Service', async (t) => {
  t.match(full({ ports: [port] }).spec, {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    externalTrafficPolicy: undefined,
  });
  t.match(full({ ports: [port], type: 'LoadBalancer', sessionAffinity: 'ClientIP' }).spec, {
    externalTrafficPolicy: 'Cluster',
    allocateLoadBalancerNodePorts: true,
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
  });
  t.match(full({ ports: [port], externalIPs: ['203.0.113.1'] }).spec, { externalTrafficPolicy: 'Cluster' });
  t.strictSame(full({ clusterIP: 'None' }).spec.clusterIPs, ['None']);
  t.equal(full({ clusterIPs: ['10.96.0.9'] }).spec.clusterIP, '10.96.0.9');
  t.equal(full({ ports: [{ port: 80, nodePort: 0, targetPort: 0 }] }).spec.ports![0]!.targetPort, 80);
  t.equal(full({ type: 'ExternalName', externalName: 'example.com' }).spec.internalTrafficPolicy, undefined);
  const once = full({ type: 'NodePort', ports: [port] });
  t.strictSame(withDefaults(once), once, 'they are filled in once');
});

t.test('what is wrong with a Service is said as Kubernetes says it', async (t) => {
  const named = [
    { ...port, name: 'a' },
    { port: 81, name: 'b' },
  ];
  const affinity = (timeoutSeconds: number) => ({
    ports: [port],
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds } },
  });
  const external = { type: 'ExternalName', externalName: 'example.com' };
  const table: [what: string, spec: object, ...expected: (string | RegExp)[]][] = [
    ['fine', { ports: named }],
    ['one number on both protocols', { ports: [{ ...named[0] }, { name: 'b', port: 80, protocol: 'UDP' }] }],
    ['headless without ports', { clusterIP: 'None' }],
    ['ExternalName without ports', external],
    ['ExternalName with a final dot', { ...external, externalName: 'example.com.' }],
    ['affinity of a day', affinity(86400)],
    ['without ports', {}, 'spec.ports: Required value'],
    [
      'port twice',
      { ports: [named[0], { ...port, name: 'b' }] },
      'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}',
    ],
    [
      'names twice',
      { ports: [named[0], { port: 81, name: 'a' }] },
      'spec.ports[1].name: Duplicate value: "a"',
    ],
    ['no name', { ports: [named[0], { port: 81 }] }, 'spec.ports[1].name: Required value'],
    [
      'port out of range',
      { ports: [{ port: 70000 }] },
      'spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
      /targetPort/,
    ],
    [
      'nodePort of a ClusterIP',
      { ports: [{ port: 80, nodePort: 30080 }] },
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [
      'nodePort twice',
      {
        type: 'NodePort',
        ports: [
          { ...named[0], nodePort: 30080 },
          { ...named[1], nodePort: 30080 },
        ],
      },
      'spec.ports[1].nodePort: Duplicate value: 30080',
    ],
    [
      'affinity of no time',
      affinity(0),
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400',
    ],
    ['affinity of more than a day', affinity(86401), /timeoutSeconds: Invalid value: 86401: must be greater/],
    [
      'headless NodePort',
      { type: 'NodePort', clusterIP: 'None', ports: [port] },
      'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services',
    ],
    [
      'no address',
      { clusterIP: 'web', ports: [port] },
      /^spec\.clusterIPs\[0\]: Invalid value: "web": must be a valid IP/,
    ],
    [
      'addresses that differ',
      { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.2'], ports: [port] },
      'spec.clusterIPs: Invalid value: ["10.96.0.2"]: first value must match `clusterIP`',
    ],
    [
      'family that differs',
      { clusterIP: '10.96.0.9', ipFamilies: ['IPv6'], ports: [port] },
      'spec.clusterIPs[0]: Invalid value: "10.96.0.9": expected an IPv6 value as indicated by `ipFamilies[0]`',
    ],
    ['ExternalName without a name', { type: 'ExternalName' }, 'spec.externalName: Required value'],
    [
      'ExternalName with an address',
      { ...external, clusterIP: '10.96.0.9' },
      'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
    ],
    [
      'policy of a ClusterIP',
      { ports: [port], externalTrafficPolicy: 'Local' },
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
    [
      'health checks of a NodePort',
      { type: 'NodePort', ports: [port], healthCheckNodePort: 30001 },
      "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ],
    [
      'source ranges of a NodePort',
      { type: 'NodePort', ports: [port], loadBalancerSourceRanges: ['10.0.0.0/8'] },
      "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
    [
      'source range that is none',
      { type: 'LoadBalancer', ports: [port], loadBalancerSourceRanges: [' 10.0.0.0/8 ', '10.0.0.1'] },
      /^spec\.loadBalancerSourceRanges\[1\]: Invalid value: "10\.0\.0\.1": must be a valid CIDR value/,
    ],
    [
      'loopback as external address',
      { ports: [port], externalIPs: ['127.0.0.1'] },
      'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      'unknown distribution',
      { ports: [port], trafficDistribution: 'Far' },
      /^spec\.trafficDistribution: Unsupported value: "Far"/,
    ],
    ['unknown type', { ports: [port], type: 'Cluster' }, /^spec\.type: Unsupported value: "Cluster"/],
  ];
  for (const [what, spec, ...expected] of table) t.match(lines(service(spec)), expected, what);
  for (const [what, spec, ...expected] of table)
    t.equal(lines(service(spec)).length, expected.length, `${what}: nothing else`);
  t.match(lines(service({ ports: [port] }, { name: '1web' })), [/a DNS-1035 label must consist of/]);
  const scheduled = service({ ports: [port] }, { annotations: { 'podwire.dev/scheduler': 'wrr' } });
  t.match(lines(scheduled), [/metadata\.annotations\[podwire\.dev\/scheduler\]: Unsupported value: "wrr"/]);
});

t.test('what is wrong with an EndpointSlice', async (t) => {
  const endpoint = { addresses: ['203.0.113.9'] };
  t.strictSame(lines(slice({ endpoints: [endpoint], ports: [{ port: 80 }] })), []);
  t.match(lines(slice({ addressType: undefined })), ['addressType: Required value: must be specified']);
  t.match(lines(slice({ endpoints: [{ addresses: [] }] })), [
    'endpoints[0].addresses: Required value: must contain at least 1 address',
  ]);
  t.match(lines(slice({ endpoints: [{ addresses: ['2001:db8::1'] }] })), [
    /^endpoints\[0\]\.addresses\[0\]: Invalid value: "2001:db8::1": must be an IPv4 address/,
  ]);
  t.match(lines(slice({ endpoints: [{ addresses: ['169.254.1.1'] }] })), [
    /may not be in the link-local range/,
  ]);
  t.match(lines(slice({ endpoints: [endpoint], ports: [{ port: 80 }, { port: 81 }] })), [
    'ports[1].name: Duplicate value: ""',
  ]);
  t.match(lines(slice({ endpoints: Array.from({ length: 1001 }, () => endpoint) })), [
    'endpoints: Too many: 1001: must have at most 1000 items',
  ]);
});

t.test('what is wrong with Endpoints', async (t) => {
  const endpoints = (subsets: unknown) => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'db' },
    subsets,
  });
  t.strictSame(lines(endpoints([{ addresses: [{ ip: '203.0.113.9' }], ports: [{ port: 5432 }] }])), []);
  t.match(lines(endpoints([{ ports: [{ port: 1 }] }])), [
    'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`',
  ]);
  t.match(lines(endpoints([{ addresses: [{ ip: '127.0.0.1' }] }])), [
    /^subsets\[0\]\.addresses\[0\]\.ip: .*loopback/,
  ]);
});

t.test('the columns are those of kubectl', async (t) => {
  const row = <T extends ApiObject>(kind: Kind<T>, object: T): string =>
    kind.columns
      .filter(({ name }) => name !== 'Age')
      .map((column) => column.value(object, 0))
      .join(' | ');
  t.strictSame(
    SERVICE.columns.map(({ name }) => name),
    ['Name', 'Type', 'Cluster-IP', 'External-IP', 'Port(s)', 'Age', 'Selector'],
  );
  t.equal(
    row(SERVICE, full({ clusterIP: '10.96.0.9', ports: [port], selector: { app: 'web', a: 'b' } })),
    'web | ClusterIP | 10.96.0.9 | <none> | 80/TCP | a=b,app=web',
  );
  const balanced = full({
    type: 'LoadBalancer',
    clusterIP: '10.96.0.9',
    ports: [{ port: 80, nodePort: 30080 }],
  });
  t.equal(row(SERVICE, balanced), 'web | LoadBalancer | 10.96.0.9 | <pending> | 80:30080/TCP | <none>');
  balanced.status = { loadBalancer: { ingress: [{ ip: '192.168.50.200' }] } };
  t.match(row(SERVICE, balanced), / \| 192\.168\.50\.200 \| /);
  t.equal(
    row(SERVICE, full({ type: 'ExternalName', externalName: 'example.com' })),
    'web | ExternalName | <none> | example.com | <none> | <none>',
  );
  const endpoints = ['10.244.1.2', '10.244.1.3', '10.244.2.2', '10.244.2.3'].map((ip) => ({
    addresses: [ip],
  }));
  t.equal(
    row(ENDPOINT_SLICE, slice({ endpoints, ports: [{ port: 80 }] }) as EndpointSlice),
    'web-1 | IPv4 | 80 | 10.244.1.2,10.244.1.3,10.244.2.2 + 1 more...',
  );
  t.equal(row(ENDPOINT_SLICE, slice({}) as EndpointSlice), 'web-1 | IPv4 | <unset> | <unset>');
  const subsets = [{ addresses: [{ ip: '10.244.1.2' }, { ip: '10.244.1.3' }], ports: [{ port: 80 }] }];
  const old: Endpoints = { apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'web' }, subsets };
  t.equal(row(ENDPOINTS, old), 'web | 10.244.1.2:80,10.244.1.3:80');
  t.equal(row(ENDPOINTS, { ...old, subsets: undefined }), 'web | <none>');
});
