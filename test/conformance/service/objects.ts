/** Cases about the objects: allocation, types, slices, and what the API says. */
import { ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE } from '../../../src/api/kinds.js';
import type { EndpointSlice, Pod, Service } from '../../../src/api/types.js';
import { until } from '../../lib/until.js';
import { HTTP, UDP } from './cluster.js';
import type { Driver } from './cases.js';

const TAKEN = /provided port is already allocated/;
const OUT_OF_RANGE = /not in the valid range/;
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

/** What a Service of a type has once it is an ExternalName. */
const toExternalName =
  (type: 'ClusterIP' | 'NodePort'): Driver =>
  async (t, cluster) => {
    await cluster.addService('other');
    await cluster.addPods('web', 2);
    const before = await cluster.addService('web', { type });
    t.ok(before.spec.clusterIP);
    t.equal(before.spec.ports![0]!.nodePort !== undefined, type === 'NodePort');
    const pod = await cluster.addPod('client');
    t.match(cluster.seen(pod, before.spec.clusterIP!, 80), ['web-1', 'web-2']);
    const after = await cluster.patchService('web', {
      spec: {
        type: 'ExternalName',
        externalName: 'other.default.svc.cluster.local',
        clusterIP: null,
        clusterIPs: null,
      },
    });
    t.notOk(after.spec.clusterIP, 'no cluster IP is left');
    t.notOk(after.spec.ports?.[0]?.nodePort, 'nor a node port');
    const { clusterIP } = (await cluster.service('other')).spec;
    t.strictSame(
      cluster.resolve('web'),
      { addresses: [clusterIP], aliases: ['other.default.svc.cluster.local'] },
      'its name leads to the other Service',
    );
    t.equal(typeof cluster.ask(pod, before.spec.clusterIP!, 80), 'string', 'nobody answers there');
  };

