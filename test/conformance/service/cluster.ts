/**
 * A cluster for the Service cases: a real server with its control loop, and the simulator's hosts in place of real ones.
 *
 * This file is the agents' other half: what control wants is done at once (a pod that has an address gets a NIC and is
 * reported ready; one that ends is gone, unless its grace is long), and whatever the server knows reaches the hosts.
 * Nothing sleeps: {@link Cluster.settle} waits until control has nothing left to do, then lets virtual time pass.
 */
import type { Test } from 'tap';
import { localEndpoints, healthCode, wantsHealthPort } from '../../../src/agent/health-ports.js';
import {
  ENDPOINT_SLICE,
  ENDPOINTS,
  LAB,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  type Kind,
} from '../../../src/api/kinds.js';
import {
  AGENT_ANNOTATION,
  AGENT_USER,
  keyOf,
  SERVICE_NAME,
  type ApiObject,
  type ClusterView,
  type EndpointSlice,
  type Lab,
  type Node,
  type Pod,
  type Service,
  type ServiceSpec,
} from '../../../src/api/types.js';
import { createClient } from '../../../src/client/client.js';
import { createInformer } from '../../../src/client/informer.js';
import { reconcileApiService } from '../../../src/control/api-service.js';
import { reconcile } from '../../../src/control/reconcile.js';
import { answer } from '../../../src/names/answer.js';
import { ClusterNames } from '../../../src/names/cluster-names.js';
import type { Endpoint } from '../../../src/sim/endpoint.js';
import { createSim, type Sim } from '../../../src/sim/sim.js';
import { formatIpv4, parseIpv4 } from '../../../src/wire/address.js';
import { startServer, type Answer, type TestServer } from '../../lib/server.js';
import { until } from '../../lib/until.js';

export const HTTP = 8080;
export const UDP = 8081;
/** Grace of pods that go on serving while they end. */
const LONG_GRACE = 600;
/** The record type of an IPv4 address. RFC 1035 §3.2.2. */
const A = 1;
const UNDERLAY = '192.168.50.';
/** An answer that takes longer than this was not immediate. Less than a stream's first retransmission. */
const AT_ONCE_MS = 150;
const PATIENCE_MS = 1500;
const SERVICES = '/api/v1/namespaces/default/services';

/** Who asks: a pod, a host's own programs, or somebody outside; by the socket that leads to an address. */
export type Client = (to: number) => Endpoint;

/** Who answered and whom they saw; or that nobody did. */
export type Reply = { by: string; saw: string } | 'refused' | 'silence';

export interface PodOptions {
  node?: string;
  app?: string;
  isReady?: boolean;
  /** Whether it goes on serving when it is deleted. */
  lingers?: boolean;
  hostNetwork?: boolean;
  ports?: { name?: string; containerPort: number; protocol?: 'TCP' | 'UDP' | 'SCTP'; hostPort?: number }[];
}

