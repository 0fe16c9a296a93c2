/** Cases about affinity, load balancers, and what outsiders see. */
import { formatIpv4, parseIpv4 } from '../../../src/wire/address.js';
import type { ServiceSpec } from '../../../src/api/types.js';
import { UDP, type Client, type Cluster } from './cluster.js';
import type { Driver } from './cases.js';

const NODES = ['node0', 'node1'];
const STICKY: Partial<ServiceSpec> = { sessionAffinity: 'ClientIP' };
const BRIEF: Partial<ServiceSpec> = {
  ...STICKY,
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 10 } },
};

/** Where a Service is asked: by its ClusterIP or at a NodePort. */
async function sticky(
  cluster: Cluster,
  spec: Partial<ServiceSpec>,
): Promise<{ client: Client; ip: string; port: number }> {
  const client = await cluster.addPod('client');
  await cluster.addPods('web', 3, cluster.sim.hosts.size > 1 ? NODES : ['node0']);
  const service = await cluster.addService('web', spec);
  return spec.type === 'NodePort'
    ? { client, ip: cluster.nodeIp('node0'), port: service.spec.ports![0]!.nodePort! }
    : { client, ip: service.spec.clusterIP!, port: service.spec.ports![0]!.port };
}

const keeps =
  (spec: Partial<ServiceSpec>, protocol: 'TCP' | 'UDP' = 'TCP'): Driver =>
  async (t, cluster) => {
    const { client, ip, port } = await sticky(cluster, { ...STICKY, ...spec });
    const seen = cluster.seen(client, ip, port, protocol, 20);
    t.equal(seen.length, 1);
    t.match(seen[0], /^web-/);
  };

/** Affinity with a timeout of 10 s, which begins anew with every connection. */
const forgets =
  (spec: Partial<ServiceSpec>): Driver =>
  async (t, cluster) => {
    const { client, ip, port } = await sticky(cluster, { ...BRIEF, ...spec });
    const [first, ...others] = cluster.seen(client, ip, port, 'TCP', 15);
    t.strictSame(others, [], 'one pod within 10 s');
    const later = new Set<string>();
    for (let i = 0; i < 20; i++) {
      cluster.sim.run(10_500);
      for (const name of cluster.seen(client, ip, port, 'TCP', 1)) later.add(name);
    }
    t.ok(
      [...later].some((name) => name !== first),
      'another pod after longer pauses',
    );
  };

interface Balancer {
  readonly spec: ServiceSpec;
  readonly ip: string;
}

async function balancer(cluster: Cluster, spec: Partial<ServiceSpec> = {}): Promise<Balancer> {
  const { spec: full, status } = await cluster.addService('web', { type: 'LoadBalancer', ...spec });
  return { spec: full, ip: status!.loadBalancer!.ingress![0]!.ip! };
}

/** Affinity through a load balancer, switched on and off or on from the beginning. */
const balanced =
  (externalTrafficPolicy: 'Local' | 'Cluster', isSwitched: boolean): Driver =>
  async (t, cluster) => {
    // Under Local policy one host answers for the address, and its own endpoints are all there are.
    await cluster.addPods('web', 4, NODES);
    const { ip } = await balancer(cluster, {
      externalTrafficPolicy,
      sessionAffinity: isSwitched ? 'None' : 'ClientIP',
    });
    const count = (): number => {
      const seen = cluster.seen(cluster.outside, ip, 80);
      for (const name of seen) t.match(name, /^web-/);
      return seen.length;
    };
    if (!isSwitched) return void t.equal(count(), 1);
    t.ok(count() > 1, 'without affinity several');
    await cluster.patchService('web', { spec: { sessionAffinity: 'ClientIP' } });
    t.equal(count(), 1, 'with it one');
    await cluster.patchService('web', { spec: { sessionAffinity: 'None' } });
    t.ok(count() > 1, 'and again several');
  };

/** What a host says at a health-check node port: an HTTP status, or that nobody listens. */
function health(cluster: Cluster, client: Client, node: string, port: number): string {
  const reply = cluster.tcp(client, cluster.nodeIp(node), port);
  return typeof reply === 'string' ? reply : reply.by;
}

