import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { localEndpoints, openHealthPorts } from '../../src/agent/health-ports.js';
import { SERVICE_NAME } from '../../src/api/types.js';
import type { Endpoint, EndpointSlice, Service } from '../../src/api/types.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

const log = pino({ level: 'silent' });

const slice = (service: string, endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${service}-1`, namespace: 'shop', labels: { [SERVICE_NAME]: service } },
  addressType: 'IPv4',
  endpoints,
  ...more,
});
const local = (service: string, healthCheckNodePort: number): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: service, namespace: 'shop' },
  spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort },
});

t.test('ready endpoints of a host are counted, each once', async (t) => {
  const targetRef = { kind: 'Pod', uid: 'u1' };
  const counts = localEndpoints(
    [local('web', 32100), local('api', 32101)],
    [
      slice('web', [
        { addresses: ['10.244.1.2'], nodeName: 'node1', targetRef },
        { addresses: ['10.244.1.3'], nodeName: 'node1', conditions: { ready: true } },
        { addresses: ['10.244.1.4'], nodeName: 'node1', conditions: { ready: false, serving: true } },
        { addresses: ['10.244.2.2'], nodeName: 'node2' },
        { addresses: ['198.51.100.1'] },
      ]),
      slice('web', [{ addresses: ['fd00::2'], nodeName: 'node1', targetRef }], { addressType: 'IPv6' }),
      slice('api', [{ addresses: ['10.244.2.3'], nodeName: 'node2' }]),
      slice('not-asked-for', [{ addresses: ['10.244.1.9'], nodeName: 'node1' }]),
    ],
    'node1',
  );
  t.same(
    counts,
    new Map([
      ['shop/web', 2],
      ['shop/api', 0],
    ]),
  );
});

/** A host, and what it answers on a port. */
const makeHost = (t: Test) => {
  const netns = makeNetns(t);
  const health = openHealthPorts('node1', netns, log);
  t.teardown(() => health.close());
  const ask = async (port: number): Promise<string> => {
    const curl = [
      'curl',
      '-s',
      '--max-time',
      '30',
      '-w',
      ' %{http_code}',
      `http://127.0.0.1:${port}/healthz`,
    ];
    const { spawn } = await import('node:child_process');
    const child = spawn('ip', ['netns', 'exec', netns, ...curl]);
    let text = '';
    child.stdout.on('data', (part: Buffer) => (text += part.toString()));
    await once(child, 'close');
    return text;
  };
  return { netns, health, ask };
};

t.test('on a host', { skip: needsRoot() }, async (t) => {
  t.test('the answer is 200 with endpoints here, 503 without', async (t) => {
    const { health, ask } = makeHost(t);
    const services = [local('web', 32100)];
    const view = {
      services,
      endpointSlices: [slice('web', [{ addresses: ['10.244.1.2'], nodeName: 'node1' }])],
    };
    health.sync(view);
    t.same(health.ports(), [32100]);
    t.equal(await ask(32100), '{"service":{"namespace":"shop","name":"web"},"localEndpoints":1}\n 200');
    health.sync({ services, endpointSlices: [] });
    t.equal(await ask(32100), '{"service":{"namespace":"shop","name":"web"},"localEndpoints":0}\n 503');
  });

  t.test('listeners come and go with the Services', async (t) => {
    const { health, ask } = makeHost(t);
    health.sync({ services: [local('web', 32100), local('api', 32101)], endpointSlices: [] });
    t.same(health.ports(), [32100, 32101]);
    health.sync({ services: [local('other', 32100)], endpointSlices: [] });
    t.same(health.ports(), [32100]);
    t.match(await ask(32100), /"name":"other"/);
    t.equal(await ask(32101), ' 000');
    const cluster = local('other', 32100);
    cluster.spec.externalTrafficPolicy = 'Cluster';
    health.sync({ services: [cluster], endpointSlices: [] });
    t.same(health.ports(), []);
  });

  t.test('a port that another program has is a problem, until it is free', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const health = openHealthPorts('node1', undefined, log);
    t.teardown(() => health.close());
    const view = { services: [local('web', port)], endpointSlices: [] };
    health.sync(view);
    t.match(health.problems(), [/Cannot serve the health checks of Service "shop\/web": .*another program/]);
    t.same(health.ports(), []);
    taken.close();
    await once(taken, 'close');
    health.sync(view);
    t.same(health.problems(), []);
    t.same(health.ports(), [port]);
  });
});