const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const toText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export class Cluster {
  readonly server: TestServer;
  readonly sim: Sim;
  /** Somebody on the underlay. */
  readonly outsider: Endpoint;
  readonly #pods = new Map<string, { endpoint: Endpoint; pod: Pod }>();
  readonly #healthPorts = new Map<string, number>();
  #counts = new Map<string, ReadonlyMap<string, number>>();
  #nextPort = 20_000;
  readonly #names = new ClusterNames({
    zone: 'cluster.local',
    pods: 'disabled',
    endpointNames: 'address',
    reverseZones: [],
    servers: [],
  });

  private constructor(server: TestServer, sim: Sim) {
    this.server = server;
    this.sim = sim;
    this.outsider = sim.addOutsider('outsider', parseIpv4(`${UNDERLAY}100`)!);
  }

  /** @param zones  the zone of each node */
  static async open(t: Test, nodes: number, zones: readonly string[] = []): Promise<Cluster> {
    const server = await startServer(t);
    const spec: Lab['spec'] = { underlay: { cidr: `${UNDERLAY}0/24`, mtu: 1500 } };
    const sim = createSim({
      seed: 1,
      lab: spec,
      capacities: { services: 256, endpoints: 256, backends: 512, ranges: 64, affinity: 256 },
    });
    const cluster = new Cluster(server, sim);
    await server.client.create<Lab>({
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: 'cases' },
      spec,
    });
    for (let i = 0; i < nodes; i++) {
      const name = `node${i}`;
      sim.addHost(name);
      const said = sim.view.nodes.find(({ metadata }) => metadata.name === name)!;
      // The node's agent, as far as the server sees it: a mark, and a connection.
      said.metadata.annotations![AGENT_ANNOTATION] = 'simulated';
      const agent = createClient({ socketPath: server.socketPath, userAgent: `${AGENT_USER}${name}` });
      const informer = createInformer(agent, NODE, { changed: () => undefined });
      t.teardown(() => {
        informer.close();
        agent.close();
      });
      await informer.start();
      const labels: Record<string, string> =
        zones[i] === undefined ? {} : { 'topology.kubernetes.io/zone': zones[i] };
      const { status, ...node } = { ...said, metadata: { ...said.metadata, labels } };
      const made = await server.client.create<Node>(node);
      const conditions = [{ type: 'Ready', status: 'True' as const }];
      // Control may write meanwhile.
      const metadata = { ...made.metadata, resourceVersion: undefined };
      await server.client.updateStatus<Node>({ ...made, metadata, status: { ...status, conditions } });
    }
    await cluster.settle();
    return cluster;
  }

  // ---- objects -------------------------------------------------------------------------------------------------------

  /** Make a Service for the pods with label `app` of its name, HTTP on port 80 unless `spec` says otherwise. */
  async addService(name: string, spec: Partial<ServiceSpec> = {}, labels = {}): Promise<Service> {
    await this.server.client.create<Service>({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default', labels },
      spec: { selector: { app: name }, ports: [{ port: 80, targetPort: HTTP }], ...spec },
    });
    await this.settle();
    return this.service(name);
  }

  async service(name: string): Promise<Service> {
    return (await this.server.client.get(SERVICE, name, 'default'))!;
  }

  /** Merge into a Service, as `kubectl patch --type merge` does. */
  async patchService(name: string, patch: object): Promise<Service> {
    await this.server.client.patch(SERVICE, name, 'default', patch);
    await this.settle();
    return this.service(name);
  }

  async removeService(name: string): Promise<void> {
    await this.server.client.remove(SERVICE, name, 'default');
    await this.settle();
  }

  /** Put a Service, and get the answer as it is. */
  post(spec: object, name: string): Promise<Answer> {
    const body = { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
    return this.server.call('POST', SERVICES, body);
  }

  patch(name: string, patch: object): Promise<Answer> {
    const type = { 'content-type': 'application/merge-patch+json' };
    return this.server.call('PATCH', `${SERVICES}/${name}`, patch, type);
  }

  async addPod(name: string, options: PodOptions = {}): Promise<Client> {
    const { isReady = true, lingers = false } = options;
    await this.server.client.create<Pod>({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', labels: { app: options.app ?? name } },
      spec: {
        nodeName: options.node ?? 'node0',
        hostNetwork: options.hostNetwork,
        terminationGracePeriodSeconds: lingers ? LONG_GRACE : 1,
        containers: [
          {
            name: 'server',
            image: 'netserver',
            ports: options.ports,
            ...(!isReady && { readinessProbe: { exec: { command: ['false'] } } }),
          },
        ],
      },
    } as Pod);
    await this.settle();
    return this.pod(name);
  }

  /** Make pods of one app, in turn on the nodes that are named. */
  async addPods(app: string, count: number, nodes: readonly string[] = ['node0'], options: PodOptions = {}) {
    const names = Array.from({ length: count }, (_, i) => `${app}-${i + 1}`);
    for (const [i, name] of names.entries())
      await this.addPod(name, { ...options, app, node: nodes[i % nodes.length] });
    return names;
  }

  async removePod(name: string): Promise<void> {
    await this.server.client.remove(POD, name, 'default');
    await this.settle();
  }

  /** Slices of a Service. */
  async slices(service: string): Promise<EndpointSlice[]> {
    const labelSelector = `${SERVICE_NAME}=${service}`;
    return (await this.server.client.list(ENDPOINT_SLICE, { namespace: 'default', labelSelector })).items;
  }

  // ---- in step -------------------------------------------------------------------------------------------------------

  /** Until nobody has anything to do; then the hosts know. */
  async settle(): Promise<void> {
    const view = await until('control and agents have nothing to do', async () => {
      const now = await this.#view();
      const isSettled = reconcile(now, Date.now(), 0).length === 0 && reconcileApiService(now).length === 0;
      return isSettled && !(await this.#runPods(now.pods)) && now;
    });
    this.sim.setObjects(view);
    this.#names.sync(view);
    this.#serveHealthPorts(view);
    this.sim.run(20);
  }

  async #view(): Promise<ClusterView> {
    const { client } = this.server;
    const list = async <T extends ApiObject>(kind: Kind<T>): Promise<T[]> => (await client.list(kind)).items;
    const [labs, namespaces, nodes, pods, services, endpointSlices, endpoints] = await Promise.all([
      list<Lab>(LAB),
      list(NAMESPACE),
      list(NODE),
      list(POD),
      list(SERVICE),
      list(ENDPOINT_SLICE),
      list(ENDPOINTS),
    ]);
    return { lab: labs[0]!, namespaces, nodes, pods, services, endpointSlices, endpoints };
  }

  /** Do what the nodes' agents do. @returns whether there was something to do */
  async #runPods(pods: readonly Pod[]): Promise<boolean> {
    let hasWorked = false;
    const names = new Set(pods.map(({ metadata }) => metadata.name));
    for (const name of [...this.#pods.keys()])
      if (!names.has(name)) {
        if (!this.#pods.get(name)!.pod.spec.hostNetwork) this.sim.removePod(name);
        this.#pods.delete(name);
      }
    for (const pod of pods) {
      const { name, deletionTimestamp } = pod.metadata;
      const { podIP } = pod.status ?? {};
      if (podIP === undefined) continue;
      if (deletionTimestamp !== undefined && pod.spec.terminationGracePeriodSeconds !== LONG_GRACE) {
        await this.server.client.remove(POD, name, 'default', { gracePeriodSeconds: 0 });
        hasWorked = true;
      } else if (!this.#pods.has(name)) {
        await this.#start(pod, podIP);
        hasWorked = true;
      }
    }
    return hasWorked;
  }

  async #start(pod: Pod, podIP: string): Promise<void> {
    const { name } = pod.metadata;
    const endpoint = pod.spec.hostNetwork
      ? this.sim.kernelOf(pod.spec.nodeName!).node
      : this.sim.addPod(name, pod.spec.nodeName!, { ip: parseIpv4(podIP)! });
    // Of pods that share a host's sockets the first one has the ports.
    const isFirst = [...this.#pods.values()].every((other) => other.endpoint !== endpoint);
    this.#pods.set(name, { endpoint, pod });
    if (isFirst) this.#serve(endpoint, pod);
    const isReady = pod.spec.containers[0]!.readinessProbe === undefined;
    const conditions = [{ type: 'Ready', status: isReady ? ('True' as const) : ('False' as const) }];
    await this.server.client.updateStatus<Pod>({
      ...pod,
      status: {
        ...pod.status,
        phase: 'Running',
        conditions: [...(pod.status?.conditions ?? []), ...conditions],
      },
    });
  }

  /** A pod tells everybody who asks its name, and whom it sees. */
  #serve(endpoint: Endpoint, { metadata: { name }, spec }: Pod): void {
    for (const port of [HTTP, ...(spec.containers[0]!.ports ?? []).map((one) => one.containerPort)])
      endpoint.listen(port, (stream, peer) => {
        stream.write(toBytes(`${name} ${formatIpv4(peer)}`));
        stream.close();
      });
    endpoint.answerUdp(UDP, ({ from }) => toBytes(`${name} ${formatIpv4(from)}`));
  }

  /** Each host answers on the health-check node ports that its agent would have. */
  #serveHealthPorts({ services, endpointSlices, nodes }: ClusterView): void {
    this.#healthPorts.clear();
    for (const service of services)
      if (wantsHealthPort(service)) this.#healthPorts.set(keyOf(service), service.spec.healthCheckNodePort!);
    this.#counts = new Map(
      nodes.map(({ metadata: { name } }) => [name, localEndpoints(services, endpointSlices, name)]),
    );
    for (const { metadata } of nodes)
      for (const [key, port] of this.#healthPorts)
        this.sim.kernelOf(metadata.name).node.listen(port, (stream) => {
          const count = this.#counts.get(metadata.name)?.get(key) ?? 0;
          if (this.#healthPorts.get(key) === port) stream.write(toBytes(`${healthCode(count)} -`));
          stream.close();
        });
  }

  // ---- who asks ------------------------------------------------------------------------------------------------------

  pod(name: string): Client {
    const found = this.#pods.get(name);
    if (!found) throw new RangeError(`Cannot find pod "${name}"`);
    const { endpoint, pod } = found;
    return pod.spec.hostNetwork ? this.host(pod.spec.nodeName!) : () => endpoint;
  }

  host(node: string): Client {
    return (to) => this.sim.kernelOf(node).socketFor(to);
  }

  get outside(): Client {
    return () => this.outsider;
  }

  /** The underlay address of a node. */
  nodeIp(node: string): string {
    return formatIpv4(this.sim.kernelOf(node).node.ip);
  }

  podIp(name: string): string {
    return formatIpv4(this.#pods.get(name)!.endpoint.ip);
  }

  /** The addresses of a Service's name, and the names that it leads to on the way. */
  resolve(service: string): { addresses: string[]; aliases: string[] } {
    const { answers = [] } = answer(this.#names, `${service}.default.svc.cluster.local`, A, 5) ?? {};
    const of = (type: 'A' | 'CNAME'): string[] =>
      answers.flatMap((record) => (record.type === type ? record.data : []));
    return { addresses: of('A'), aliases: of('CNAME') };
  }

  // ---- asking --------------------------------------------------------------------------------------------------------

  /** One request over TCP. */
  tcp(client: Client, address: string, port: number): Reply {
    const { sim } = this;
    const to = parseIpv4(address)!;
    const began = sim.now;
    const stream = client(to).connect(to, port);
    stream.close();
    sim.runUntil(() => stream.hasEnded || stream.state === 'reset', PATIENCE_MS);
    const answer = toText(stream.received());
    if (answer !== '') return replyOf(answer);
    if (stream.state === 'reset') return sim.now - began <= AT_ONCE_MS ? 'refused' : 'silence';
    return 'silence';
  }

  /** One datagram and its answer. */
  udp(client: Client, address: string, port: number, srcPort = this.#nextPort++): Reply {
    const { sim } = this;
    const to = parseIpv4(address)!;
    const endpoint = client(to);
    const [had, errors] = [endpoint.datagrams.length, endpoint.errors.length];
    endpoint.sendUdp(to, port, toBytes('who?'), { srcPort });
    const find = () =>
      endpoint.datagrams
        .slice(had)
        .find((one) => one.from === to && one.srcPort === port && one.dstPort === srcPort);
    sim.runUntil(() => find() !== undefined || endpoint.errors.length > errors, PATIENCE_MS);
    const answer = find();
    if (answer) return replyOf(toText(answer.payload));
    return endpoint.errors.length > errors ? 'refused' : 'silence';
  }

  ask(client: Client, address: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP'): Reply {
    return protocol === 'TCP' ? this.tcp(client, address, port) : this.udp(client, address, port);
  }

  /** Who answered of many requests, each name once and in order; `refused` and `silence` are names too. */
  seen(client: Client, address: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP', tries = 40): string[] {
    const found = new Set<string>();
    for (let i = 0; i < tries; i++) {
      const reply = this.ask(client, address, port, protocol);
      found.add(typeof reply === 'string' ? reply : reply.by);
      if (reply === 'silence') break; // waiting takes long, and one is enough
    }
    return [...found].sort();
  }
}

function replyOf(text: string): Reply {
  const [by, saw] = text.split(' ');
  return { by: by!, saw: saw! };
}
