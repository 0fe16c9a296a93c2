import t from 'tap';
import { ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE, type Kind } from '../../src/api/kinds.js';
import { SERVICE_NAME, type Lab, type Node, type Pod, type Service } from '../../src/api/types.js';
import { startServer, type TestServer } from '../lib/server.js';
import { until } from '../lib/until.js';

const SERVICES = '/api/v1/namespaces/default/services';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

const service = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, ...metadata },
  spec: { ports: [{ port: 80 }], ...spec },
});
const lab = (spec: Lab['spec']): Lab => ({
  apiVersion: 'podwire.dev/v1alpha1',
  kind: 'Lab',
  metadata: { name: 'demo' },
  spec,
});
const node = (name: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address: `192.168.50.${name.slice(4)}` }] },
});

/** Put a Service's fields as `kubectl edit` would, and get the answer. */
const edit = async (server: TestServer, name: string, change: (spec: Service['spec']) => void) => {
  const { body } = await server.call('GET', `${SERVICES}/${name}`);
  change(body.spec);
  // Control may write meanwhile.
  delete body.metadata.resourceVersion;
  return server.call('PUT', `${SERVICES}/${name}`, body);
};

t.test('a Service is answered with all that it got', async (t) => {
  const { call } = await startServer(t);
  const plain = await call('POST', SERVICES, service('web'));
  t.equal(plain.code, 201);
  t.match(plain.body.spec, { type: 'ClusterIP', ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
  t.match(plain.body.spec.clusterIP, /^10\.(9[6-9]|10\d|11[01])\.\d+\.\d+$/);
  t.strictSame(plain.body.spec.clusterIPs, [plain.body.spec.clusterIP]);
  const node = await call('POST', SERVICES, service('node', { type: 'NodePort' }));
  const [{ nodePort }] = node.body.spec.ports;
  t.ok(nodePort >= 30000 && nodePort <= 32767);
  const both = [
    { name: 't', port: 53, protocol: 'TCP' },
    { name: 'u', port: 53, protocol: 'UDP' },
  ];
  const dns = await call('POST', SERVICES, service('dns', { type: 'NodePort', ports: both }));
  t.equal(dns.body.spec.ports[0].nodePort, dns.body.spec.ports[1].nodePort, 'one number on both protocols');
  const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
  const balanced = await call('POST', SERVICES, service('lb', local));
  t.ok(balanced.body.spec.healthCheckNodePort >= 30000);
  const bare = await call(
    'POST',
    SERVICES,
    service('bare', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false }),
  );
  t.equal(bare.body.spec.ports[0].nodePort, undefined);
  const headless = await call('POST', SERVICES, service('headless', { clusterIP: 'None' }));
  t.match(headless.body.spec, {
    clusterIPs: ['None'],
    ipFamilies: ['IPv4', 'IPv6'],
    ipFamilyPolicy: 'RequireDualStack',
  });
  const prefers = await call('POST', SERVICES, service('dual', { ipFamilyPolicy: 'PreferDualStack' }));
  t.match(prefers.body.spec, { ipFamilies: ['IPv4'], ipFamilyPolicy: 'PreferDualStack' });
  const outside = await call(
    'POST',
    SERVICES,
    service('ext', { type: 'ExternalName', externalName: 'a.b', ports: [] }),
  );
  t.equal(outside.body.spec.clusterIP, undefined);
});

t.test('refusals have the code, reason, field and words of Kubernetes', async (t) => {
  const server = await startServer(t);
  const { call } = server;
  const first = await call(
    'POST',
    SERVICES,
    service('first', { type: 'NodePort', clusterIP: '10.96.0.20', ports: [{ port: 80, nodePort: 30080 }] }),
  );
  t.equal(first.code, 201);
  const table: [what: string, spec: object, field: string, message: string | RegExp][] = [
    [
      'taken nodePort',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] },
      'spec.ports[0].nodePort',
      'Invalid value: 30080: provided port is already allocated',
    ],
    [
      'nodePort out of range',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] },
      'spec.ports[0].nodePort',
      'Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    ],
    [
      'taken health check port',
      { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 30080 },
      'spec.healthCheckNodePort',
      /provided port is already allocated/,
    ],
    [
      'taken clusterIP',
      { clusterIP: '10.96.0.20' },
      'spec.clusterIPs',
      'Invalid value: ["10.96.0.20"]: failed to allocate IP 10.96.0.20: provided IP is already allocated',
    ],
    [
      'clusterIP outside',
      { clusterIP: '192.168.1.1' },
      'spec.clusterIPs',
      'Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: the provided IP (192.168.1.1) is not in ' +
        'the valid range. The range of valid IPs is 10.96.0.0/12',
    ],
    ['network address', { clusterIP: '10.96.0.0' }, 'spec.clusterIPs', /is not in the valid range/],
    [
      'port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      'spec.ports[1]',
      /^Duplicate value/,
    ],
    [
      'affinity too long',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      /must be greater than 0 and less than 86400/,
    ],
    [
      'family we lack',
      { ipFamilies: ['IPv6'] },
      'spec.ipFamilies[0]',
      'Invalid value: "IPv6": not configured on this cluster',
    ],
    [
      'both families',
      { ipFamilyPolicy: 'RequireDualStack' },
      'spec.ipFamilyPolicy',
      'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    ],
  ];
  for (const [what, spec, field, message] of table) {
    const answer = await call('POST', SERVICES, service('second', spec));
    t.match(answer, { code: 422, body: { kind: 'Status', reason: 'Invalid' } }, what);
    t.match(answer.body.details.causes[0], { field, message }, what);
    t.equal(answer.body.details.causes.length, 1, what);
  }
  const moved = await edit(server, 'first', (spec) => {
    spec.clusterIP = '10.96.0.21';
    spec.clusterIPs = ['10.96.0.21'];
  });
  t.match(moved, {
    code: 422,
    body: {
      message:
        'Service "first" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.21"]: may not change once set',
      details: { causes: [{ field: 'spec.clusterIPs[0]', reason: 'FieldValueInvalid' }] },
    },
  });
  t.match(await edit(server, 'first', (spec) => void (spec.ports![0]!.nodePort = 100)), {
    code: 422,
    body: { details: { causes: [{ field: 'spec.ports[0].nodePort' }] } },
  });
  t.equal((await call('DELETE', `${SERVICES}/first`)).code, 200);
  const again = await call(
    'POST',
    SERVICES,
    service('second', { type: 'NodePort', clusterIP: '10.96.0.20', ports: [{ port: 80, nodePort: 30080 }] }),
  );
  t.equal(again.code, 201, 'what was given back can be had');
});