export const BALANCER: Record<string, Driver> = {
  'svc-024': keeps({}),
  'svc-027': keeps({ type: 'NodePort' }),
  'svc-025': forgets({}),
  'svc-028': forgets({ type: 'NodePort' }),
  'svc-068': keeps({}),
  'svc-069': keeps({ ports: [{ port: 90, protocol: 'UDP', targetPort: UDP }] }, 'UDP'),
  'svc-079': balanced('Local', false),
  'svc-080': balanced('Local', true),
  'svc-081': balanced('Cluster', false),
  'svc-082': balanced('Cluster', true),

  'svc-037': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('web', { lingers: true });
    const { spec } = await balancer(cluster, { externalTrafficPolicy: 'Local' });
    t.equal(health(cluster, client, 'node0', spec.healthCheckNodePort!), '200');
    await cluster.removePod('web');
    t.equal(health(cluster, client, 'node0', spec.healthCheckNodePort!), '503');
    const { nodePort } = spec.ports![0]!;
    t.match(cluster.tcp(cluster.outside, cluster.nodeIp('node0'), nodePort!), { by: 'web' });
  },

  'svc-078': async (t, cluster) => {
    const [first, second] = [
      await cluster.addPod('first', { node: 'node1' }),
      await cluster.addPod('second', { node: 'node1' }),
    ];
    await cluster.addPod('web');
    const range = (name: string): string[] => [`${cluster.podIp(name)}/32`];
    const { ip } = await balancer(cluster, { loadBalancerSourceRanges: range('first') });
    t.match(cluster.tcp(first, ip, 80), { by: 'web' });
    t.equal(cluster.tcp(second, ip, 80), 'silence', 'the other is dropped');
    await cluster.patchService('web', { spec: { loadBalancerSourceRanges: range('second') } });
    t.equal(cluster.tcp(first, ip, 80), 'silence', 'now the first is');
    t.match(cluster.tcp(second, ip, 80), { by: 'web' });
    await cluster.patchService('web', { spec: { loadBalancerSourceRanges: null } });
    t.match(cluster.tcp(first, ip, 80), { by: 'web' });
    t.match(cluster.tcp(second, ip, 80), { by: 'web' });
  },

  'svc-084': async (t, cluster) => {
    await cluster.addPod('web');
    const { spec, ip } = await balancer(cluster, { allocateLoadBalancerNodePorts: false });
    t.equal(spec.ports![0]!.nodePort, undefined);
    t.match(cluster.tcp(cluster.outside, ip, 80), { by: 'web' });
    const after = await cluster.patchService('web', { spec: { allocateLoadBalancerNodePorts: true } });
    const { nodePort } = after.spec.ports![0]!;
    t.ok(nodePort);
    t.match(cluster.tcp(cluster.outside, cluster.nodeIp('node1'), nodePort!), { by: 'web' });
  },

  'svc-085': async (t, cluster) => {
    await cluster.addPod('web', { node: 'node1' });
    const { spec, ip } = await balancer(cluster, { externalTrafficPolicy: 'Local' });
    t.ok(spec.healthCheckNodePort);
    const saw = formatIpv4(cluster.outsider.ip);
    t.strictSame(cluster.tcp(cluster.outside, ip, 80), { by: 'web', saw });
  },

  'svc-086': async (t, cluster) => {
    await cluster.addPod('web', { node: 'node1' });
    const { spec } = await cluster.addService('web', { type: 'NodePort', externalTrafficPolicy: 'Local' });
    const saw = formatIpv4(cluster.outsider.ip);
    const { nodePort } = spec.ports![0]!;
    t.strictSame(cluster.tcp(cluster.outside, cluster.nodeIp('node1'), nodePort!), { by: 'web', saw });
  },

  'svc-087': async (t, cluster) => {
    const nodes = [...NODES, 'node2'];
    const client = await cluster.addPod('client');
    let before: string | undefined;
    let made: Balancer | undefined;
    for (const where of nodes) {
      await cluster.addPod(`web-${where}`, { app: 'web', node: where });
      if (before) await cluster.removePod(before);
      before = `web-${where}`;
      made ??= await balancer(cluster, { externalTrafficPolicy: 'Local' });
      for (const node of nodes)
        t.equal(
          health(cluster, client, node, made.spec.healthCheckNodePort!),
          node === where ? '200' : '503',
          `${node} while the pod is on ${where}`,
        );
      const to = parseIpv4(made.ip)!;
      const answering = nodes.filter((node) => cluster.sim.kernelOf(node).answersFor(to));
      t.strictSame(answering, [where], 'the host with the pod has the address');
      t.match(cluster.tcp(cluster.outside, made.ip, 80), { by: before });
    }
  },

  'svc-089': async (t, cluster) => {
    const client = await cluster.addPod('client');
    await cluster.addPod('web');
    const { spec } = await balancer(cluster, { externalTrafficPolicy: 'Local' });
    const { healthCheckNodePort } = spec;
    const { nodePort } = spec.ports![0]!;
    const own = formatIpv4(cluster.outsider.ip);
    t.equal(health(cluster, client, 'node0', healthCheckNodePort!), '200');
    t.match(cluster.tcp(cluster.outside, cluster.nodeIp('node0'), nodePort!), { saw: own });
    t.type(cluster.tcp(cluster.outside, cluster.nodeIp('node1'), nodePort!), 'string');

    const open = await cluster.patchService('web', {
      spec: { externalTrafficPolicy: 'Cluster', healthCheckNodePort: null },
    });
    t.notOk(open.spec.healthCheckNodePort);
    t.not(health(cluster, client, 'node0', healthCheckNodePort!), '200', 'nobody answers there');
    const reply = cluster.tcp(cluster.outside, cluster.nodeIp('node1'), nodePort!);
    t.match(reply, { by: 'web' }, 'a node without an endpoint answers');
    t.not((reply as { saw: string }).saw, own, 'and the source is another');

    const again = await cluster.patchService('web', {
      spec: { externalTrafficPolicy: 'Local', healthCheckNodePort },
    });
    t.equal(again.spec.healthCheckNodePort, healthCheckNodePort);
    t.equal(health(cluster, client, 'node0', healthCheckNodePort!), '200');
    t.match(cluster.tcp(cluster.outside, cluster.nodeIp('node0'), nodePort!), { saw: own });
  },

  'svc-010': async (t, cluster) => {
    const client = await cluster.addPod('client');
    const one = await cluster.addPods('one', 3);
    const ip1 = (await cluster.addService('one')).spec.clusterIP!;
    t.strictSame(cluster.seen(client, ip1, 80), one);
    await cluster.server.restart();
    await cluster.settle();
    t.strictSame(cluster.seen(client, ip1, 80), one, 'the first Service after the restart');
    const two = await cluster.addPods('two', 3);
    const ip2 = (await cluster.addService('two')).spec.clusterIP!;
    t.not(ip1, ip2);
    t.strictSame(cluster.seen(client, ip1, 80), one);
    t.strictSame(cluster.seen(client, ip2, 80), two);
  },
};
