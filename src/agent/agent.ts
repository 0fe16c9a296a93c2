/**
 * One host: wires the source of objects to the packet path and the pods, keeps the host's own state, reports, and
 * serves the host's API.
 *
 *     source ── view ──┬─► packet path (tables, pw0, tunnels)      in this order: a pod's port needs its row
 *                      └─► pods (holders, processes) ── status ──► source
 *
 * It starts in steps, some of which have to wait (for the server, for a pod CIDR), and ends in the reverse order.
 * Whatever it waits for, a stop ends it. Pods and their TAPs outlive the agent; all else that it made goes with it.
 *
 * What depends on the underlay's NIC is a stage of its own: when the NIC gets another address or name, the stage ends and
 * begins anew, as in a restart; the API, the link to the server and what is known of the cluster stay.
 */
import type { RequestListener } from 'node:http';
import { timestamp } from '../api/age.js';
import { labSpec } from '../api/defaults.js';
import { nodeAddress } from '../api/node.js';
import { NODE_STARTING, type ClusterView, type Pod, type PodStatus } from '../api/types.js';
import { podMtu } from '../compile/compile.js';
import { nodeAddresses } from '../compile/node-addresses.js';
import type { Offload } from '../sys/tap.js';
import { formatIpv4 } from '../wire/address.js';
import { createApiRelay } from './api-relay.js';
import type { Line } from './api/dial.js';
import { createAgentListener, serveAgentApi } from './api/http.js';
import { createAgentDns } from './dns/agent-dns.js';
import { openHostSide, WITHOUT_RULES } from './host-side.js';
import { takeLock } from './lock.js';
import type { Logger } from './log.js';
import { nodeObject } from './node-object.js';
import type { NodeFacts } from './node-object.js';
import { createEndings, Failed, messageOf, oneAtATime, Stopped, watchForEnd } from './life.js';
import type { AgentParts } from './parts.js';
import { agentPaths, makeAgentDirs, type AgentPaths } from './paths.js';
import { createUnderlayReport } from './peers/underlay-report.js';
import { hostCapacity, podObjects } from './pod-objects.js';
import { AccountPods } from './pods/account-pods.js';
import { resolverFiles } from './pods/pod-dns.js';
import { preflight } from './preflight.js';
import type { ClusterSource } from './source/source.js';
import { ourNode, ourPods, showAgent } from './status.js';
import type { AgentFacts } from './status.js';
import { findUnderlay, refuseTakenAddress, type UnderlayWish } from './underlay.js';

export interface AgentOptions {
  lab: string;
  node: string;
  /** The host's namespace; undefined: the one we are in. */
  netns?: string;
  /** The underlay's NIC, or an address that it reaches; with neither it is found. */
  iface?: string;
  canReach?: string;
  /** Where the server is, when it is elsewhere: the NIC on the way to it, if none was wished for. */
  serverAddress?: string;
  offload: Offload;
  /** The longest time that the packet worker looks for packets before it sleeps, in microseconds. */
  spinUs?: number;
  /** Whether the host may be given rules, routes and settings; default: yes. */
  hasHostRules?: boolean;
  source: ClusterSource;
  /** Give the server a link by which it reaches this API; absent where there is no server. */
  dial?(listener: RequestListener): Line;
  /** The path socket of the lab's relay to DNS servers outside; without it they are asked from here. */
  dnsRelay?: string;
  parts: AgentParts;
  log: Logger;
  /** Aborted when the agent shall end. */
  stop: AbortSignal;
}

const HEARTBEAT_MS = 10_000;
/** How often the node's Lease is renewed: a write of few bytes. */
const LEASE_MS = 5_000;

/**
 * Run the agent of a host.
 *
 * @returns 0 when it was told to stop, 1 when it could go on no longer (the reason is in the log)
 * @throws  an Error that says why it could not start
 */