t.test('an SCTP port is stored, with a warning', async (t) => {
  const { call } = await startServer(t);
  const answer = await call('POST', SERVICES, service('sip', { ports: [{ port: 5060, protocol: 'SCTP' }] }));
  t.equal(answer.code, 201);
  t.match(
    answer.headers['warning'],
    /299 - "spec.ports\[0\]: port 5060\/SCTP is stored, but packets to it are dropped/,
  );
});

t.test('types change as in Kubernetes', async (t) => {
  const server = await startServer(t);
  await server.call('POST', SERVICES, service('web'));
  const both = [
    { name: 't', port: 80, protocol: 'TCP' as const },
    { name: 'u', port: 80, protocol: 'UDP' as const },
  ];
  const node = await edit(server, 'web', (spec) => Object.assign(spec, { type: 'NodePort', ports: both }));
  t.equal(node.code, 200);
  t.ok(node.body.spec.ports.every(({ nodePort }: { nodePort?: number }) => nodePort! >= 30000));

  const port = node.body.spec.ports[0].nodePort;
  const replaced = await server.call(
    'PUT',
    `${SERVICES}/web`,
    service('web', { type: 'NodePort', ports: both }),
  );
  t.equal(replaced.body.spec.ports[0].nodePort, port, 'a manifest without them keeps port and address');
  t.equal(replaced.body.spec.clusterIP, node.body.spec.clusterIP);

  const external = await edit(server, 'web', (spec) =>
    Object.assign(spec, { type: 'ExternalName', externalName: 'example.com' }),
  );
  t.equal(external.code, 200, external.body.message);
  t.strictSame(
    [external.body.spec.clusterIP, external.body.spec.clusterIPs, external.body.spec.ports[0].nodePort],
    [undefined, undefined, undefined],
  );
  const other = await server.call(
    'POST',
    SERVICES,
    service('other', { type: 'NodePort', ports: [{ port: 80, nodePort: port }] }),
  );
  t.equal(other.code, 201, 'its node port is free again');
  const back = await edit(server, 'web', (spec) => {
    spec.type = 'ClusterIP';
    delete spec.externalName;
  });
  t.match(back.body.spec.clusterIP, /^10\./);

  const balanced = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
  const local = await server.call('POST', SERVICES, service('lb', balanced));
  const check = local.body.spec.healthCheckNodePort;
  const cluster = await edit(server, 'lb', (spec) => void (spec.externalTrafficPolicy = 'Cluster'));
  t.equal(cluster.body.spec.healthCheckNodePort, undefined);
  const again = await edit(server, 'lb', (spec) =>
    Object.assign(spec, { externalTrafficPolicy: 'Local', healthCheckNodePort: check }),
  );
  t.equal(again.body.spec.healthCheckNodePort, check);
});

