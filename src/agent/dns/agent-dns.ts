/**
 * The cluster's DNS on one host: a responder on the gateway address, UDP and TCP 53, and its metrics on 9153.
 *
 * Theory of operation. Sockets are made in the host's namespace, servers put on them here. Names follow the view, after the
 * packet path has it, so that a name never leads to an address that is not there yet. What cannot be had (another program has
 * port 53) is said once, shown as a problem, and tried again at every turn; meanwhile other hosts answer our pods. Names of
 * others go to the lab's relay where there is one, else to upstreams from the place we are in.
 */
import { DNS_PORT, labSpec } from '../../api/lab.js';
import { equal } from '../../api/json.js';
import type { ClusterView } from '../../api/types.js';
import { dnsAddress, DNS_METRICS_PORT } from '../../control/dns-service.js';
import { serveMetrics, startDnsServer } from '../../dns/dns-server.js';
import { createForwarder, type Forwarder } from '../../dns/forwarder.js';
import { Metrics } from '../../dns/metrics.js';
import { createRelayUpstream, createUpstream, type Upstream } from '../../dns/upstream.js';
import { machineUpstreams, upstreamAddresses } from '../../dns/upstream-list.js';
import type { Authority } from '../../names/authority.js';
import { labAuthority } from '../../names/lab-names.js';
import * as io from '../../sys/io.js';
import { bindTcp } from '../../sys/listen.js';
import { openUdp } from '../../sys/udp.js';
import { formatIpv4 } from '../../wire/address.js';
import type { Logger } from '../log.js';

export interface AgentDnsOptions {
  readonly netns: string | undefined;
  /** The gateway address, a word. */
  readonly address: number;
  /** The path socket of the lab's relay to upstreams. */
  readonly relay: string | undefined;
  readonly log: Logger;
}

export interface AgentDns {
  /** Follow the view, and listen if that was not possible before. */
  sync(view: ClusterView): Promise<void>;
  /** Why nobody is answered here, or undefined. */
  problem(): string | undefined;
  problems(): string[];
  status(): { address: string; zone: string; upstreams: { name: string; isUp: boolean }[] } | undefined;
  close(): Promise<void>;
}

/** Room for bursts of queries while the thread does something else. */
const RECEIVE_BUFFER = 1 << 20;

interface Running {
  close(): Promise<unknown>;
}

export function createAgentDns(options: AgentDnsOptions): AgentDns {
  const { netns, log } = options;
  const address = formatIpv4(options.address);
  const metrics = new Metrics(`dns://${address}:${DNS_PORT}`);
  const problems = new Map<'server' | 'metrics', string>();
  let authority: Authority | undefined;
  let spec: ReturnType<typeof labSpec> | undefined;
  let forwarder: Forwarder | undefined;
  let server: Running | undefined;
  let metricsServer: Running | undefined;
  let turn: Promise<void> = Promise.resolve();
  let isClosed = false;

  const say = (what: 'server' | 'metrics', text: string | undefined): void => {
    if (text === undefined) {
      problems.delete(what);
      return;
    }
    if (problems.get(what) !== text) log.warn(text);
    problems.set(what, text);
  };

  const upstreams = (words: readonly string[] | undefined): Upstream[] => {
    if (options.relay !== undefined) return [createRelayUpstream(options.relay)];
    const own = [{ address, port: DNS_PORT }];
    const { addresses, problems: wrong } = upstreamAddresses(words ?? machineUpstreams(), own);
    for (const text of wrong) log.warn(text);
    return addresses.map(createUpstream);
  };

  /** What the Lab says of DNS has changed: begin anew. */
  const begin = async (view: ClusterView): Promise<void> => {
    await stopServing();
    spec = labSpec(view.lab);
    authority = labAuthority(spec, { servers: [dnsAddress(view.lab) ?? address] });
    const list = upstreams(spec.dns.upstreams);
    forwarder =
      list.length === 0
        ? undefined
        : createForwarder({ upstreams: list, metrics, log: (line) => log.warn(line) });
  };

  const serve = async (): Promise<void> => {
    if (server || !authority) return;
    let udp: number | undefined;
    let tcp: number | undefined;
    try {
      udp = openUdp({
        netns,
        address,
        port: DNS_PORT,
        gro: false,
        gso: false,
        receiveBuffer: RECEIVE_BUFFER,
      }).fd;
      tcp = bindTcp(netns, DNS_PORT, options.address);
    } catch (error) {
      if (udp !== undefined) io.close(udp);
      say('server', `Cannot answer DNS queries at ${address}:${DNS_PORT}: ${(error as Error).message}`);
      return;
    }
    server = await startDnsServer({
      authority,
      resolver: forwarder,
      metrics,
      udp: { fd: udp },
      tcp: { fd: tcp },
    });
    say('server', undefined);
    log.info({ address, zone: spec!.dns.zone }, 'DNS queries are answered');
  };

  const serveNumbers = async (): Promise<void> => {
    if (metricsServer) return;
    try {
      metricsServer = await serveMetrics(metrics, { fd: bindTcp(netns, DNS_METRICS_PORT, options.address) });
      say('metrics', undefined);
    } catch (error) {
      say(
        'metrics',
        `Cannot serve DNS metrics at ${address}:${DNS_METRICS_PORT}: ${(error as Error).message}`,
      );
    }
  };

  const stopServing = async (): Promise<void> => {
    forwarder?.close();
    const old = server;
    server = undefined;
    await old?.close();
  };

  const follow = async (view: ClusterView): Promise<void> => {
    if (isClosed) return;
    if (!spec || !equal(spec.dns, labSpec(view.lab).dns)) await begin(view);
    authority!.cluster.sync(view);
    await serve();
    await serveNumbers();
  };

  return {
    sync(view) {
      const next = turn.then(() => follow(view));
      turn = next.catch(() => undefined);
      return next;
    },
    problem: () => problems.get('server'),
    problems: () => [
      ...problems.values(),
      ...(forwarder?.state() ?? []).flatMap(({ name, isUp }) =>
        isUp ? [] : [`DNS upstream ${name} does not answer; names outside of the cluster may fail`],
      ),
    ],
    status: () =>
      spec &&
      server && {
        address: `${address}:${DNS_PORT}`,
        zone: spec.dns.zone,
        upstreams: forwarder?.state() ?? [],
      },
    async close() {
      isClosed = true;
      await turn;
      await stopServing();
      await metricsServer?.close();
    },
  };
}