export const runAgent = async (options: AgentOptions): Promise<number> => {
  const { lab, node, netns, source, parts, log, hasHostRules = true } = options;
  const facts: AgentFacts = {
    lab,
    node,
    netns,
    source,
    phase: 'starting',
    statuses: new Map(),
    ways: new Map(),
  };
  const capacity = hostCapacity();
  const ending = watchForEnd(options.stop);
  const endings = createEndings(log);
  /** Of what depends on the underlay. */
  const stage = createEndings(log);
  let wish: UnderlayWish = {
    iface: options.iface,
    canReach: options.canReach,
    server: options.serverAddress,
  };

  /** The first answer that is not undefined, from the view in hand or a later one. */
  const lookers = new Set<() => void>();
  const fromView = <T>(what: string, pick: () => T | undefined): Promise<T> => {
    facts.waitsFor = what;
    return ending.orEnd(
      new Promise((resolve) => {
        const look = (): void => {
          const answer = pick();
          if (answer === undefined) return;
          lookers.delete(look);
          facts.waitsFor = undefined;
          resolve(answer);
        };
        lookers.add(look);
        look();
      }),
    );
  };

  const accountPods = new AccountPods();
  const publish = oneAtATime(async () => {
    if (!facts.view || !facts.path || facts.phase === 'stopping') return;
    try {
      await facts.path.setView(facts.view);
      facts.viewProblem = undefined;
      facts.runtime?.sync(accountPods.of(ourPods(facts), facts.view.serviceAccounts));
      await facts.hostSide?.sync(facts.view);
      facts.apiRelay?.sync();
      await syncDns(facts.view);
    } catch (error) {
      facts.viewProblem = `Cannot put the newest objects into force: ${messageOf(error)}`;
      log.error({ err: error }, facts.viewProblem);
    }
  });

  /** Names after the packets' tables; what has become of our answering is said at once. */
  const syncDns = async (view: ClusterView): Promise<void> => {
    if (!facts.dns) return;
    const before = facts.dns.problem();
    await facts.dns.sync(view);
    if (facts.dns.problem() !== before && facts.phase === 'running') reportNode();
  };

  const onView = (view: ClusterView): void => {
    if (view.pods !== facts.view?.pods) {
      const uids = new Set(view.pods.map((pod) => pod.metadata.uid));
      for (const uid of facts.statuses.keys()) if (!uids.has(uid)) facts.statuses.delete(uid);
    }
    facts.view = view;
    const cidr = ourNode(facts)?.spec?.podCIDR;
    if (facts.podCidr !== undefined && cidr !== undefined && cidr !== facts.podCidr)
      ending.fail(
        `The pod CIDR of node "${node}" was ${facts.podCidr} and is now ${cidr}: the agent must begin anew`,
      );
    for (const look of [...lookers]) look();
    void publish();
  };

  const reportNode = (notReady?: NodeFacts['notReady']): void => {
    if (!facts.underlay || !facts.view) return;
    const { vni } = labSpec(facts.view.lab).backend;
    const now = timestamp(Date.now());
    source.reportNode(
      nodeObject({
        name: node,
        address: facts.underlay.address,
        vni,
        podCidr: facts.podCidr,
        capacity,
        notReady,
        underlay: facts.conditions,
        dns: hasHostRules ? facts.dns && { problem: facts.dns.problem() } : { problem: WITHOUT_RULES },
        now,
      }),
    );
  };

  /** Settle which NIC and which pod CIDR are ours, and tell everybody. */
  const join = async (): Promise<{ underlay: NonNullable<AgentFacts['underlay']>; podCidr: string }> => {
    const view = await fromView('the first objects', () => facts.view);
    if (source.saysAddresses) wish = { ...wish, address: nodeAddress(ourNode(facts) ?? NOBODY) };
    const underlay = await findUnderlay(wish, netns);
    log.info(underlay, `The underlay is ${underlay.nic} with ${underlay.address}: ${underlay.why}`);
    refuseTakenAddress(node, underlay, view.nodes);
    facts.underlay = underlay;
    const starting = { reason: NODE_STARTING, message: 'The agent starts' };
    reportNode(starting);
    const podCidr = await fromView(
      `a pod CIDR for node "${node}"`,
      () => ourNode(facts)?.spec?.podCIDR || undefined,
    );
    facts.podCidr = podCidr;
    reportNode(starting); // now with the VTEP's MAC address, which is made from the pod CIDR
    return { underlay, podCidr };
  };

  const underlayReport = createUnderlayReport({
    facts,
    log,
    changed() {
      if (facts.phase === 'running') reportNode();
    },
  });

  /** What pods find at the gateway address: the API, and cluster DNS. */
  const serveGateway = async (address: number): Promise<void> => {
    if (source.connectToApi) {
      const connect = source.connectToApi.bind(source);
      const relay = createApiRelay({ netns, address, connect, log });
      stage.add('the API relay', () => relay.close());
      relay.sync();
      facts.apiRelay = relay;
    }
    const dns = createAgentDns({ netns, address, relay: options.dnsRelay, log: log.child({ part: 'dns' }) });
    stage.add('DNS', () => dns.close());
    await dns.sync(facts.view!);
    facts.dns = dns;
  };

  /** What there is one of as long as the agent lives. */
  const begin = async (paths: AgentPaths): Promise<void> => {
    const [problem] = preflight({ netns });
    if (problem !== undefined) throw new Error(problem);
    makeAgentDirs(paths);
    const lock = await takeLock(paths.dir, paths.pid, `node "${node}" of lab "${lab}"`);
    endings.add('the lock', () => lock.release());
    const listener = createAgentListener(showAgent(facts), log);
    const api = await serveAgentApi(paths.socket, listener);
    endings.add('the API', () => api.close());
    const line = options.dial?.(listener);
    endings.add('the link to the server', () => line?.close());

    log.info({ netns, source: source.name }, 'The agent starts');
    facts.waitsFor = source.name;
    endings.add('the source', () => source.close());
    await ending.orEnd(source.start(onView));
  };

  /** Forward packets over the underlay as it is now. @returns what resolves, with the reason, when it is another */
  const forward = async (paths: AgentPaths): Promise<{ moved: Promise<string> }> => {
    const { underlay, podCidr } = await join();
    const addresses = nodeAddresses(podCidr);
    if (!addresses)
      throw new Error(
        `Cannot use pod CIDR "${podCidr}" of node "${node}": expected an IPv4 prefix up to /29`,
      );

    const spec = labSpec(facts.view!.lab);
    const mtu = podMtu(spec.underlay.mtu);
    const path = await parts.startPacketPath({
      node: ourNode(facts)!,
      lab: facts.view!.lab,
      netns,
      iface: underlay.nic,
      offload: options.offload,
      spinUs: options.spinUs,
      log: log.child({ part: 'packets' }),
      fatal: ending.fail,
    });
    facts.path = path;
    stage.add('the packet path', () => path.close());

    const runtime = parts.createPodRuntime({
      lab,
      node,
      dir: paths.pods,
      network: path.network,
      hostAddress: underlay.address,
      netns,
      services: () => facts.view?.services ?? [],
      objects: podObjects(() => facts.view),
      allocatable: capacity,
      requestToken: source.requestToken,
      resolverFiles: (pod, hostname) =>
        resolverFiles(pod, hostname, {
          lab: facts.view!.lab,
          gateway: formatIpv4(addresses.gateway),
          isInLab: netns !== undefined,
        }),
      report(pod: Pod, status: PodStatus) {
        facts.statuses.set(pod.metadata.uid ?? '', status);
        source.reportPod(pod, status);
      },
      event: (event) => source.reportEvent(event),
      removed(pod: Pod) {
        facts.statuses.delete(pod.metadata.uid ?? '');
        source.podRemoved(pod);
      },
      log: log.child({ part: 'pods' }),
    });
    facts.runtime = runtime;
    stage.add('the pods', () => runtime.close());
    // The pods first: after a restart their connections wait.
    const published = publish();
    const hostSide = await openHostSide({
      node,
      netns,
      underlay,
      addresses,
      podCidr: spec.podCIDR,
      serviceCidr: spec.serviceCIDR,
      mtu,
      hasRules: hasHostRules,
      journal: paths.journal,
      inject: path.inject && ((frame) => path.inject?.(frame)),
      log,
    });
    stage.add('host state', () => hostSide.close());
    await hostSide.sync(facts.view!);
    facts.hostSide = hostSide;
    await ending.orEnd(published);
    if (hasHostRules) await serveGateway(addresses.gateway);
    else log.warn(WITHOUT_RULES);

    if (hasHostRules) {
      const watch = underlayReport.watchPeers(spec.backend.port, mtu);
      stage.add('the watch over the peers', () => watch?.close());
    }
    const moved = new Promise<string>((resolve) => {
      const watch = underlayReport.watchNic(underlay, wish, (why, next) => {
        wish = next;
        resolve(why);
      });
      stage.add('the watch over the NIC', () => watch.close());
    });
    underlayReport.tell();

    facts.phase = 'running';
    reportNode();
    source.reportLease(node);
    const renewal = setInterval(() => source.reportLease(node), LEASE_MS);
    const heartbeat = setInterval(() => {
      if (facts.view) void syncDns(facts.view); // a port that was taken may be free now
      reportNode();
    }, HEARTBEAT_MS);
    stage.add('the heartbeat', () => {
      clearInterval(renewal);
      clearInterval(heartbeat);
      if (facts.phase === 'stopping')
        reportNode({
          reason: 'AgentStopped',
          message: 'The agent was stopped: nothing forwards the packets of this node',
        });
    });
    log.info({ podCidr, mtu }, 'The agent runs');
    return { moved };
  };

  /** End what depends on the underlay; pods go on, and no view is put into force meanwhile. */
  const endStage = async (): Promise<void> => {
    facts.path = facts.runtime = facts.hostSide = facts.apiRelay = facts.dns = undefined;
    await stage.run();
  };

  try {
    const paths = agentPaths(lab, node);
    await begin(paths);
    for (;;) {
      const { moved } = await forward(paths);
      const why = await ending.orEnd(moved);
      log.warn(`${why}: the tunnels follow`);
      facts.phase = 'starting';
      await endStage();
    }
  } catch (error) {
    if (error instanceof Stopped) {
      log.info('The agent ends; its pods go on');
      return 0;
    }
    if (!(error instanceof Failed)) throw error;
    log.fatal(error.message);
    return 1;
  } finally {
    facts.phase = 'stopping';
    await endStage();
    await endings.run();
  }
};

/** A node of which nothing is known. */
const NOBODY = { apiVersion: 'v1', kind: 'Node', metadata: { name: '' } };