t.test('many at once never share an address or a port', async (t) => {
  const { call } = await startServer(t);
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => call('POST', SERVICES, service(`s${i}`, { type: 'NodePort' }))),
  );
  t.ok(answers.every(({ code }) => code === 201));
  t.equal(new Set(answers.map(({ body }) => body.spec.clusterIP)).size, answers.length);
  t.equal(new Set(answers.map(({ body }) => body.spec.ports[0].nodePort)).size, answers.length);
});

t.test('a serviceCIDR can be full', async (t) => {
  const { call, client } = await startServer(t);
  await client.create(lab({ serviceCIDR: '10.96.0.0/29' }));
  await until('default/kubernetes has its address', async () =>
    (await client.get(SERVICE, 'kubernetes', 'default'))?.spec.clusterIP === '10.96.0.1' ? true : undefined,
  );
  for (let i = 0; i < 5; i++) t.equal((await call('POST', SERVICES, service(`s${i}`))).code, 201);
  t.match(await call('POST', SERVICES, service('last')), {
    code: 500,
    body: { reason: 'InternalError', message: /failed to allocate a serviceIP: range is full/ },
  });
});

t.test('default/kubernetes is there, follows the Lab and the nodes, and comes back', async (t) => {
  const { client } = await startServer(t);
  await client.create(lab({ serviceCIDR: '10.50.0.0/16' }));
  const first = await until('the Service', async () => {
    const found = await client.get(SERVICE, 'kubernetes', 'default');
    return found?.spec.clusterIP === '10.50.0.1' ? found : undefined;
  });
  t.match(first.spec.ports, [{ name: 'https', port: 443, targetPort: 6443 }]);
  for (const name of ['node1', 'node2']) {
    const made = await client.create(node(name));
    const status = { ...made.status, conditions: [{ type: 'Ready', status: 'True' as const }] };
    await client.updateStatus({
      ...made,
      metadata: { ...made.metadata, resourceVersion: undefined },
      status,
    });
  }
  const slice = await until('both gateways', async () => {
    const found = await client.get(ENDPOINT_SLICE, 'kubernetes', 'default');
    return found?.endpoints.filter(({ conditions }) => conditions?.ready).length === 2 ? found : undefined;
  });
  t.match(slice, {
    metadata: { labels: { [SERVICE_NAME]: 'kubernetes' } },
    ports: [{ name: 'https', port: 6443 }],
    endpoints: [
      { addresses: ['10.244.1.1'], nodeName: 'node1' },
      { addresses: ['10.244.2.1'], nodeName: 'node2' },
    ],
  });
  const old = await until('Endpoints agree', async () => {
    const found = await client.get(ENDPOINTS, 'kubernetes', 'default');
    return found?.subsets?.[0]?.addresses?.length === 2 ? found : undefined;
  });
  t.match(old.subsets, [
    { addresses: [{ ip: '10.244.1.1' }, { ip: '10.244.2.1' }], ports: [{ port: 6443 }] },
  ]);
  await client.remove(SERVICE, 'kubernetes', 'default');
  const again = await until('it is back', () => client.get(SERVICE, 'kubernetes', 'default'));
  t.not(again.metadata.uid, first.metadata.uid);
  t.equal(again.spec.clusterIP, '10.50.0.1');
});