export const OBJECTS: Record<string, Driver> = {
  'svc-013': async (t, cluster) => {
    const plain = await cluster.addService('web');
    t.equal(plain.spec.ports![0]!.nodePort, undefined);
    const ports = [
      { name: 'tcp', protocol: 'TCP', port: 80 },
      { name: 'udp', protocol: 'UDP', port: 80 },
    ];
    const { code, body } = await cluster.patch('web', { spec: { type: 'NodePort', ports } });
    t.equal(code, 200);
    for (const { nodePort } of body.spec.ports) t.ok(nodePort >= 30000 && nodePort <= 32767);
  },

  'svc-016': toExternalName('ClusterIP'),
  'svc-017': toExternalName('NodePort'),

  'svc-018': async (t, cluster) => {
    const first = await cluster.addService('first', { type: 'NodePort' });
    const { nodePort } = first.spec.ports![0]!;
    const spec = { type: 'NodePort', ports: [{ port: 80, nodePort }] };
    const refused = await cluster.post(spec, 'second');
    t.equal(refused.code, 422);
    t.match(refused.body.message, TAKEN);
    await cluster.removeService('first');
    t.equal((await cluster.post(spec, 'second')).code, 201);
  },

  'svc-019': async (t, cluster) => {
    const made = await cluster.addService('web', { type: 'NodePort' });
    const { nodePort } = made.spec.ports![0]!;
    t.ok(nodePort! >= 30000 && nodePort! <= 32767);
    const ports = [{ port: 80, nodePort: 29_999 }];
    const changed = await cluster.patch('web', { spec: { ports } });
    t.equal(changed.code, 422);
    t.match(changed.body.message, OUT_OF_RANGE);
    const other = await cluster.post({ type: 'NodePort', ports }, 'other');
    t.equal(other.code, 422);
    t.match(other.body.message, OUT_OF_RANGE);
  },

  'svc-020': async (t, cluster) => {
    const made = await cluster.addService('web', { type: 'NodePort' });
    const { nodePort } = made.spec.ports![0]!;
    await cluster.removeService('web');
    const { services } = cluster.sim.hosts.get('node0')!.host.dp;
    const rows = Array.from({ length: services.capacity }, (_, row) => row);
    t.notOk(
      rows.some((row) => services.isUsed(row) && services.portProto[row]! >> 8 === nodePort),
      'no row of the tables holds it',
    );
    const again = await cluster.addService('web', { type: 'NodePort', ports: [{ port: 80, nodePort }] });
    t.equal(again.spec.ports![0]!.nodePort, nodePort);
  },

  'svc-042': async (t, cluster) => {
    const { items } = await cluster.server.client.list<Service>(SERVICE);
    t.ok(items.some(({ metadata }) => metadata.namespace === 'default' && metadata.name === 'kubernetes'));
  },

  'svc-093': async (t, cluster) => {
    const { spec } = await cluster.addService('web');
    t.equal(spec.ipFamilyPolicy, 'SingleStack');
    t.strictSame(spec.ipFamilies, ['IPv4']);
    t.equal(spec.clusterIPs!.length, 1);
  },

  'svc-094': async (t, cluster) => {
    await cluster.addPod('web');
    const { spec } = await cluster.addService('web', { ipFamilies: ['IPv4'] });
    t.equal(spec.clusterIPs!.length, 1);
    t.match(spec.clusterIPs![0], /^\d+\.\d+\.\d+\.\d+$/);
    const slices = await cluster.slices('web');
    t.strictSame(
      slices.map(({ addressType }) => addressType),
      ['IPv4'],
    );
    t.strictSame(
      slices[0]!.endpoints.map(({ addresses }) => addresses),
      [[cluster.podIp('web')]],
    );
  },

  'svc-109': async (t, cluster) => {
    const { client } = cluster.server;
    const endpoints = (await client.get(ENDPOINTS, 'kubernetes', 'default'))!;
    const slices = await cluster.slices('kubernetes');
    const ofSlices = slices.flatMap((slice) => slice.endpoints.flatMap(({ addresses }) => addresses));
    const ofEndpoints = (endpoints.subsets ?? []).flatMap(({ addresses = [] }) =>
      addresses.map(({ ip }) => ip),
    );
    t.ok(ofSlices.length > 0);
    t.strictSame(ofEndpoints.sort(), ofSlices.sort());
  },

  'svc-111': async (t, cluster) => {
    await cluster.addPod('pod1', { app: 'one', ports: [{ name: 'example-name', containerPort: 3000 }] });
    await cluster.addPod('pod2', { app: 'two', ports: [{ name: 'example-name', containerPort: 3001 }] });
    const say = ({ endpoints, ports }: EndpointSlice): object => ({
      ports: (ports ?? []).map(({ port }) => port),
      pods: endpoints.map(({ targetRef }) => targetRef?.name),
    });
    await cluster.addService('one', { ports: [{ port: 80, targetPort: 3000 }] });
    t.strictSame((await cluster.slices('one')).map(say), [{ ports: [3000], pods: ['pod1'] }]);

    for (const name of ['pod1', 'pod2'])
      await cluster.server.client.patch<Pod>(POD, name, 'default', { metadata: { labels: { both: 'yes' } } });
    await cluster.addService('both', {
      selector: { both: 'yes' },
      ports: [{ port: 80, targetPort: 'example-name' }],
    });
    const bySlice = (await cluster.slices('both')).map(say);
    const two = [
      { ports: [3000], pods: ['pod1'] },
      { ports: [3001], pods: ['pod2'] },
    ];
    t.strictSame(bySlice.sort(byText), two);
    const { subsets = [] } = (await cluster.server.client.get(ENDPOINTS, 'both', 'default'))!;
    const bySubset = subsets.map(({ addresses = [], ports = [] }) => ({
      ports: ports.map(({ port }) => port),
      pods: addresses.map(({ targetRef }) => targetRef?.name),
    }));
    t.strictSame(bySubset.sort(byText), two);

    await cluster.addService('nobody', { selector: { no: 'body' } });
    t.strictSame(
      (await cluster.slices('nobody')).map(({ endpoints }) => endpoints),
      [[]],
      'one slice without endpoints',
    );

    for (const { metadata } of await cluster.slices('both'))
      await cluster.server.client.remove(ENDPOINT_SLICE, metadata.name, 'default');
    const again = await until('the slices are there again', async () => {
      const slices = await cluster.slices('both');
      return slices.length === 2 && slices;
    });
    t.strictSame(again.map(say).sort(byText), two, 'as they were');
  },

  'svc-112': async (t, cluster) => {
    const { server } = cluster;
    const abort = new AbortController();
    const events: string[] = [];
    const { resourceVersion } = await server.client.list(ENDPOINT_SLICE, { namespace: 'default' });
    const watching = server.client
      .watch<EndpointSlice>(ENDPOINT_SLICE, {
        namespace: 'default',
        labelSelector: 'made=here',
        resourceVersion,
        signal: abort.signal,
        event: (event) => {
          if (event.type !== 'ERROR' && event.type !== 'BOOKMARK')
            events.push(`${event.type} ${event.object.metadata.name}`);
        },
      })
      .catch(() => undefined);
    const slice = (name: string): object => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { made: 'here' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.1.2.3'] }],
    });
    t.equal((await server.call('POST', SLICES, slice('a'))).code, 201);
    const got = await server.call('GET', `${SLICES}/a`);
    t.equal(got.code, 200);
    t.equal((await server.call('GET', `${SLICES}?labelSelector=made%3Dhere`)).body.items.length, 1);
    const patch = { metadata: { annotations: { patched: 'true' } } };
    const type = { 'content-type': 'application/merge-patch+json' };
    t.equal(
      (await server.call('PATCH', `${SLICES}/a`, patch, type)).body.metadata.annotations.patched,
      'true',
    );
    const fresh = (await server.call('GET', `${SLICES}/a`)).body;
    const updated = await server.call('PUT', `${SLICES}/a`, {
      ...fresh,
      endpoints: [{ addresses: ['10.1.2.4'] }],
    });
    t.equal(updated.code, 200);
    t.equal((await server.call('DELETE', `${SLICES}/a`)).code, 200);
    for (const name of ['b', 'c']) t.equal((await server.call('POST', SLICES, slice(name))).code, 201);
    t.equal((await server.call('DELETE', `${SLICES}?labelSelector=made%3Dhere`)).code, 200);
    t.strictSame((await server.call('GET', `${SLICES}?labelSelector=made%3Dhere`)).body.items, []);
    await until('the watch has told all', () => events.length >= 8);
    abort.abort();
    await watching;
    t.strictSame(events.slice(0, 6), [
      'ADDED a',
      'MODIFIED a',
      'MODIFIED a',
      'DELETED a',
      'ADDED b',
      'ADDED c',
    ]);
    t.strictSame(events.slice(6).sort(), ['DELETED b', 'DELETED c']);
  },

  'svc-048': async (t, cluster) => {
    await cluster.addPod('web', { ports: [{ containerPort: 5060, protocol: 'SCTP' }] });
    const { spec } = await cluster.addService('web', {
      ports: [{ port: 5060, targetPort: 5060, protocol: 'SCTP' }],
    });
    t.equal(spec.ports![0]!.protocol, 'SCTP', 'the object is accepted');
    const [slice] = await cluster.slices('web');
    t.match(slice, {
      endpoints: [{ addresses: [cluster.podIp('web')] }],
      ports: [{ port: 5060, protocol: 'SCTP' }],
    });
  },

  'svc-075': async (t, cluster) => {
    await cluster.addPod('web', { ports: [{ containerPort: 5060, hostPort: 5060, protocol: 'SCTP' }] });
    t.ok(cluster.podIp('web'), 'accepted, placed and started');
  },

  'svc-004': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('pod1', { app: 'web' });
    const { spec } = await cluster.addService('web', {
      ports: [{ name: 'first', port: 80, targetPort: HTTP }],
    });
    const ports = async (): Promise<(number | undefined)[]> =>
      (await cluster.slices('web')).flatMap((slice) => (slice.ports ?? []).map(({ port }) => port));
    t.strictSame(await ports(), [HTTP]);
    t.match(cluster.tcp(client, spec.clusterIP!, 80), { by: 'pod1' });
    const second = { name: 'second', port: 81, protocol: 'UDP' as const, targetPort: UDP };
    await cluster.patchService('web', { spec: { ports: [{ ...spec.ports![0] }, second] } });
    t.strictSame(await ports(), [HTTP, UDP]);
    t.match(cluster.tcp(client, spec.clusterIP!, 80), { by: 'pod1' });
    t.match(cluster.udp(client, spec.clusterIP!, 81), { by: 'pod1' });
    await cluster.patchService('web', { spec: { ports: [second] } });
    t.strictSame(await ports(), [UDP]);
    t.match(cluster.udp(client, spec.clusterIP!, 81), { by: 'pod1' });
    t.type(cluster.tcp(client, spec.clusterIP!, 80), 'string');
  },
};

const byText = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