t.test('endpoints follow pods, and go with their Service', async (t) => {
  const { client, call } = await startServer(t);
  await client.create(lab({ underlay: { cidr: '192.168.50.0/24' } }));
  await client.create(node('node1'));
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-1', labels: { app: 'web' } },
    spec: { containers: [{ name: 'c', image: 'nginx' }] },
  };
  await client.create(pod);
  await client.create(service('web', { selector: { app: 'web' }, type: 'LoadBalancer' }) as Service);
  const ready = (wanted: boolean) =>
    until(`an endpoint with ready ${wanted}`, async () => {
      const { items } = await client.list(ENDPOINT_SLICE, { namespace: 'default' });
      return items
        .find(({ metadata }) => metadata.labels?.[SERVICE_NAME] === 'web')
        ?.endpoints.find(({ conditions }) => conditions?.ready === wanted);
    });
  t.match(await ready(false), { addresses: ['10.244.1.2'], nodeName: 'node1' });
  const live = (await client.get(POD, 'web-1', 'default'))!;
  await client.updateStatus({
    ...live,
    status: { ...live.status, phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  });
  await ready(true);
  const { status } = await until('an address', async () => {
    const found = await client.get(SERVICE, 'web', 'default');
    return found?.status?.loadBalancer?.ingress ? found : undefined;
  });
  t.match(status?.loadBalancer, { ingress: [{ ip: '192.168.50.200', ipMode: 'VIP' }] });
  await client.remove(SERVICE, 'web', 'default');
  t.equal(await client.get(ENDPOINTS, 'web', 'default'), undefined, 'Endpoints go at once');
  await until('slices are gone', async () => {
    const { items } = await client.list(ENDPOINT_SLICE, { labelSelector: `${SERVICE_NAME}=web` });
    return items.length === 0 ? true : undefined;
  });
  const made = await call(
    'POST',
    SERVICES,
    service('two', { type: 'LoadBalancer', loadBalancerIP: '192.168.50.200' }),
  );
  t.equal(made.code, 201);
  await until('the address is had again', async () =>
    (await client.get(SERVICE, 'two', 'default'))?.status?.loadBalancer?.ingress?.[0]?.ip === '192.168.50.200'
      ? true
      : undefined,
  );
});

t.test('EndpointSlices by hand: create, patch, and delete as a collection', async (t) => {
  const { call } = await startServer(t);
  for (const name of ['a', 'b', 'c']) {
    const body = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { set: name === 'c' ? 'two' : 'one' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['203.0.113.1'] }],
      ports: [{ port: 80 }],
    };
    t.equal((await call('POST', SLICES, body)).code, 201);
  }
  const patch = { addressType: 'IPv6', endpoints: [] };
  const headers = { 'content-type': 'application/merge-patch+json' };
  t.match(await call('PATCH', `${SLICES}/a`, patch, headers), {
    code: 422,
    body: {
      details: { causes: [{ field: 'addressType', message: 'Invalid value: "IPv6": field is immutable' }] },
    },
  });
  t.match(await call('DELETE', `${SLICES}?labelSelector=set%3Done`), {
    code: 200,
    body: { kind: 'EndpointSliceList', items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }] },
  });
  const left = (await call('GET', SLICES)).body.items.map((item: Pod) => item.metadata.name);
  t.ok(left.includes('c') && !left.includes('a'));
});

t.test('a namespace takes its Services along', async (t) => {
  const { client, call } = await startServer(t);
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  await client.create(service('web', { selector: { app: 'web' } }, { namespace: 'shop' }) as Service);
  await until('a slice', async () => {
    const { items } = await client.list(ENDPOINT_SLICE, { namespace: 'shop' });
    return items.length > 0 ? true : undefined;
  });
  await call('DELETE', '/api/v1/namespaces/shop');
  await until('the namespace is gone', async () =>
    (await call('GET', '/api/v1/namespaces/shop')).code === 404 ? true : undefined,
  );
  for (const kind of [SERVICE, ENDPOINTS, ENDPOINT_SLICE] as Kind[])
    t.equal((await client.list(kind, { namespace: 'shop' })).items.length, 0, kind.plural);
});
